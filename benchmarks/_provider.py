"""A fast provider with one endpoint, the record of a task on both routes, on plain sockets and in its own process.

The simulator is a whole web application and costs more CPU per request than the client; a benchmark against it would
measure the simulator. This one answers a poll in about 15 us of CPU, `LATENCY_S` later. It prints its port and runs
until it is killed. Its records have the shape and the length of real ones.

``/create?count=&low=&high=``  forget everything, create tasks that take U(low, high) seconds, return their ids
``/stats``                     connections opened, the most open at a time, and polls
"""

import asyncio
import json
import os
import random
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

LATENCY_S = 0.05
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: nginx\r\nContent-Length: %d\r\n\r\n%b"


def _record(task_id: str, *, is_done: bool) -> bytes:
    """Return a record in the provider's shape."""
    params = {"prompt": "A dog surfing at dusk, slow motion", "model": "veo3_fast", "aspect_ratio": "16:9"}
    response = {
        "taskId": task_id,
        "resolution": "720p",
        "originUrls": None,
        "resultUrls": [f"https://tempfile.example.com/v/{task_id}_1763695000.mp4"],
        "fullResultUrls": None,
        "hasAudioList": [True],
        "seeds": [12345],
    }
    record = {
        "taskId": task_id,
        "paramJson": json.dumps(params),
        "completeTime": 1763695000000 if is_done else None,
        "response": response if is_done else None,
        "successFlag": int(is_done),
        "fallbackFlag": False,
        "createTime": 1763694900000,
        "errorCode": None,
        "errorMessage": None,
    }
    return json.dumps({"code": 200, "msg": "success", "data": record}, separators=(",", ":")).encode()


def _job_record(task_id: str, *, is_done: bool) -> bytes:
    """Return a record in the shape of the jobs route."""
    given = {"prompt": "A dog surfing at dusk, slow motion", "model": "veo3_fast", "aspect_ratio": "16:9"}
    params = json.dumps({"model": "veo-3-1", "input": json.dumps(given)})
    response = {"resultUrls": [f"https://tempfile.example.com/v/{task_id}_1763695000.mp4"]}
    record = {
        "taskId": task_id,
        "model": "veo-3-1",
        "state": "success" if is_done else "waiting",
        "successFlag": int(is_done),
        "param": params,
        "paramJson": params,
        "resultJson": json.dumps(response) if is_done else "",
        "response": response if is_done else None,
        "failCode": None,
        "failMsg": None,
        "creditsConsumed": 60.0,
        "costTime": 95 if is_done else None,
        "completeTime": 1763695000000 if is_done else None,
        "createTime": 1763694900000,
    }
    return json.dumps({"code": 200, "msg": "success", "data": record}, separators=(",", ":")).encode()


_ANY = "0" * 32
#: The records by whether they are of the jobs route, and whether the task is done.
_RECORDS = {
    (is_job, is_done): (_job_record if is_job else _record)(_ANY, is_done=is_done)
    for is_job in (False, True)
    for is_done in (False, True)
}


class Tasks:
    """The tasks, and the counters."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self.polls = self.open = self.opened = self.max_open = 0

    def create(self, count: int, low: float, high: float) -> Any:
        rng = random.Random(count)
        now = asyncio.get_running_loop().time()
        self.ends = {f"{number:032x}": now + rng.uniform(low, high) for number in range(count)}
        self.polls = self.opened = self.max_open = 0
        return list(self.ends)

    def stats(self) -> Any:
        return {"polls": self.polls, "opened": self.opened, "max_open": self.max_open}


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks, self._buffer = tasks, b""
        self._loop = asyncio.get_running_loop()
        #: Whether it was used for a poll; the benchmark's own connections do not count.
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._tasks.open -= self._is_counted

    def _count(self) -> None:
        self._is_counted = True
        self._tasks.open += 1
        self._tasks.opened += 1
        self._tasks.max_open = max(self._tasks.max_open, self._tasks.open)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1]
            if b"taskId=" in target:
                if not self._is_counted:
                    self._count()
                path, _, task_id = target.rpartition(b"taskId=")
                self._loop.call_later(LATENCY_S, self._send_record, task_id, b"/jobs/" in path)
            else:
                self._send(json.dumps(self._control(urlsplit(target.decode()))).encode())

    def _send_record(self, task_id: bytes, is_job: bool) -> None:  # called by a timer
        self._tasks.polls += 1
        is_done = self._tasks.ends[task_id.decode()] <= self._loop.time()
        self._send(_RECORDS[is_job, is_done].replace(_ANY.encode(), task_id))

    def _control(self, target: Any) -> Any:
        if target.path == "/stats":
            return self._tasks.stats()
        query = {name: float(values[0]) for name, values in parse_qs(target.query).items()}
        return self._tasks.create(int(query["count"]), query["low"], query["high"])

    def _send(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % (len(body), body))


async def serve() -> None:
    tasks = Tasks()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(tasks), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    asyncio.run(serve())
