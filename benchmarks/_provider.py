"""A provider for speed: record-info and nothing else, in a process of its own, on plain sockets.

The simulator is a whole web application and costs more per call than the client does; what is measured against it is
the simulator. This one answers a look in some 15 us, *latency* later. It prints its port and runs until killed.
Records have the shape and the length of real ones.

``/make?count=&low=&high=``  forgets everything, makes tasks that take U(low, high) seconds, answers their ids
``/stats``                   connections opened, the most at once, looks, and when the longest task ends
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
    """A record as the provider writes it."""
    asked = {"prompt": "A dog surfing at dusk, slow motion", "model": "veo3_fast", "aspect_ratio": "16:9"}
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
        "paramJson": json.dumps(asked),
        "completeTime": 1763695000000 if is_done else None,
        "response": response if is_done else None,
        "successFlag": int(is_done),
        "fallbackFlag": False,
        "createTime": 1763694900000,
        "errorCode": None,
        "errorMessage": None,
    }
    return json.dumps({"code": 200, "msg": "success", "data": record}, separators=(",", ":")).encode()


_ANY = "0" * 32
_RUNNING, _DONE = _record(_ANY, is_done=False), _record(_ANY, is_done=True)


class World:
    """The tasks, and what was counted."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self.looks = self.open = self.opened = self.most_open = 0

    def make(self, count: int, low: float, high: float) -> Any:
        rng = random.Random(count)
        now = asyncio.get_running_loop().time()
        self.ends = {f"{number:032x}": now + rng.uniform(low, high) for number in range(count)}
        self.looks = self.opened = self.most_open = 0
        return list(self.ends)

    def stats(self) -> Any:
        return {"looks": self.looks, "opened": self.opened, "most_open": self.most_open}


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, world: World) -> None:
        self._world, self._heard = world, b""
        self._loop = asyncio.get_running_loop()
        #: It was used for a look, not only for what the benchmark itself asks.
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._world.open -= self._is_counted

    def _count(self) -> None:
        self._is_counted = True
        self._world.open += 1
        self._world.opened += 1
        self._world.most_open = max(self._world.most_open, self._world.open)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            head, _, self._heard = self._heard.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1]
            if b"taskId=" in target:
                if not self._is_counted:
                    self._count()
                self._loop.call_later(LATENCY_S, self._look, target.rpartition(b"taskId=")[2])
            else:
                self._send(json.dumps(self._control(urlsplit(target.decode()))).encode())

    def _look(self, task_id: bytes) -> None:
        self._world.looks += 1
        is_done = self._world.ends[task_id.decode()] <= self._loop.time()
        self._send((_DONE if is_done else _RUNNING).replace(_ANY.encode(), task_id))

    def _control(self, target: Any) -> Any:
        if target.path == "/stats":
            return self._world.stats()
        asked = {name: float(values[0]) for name, values in parse_qs(target.query).items()}
        return self._world.make(int(asked["count"]), asked["low"], asked["high"])

    def _send(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % (len(body), body))


async def serve() -> None:
    world = World()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(world), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    asyncio.run(serve())
