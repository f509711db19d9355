"""A fast provider with two endpoints on both routes, create and record, on plain sockets and in its own process.

The simulator is a whole web application and costs more CPU per request than the client; a benchmark against it would
measure the simulator. This one answers in about 15 us of CPU. Its records have the shape and the length of real ones.
It listens without and with TLS, prints both ports, and runs until it is killed.

``/reset?low=&high=&latency=``  forget everything; tasks take U(low, high) seconds, responses *latency* seconds
``/stats``                      tasks, the longest one, polls, connections opened, and the most open at a time

Its arguments: the file with the certificate chain and its key.
"""

import asyncio
import json
import os
import random
import ssl
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

_ACCEPTED = b'{"code":200,"msg":"success","data":{"taskId":"%b"}}'
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
        self.open = 0
        self.reset(low=1.0, high=1.0, latency=0.0)

    def reset(self, *, low: float, high: float, latency: float) -> None:
        self._rng, self._low, self._high, self.latency_s = random.Random(1), low, high, latency
        self.ends: dict[str, float] = {}
        self.longest_s = 0.0
        self.polls = self.opened = self.max_open = 0

    def create(self, now: float) -> str:
        """Create a task and return its id."""
        duration_s = self._rng.uniform(self._low, self._high)
        self.longest_s = max(self.longest_s, duration_s)
        task_id = f"{len(self.ends):032x}"
        self.ends[task_id] = now + duration_s
        return task_id

    def stats(self) -> Any:
        names = ("longest_s", "polls", "opened", "max_open")
        return {"tasks": len(self.ends)} | {name: getattr(self, name) for name in names}


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks, self._buffer = tasks, b""
        self._loop = asyncio.get_running_loop()
        #: Whether it was used for a task; the benchmark's own connections do not count.
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._tasks.open -= self._is_counted

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._next_request()) is not None:
            target = head.split(b" ", 2)[1]
            if head.startswith(b"POST"):
                self._later(self._create)
            elif b"taskId=" in target:
                path, _, task_id = target.rpartition(b"taskId=")
                self._later(self._send_record, task_id.decode(), b"/jobs/" in path)
            else:
                self._send(json.dumps(self._control(urlsplit(target.decode()))).encode())

    def _next_request(self) -> bytes | None:
        """Remove a complete request from the buffer and return its head."""
        head, is_complete, rest = self._buffer.partition(b"\r\n\r\n")
        length = 0
        if head.startswith(b"POST"):
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0] or 0)
        if not is_complete or len(rest) < length:
            return None
        self._buffer = rest[length:]
        return head

    def _later(self, respond: Callable[..., None], *args: Any) -> None:
        if not self._is_counted:
            self._is_counted = True
            self._tasks.open += 1
            self._tasks.opened += 1
            self._tasks.max_open = max(self._tasks.max_open, self._tasks.open)
        if self._tasks.latency_s:
            self._loop.call_later(self._tasks.latency_s, respond, *args)
        else:
            respond(*args)

    def _create(self) -> None:
        self._send(_ACCEPTED % self._tasks.create(self._loop.time()).encode())

    def _send_record(self, task_id: str, is_job: bool) -> None:  # called by a timer
        self._tasks.polls += 1
        is_done = self._tasks.ends[task_id] <= self._loop.time()
        self._send(_RECORDS[is_job, is_done].replace(_ANY.encode(), task_id.encode()))

    def _control(self, target: Any) -> Any:
        if target.path == "/stats":
            return self._tasks.stats()
        self._tasks.reset(**{name: float(values[0]) for name, values in parse_qs(target.query).items()})
        return {}

    def _send(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % (len(body), body))


async def serve(chain: str) -> None:
    tasks = Tasks()
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(chain)
    servers = [
        await loop.create_server(lambda: Connection(tasks), "127.0.0.1", 0, backlog=4096, ssl=context)
        for context in (None, tls)
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    asyncio.run(serve(sys.argv[1]))
