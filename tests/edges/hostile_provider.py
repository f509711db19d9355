"""A provider that cuts, delays, mixes up and lies, in plain asyncio: it shares no code with the simulator.

It speaks just enough HTTP/1.1 for one session: it creates tasks, shows their records, delivers their files and sends
their callbacks. `hostile_behaviours` alters what it sends. It keeps a log of what it charged, which is the truth that
`hostile_attack` compares with what the session believes.
"""

import asyncio
import json
import struct
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

from tests.routes import fields_of
from veo_async.types import RouteName

from .hostile_behaviours import BEHAVIOURS, CALLBACK_LIES, Behaviour, Exchange, respond_honestly

#: How long a task takes, in seconds.
TASK_S = 5.0
#: The probability that a request meets one of the behaviours, as long as the provider has some left.
_PROBABILITY = 0.5
#: The names of the endpoints on the ``jobs`` route, and on the other.
_ON_JOBS = {"createTask": "generate", "recordInfo": "record-info"}


@attrs.define
class Charge:
    """One paid task."""

    task_id: str
    prompt: str
    callback_url: str | None
    at: float
    #: The response with the task id was sent completely and unaltered.
    is_intact: bool = False


@attrs.frozen
class Request:
    """One HTTP request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def endpoint(self) -> str:
        """The part of the path that names the endpoint of the ``veo`` route; ``download`` for files."""
        name = self.path.rpartition("/")[2]
        return "download" if self.path.startswith("/files/") else _ON_JOBS.get(name, name)


def true_clip(task_id: str) -> bytes:
    """Return the video of a task: a complete MP4 that no other task has."""
    frames = Random(task_id).randbytes(Random(task_id).randrange(2_000, 60_000))
    return b"".join((_box(b"ftyp", b"isom\0\0\2\0"), _box(b"moov", bytes(64)), _box(b"mdat", frames)))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


class HostileProvider:
    """One provider on a free port of this machine.

    Args:
        behaviours: the names of the behaviours that it may show.
        honest_prompt: the prompt of the job that it treats correctly in every exchange.
        route: the route of its tasks; the other one does not exist.
        lies: how many exchanges it may alter; afterwards it is honest, so that every run ends.
    """

    def __init__(
        self, seed: int, behaviours: Sequence[str], *, api_key: str, honest_prompt: str, lies: int, route: RouteName
    ) -> None:
        self._seed, self._api_key, self._honest_prompt = seed, api_key, honest_prompt
        self._behaviours = [BEHAVIOURS[name] for name in behaviours]
        self._callback_lies = [name for name in behaviours if name in CALLBACK_LIES]
        self._lies_left = lies
        self.route = route
        self.charges: list[Charge] = []
        #: What it did to which request, in order.
        self.lies: list[str] = []
        #: Where the API key or a redirected request turned up although it must not.
        self.leaks: list[str] = []
        self._requests: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
        self._callbacks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.elsewhere = ""

    async def __aenter__(self) -> "HostileProvider":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        self._other = await asyncio.start_server(self._serve_elsewhere, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.elsewhere = f"http://127.0.0.1:{self._other.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._other.close()
        tasks = self._connections | self._callbacks
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- connections --------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            # A cancellation ends the connection, and with it this task, which belongs to no one but the server.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    await self._exchange(await read_request(reader), writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_elsewhere(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Another host, to which nothing but a plain download may ever follow a redirect."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await read_request(reader)
            if request.method != "GET" or "authorization" in request.headers:
                self.leaks.append(f"{request.method} {request.path} followed a redirect")
        writer.close()

    async def _exchange(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self._is_from_elsewhere(request):
            writer.close()
            return
        endpoint = request.endpoint
        number = self._requests[endpoint] = self._requests[endpoint] + 1
        rng = Random(f"{self._seed} {endpoint} {number}")
        has_key = request.headers.get("authorization") == f"Bearer {self._api_key}"
        if has_key is (endpoint == "download"):
            self.leaks.append(f"{request.method} {request.path}: the key was {'sent' if has_key else 'not sent'}")
        behaviour = self._draw(request, rng)
        charge = None
        if endpoint == "generate" and (behaviour is None or behaviour.is_accepted(rng)):
            charge = self._charge(json.loads(request.body))
        exchange = Exchange(self, request, writer, rng, charge, *self._response(request, charge))
        await (behaviour.act if behaviour else respond_honestly)(exchange)

    def _is_from_elsewhere(self, request: Request) -> bool:
        """Return True if another test's session polls this port, which its own provider had before."""
        key = request.headers.get("authorization")
        return key is not None and key != f"Bearer {self._api_key}"

    def _draw(self, request: Request, rng: Random) -> Behaviour | None:
        """Return what to do to the response to *request*; None to respond honestly."""
        fitting = [item for item in self._behaviours if request.endpoint in item.endpoints]
        if not fitting or self._lies_left <= 0 or self._is_about_honest_job(request) or rng.random() >= _PROBABILITY:
            return None
        behaviour = rng.choice(fitting)
        self._lies_left -= 1
        self.lies.append(f"{behaviour.name}:{request.endpoint}:{self._requests[request.endpoint]}")
        return behaviour

    def _is_about_honest_job(self, request: Request) -> bool:
        if request.endpoint == "generate":
            return fields_of(json.loads(request.body))["prompt"] == self._honest_prompt
        name = request.query.get("taskId") or request.path.rpartition("/")[2].removesuffix(".mp4")
        return any(charge.task_id == name and charge.prompt == self._honest_prompt for charge in self.charges)

    # --- what an honest provider does ---------------------------------------------------------------------------

    def _charge(self, body: dict[str, Any]) -> Charge:
        task_id = Random(f"{self._seed} task {len(self.charges)}").randbytes(16).hex()
        charge = Charge(task_id, fields_of(body)["prompt"], body.get("callBackUrl"), asyncio.get_running_loop().time())
        self.charges.append(charge)
        if charge.callback_url:
            task = asyncio.create_task(self._call_back(charge), name=f"hostile.callback:{task_id}")
            self._callbacks.add(task)
            task.add_done_callback(self._callbacks.discard)
        return charge

    def _response(self, request: Request, charge: Charge | None) -> tuple[int, dict[str, str], bytes]:
        is_on_jobs = request.path.rpartition("/")[2] in _ON_JOBS
        match request.endpoint:
            case "generate" | "record-info" if is_on_jobs is not (self.route == "jobs"):
                pass
            case "generate":
                return json_response(accepted(charge.task_id) if charge else envelope(None, 500, "nothing created"))
            case "record-info":
                return json_response(self.record(request.query.get("taskId", "")))
            case "credit":
                return json_response(envelope(100_000))
            case "download-url":
                return json_response(envelope(json.loads(request.body)["url"]))
            case "download":
                return _file_response(request)
        return json_response(envelope(None, 404, "no such endpoint"))

    def record(self, task_id: str) -> dict[str, Any]:
        """Return the response with the record of a task."""
        charge = next((charge for charge in self.charges if charge.task_id == task_id), None)
        if charge is None:
            return envelope(None, 422, "record is null.")
        is_done = asyncio.get_running_loop().time() >= charge.at + TASK_S
        if self.route == "jobs":
            return envelope(self._job_record(charge, is_done=is_done))
        params = {"prompt": charge.prompt, "callBackUrl": charge.callback_url}
        data = {"taskId": task_id, "paramJson": json.dumps(params), "successFlag": int(is_done)}
        urls = {"taskId": task_id, "resultUrls": [f"{self.url}/files/{task_id}.mp4"]}
        return envelope({**data, "response": urls if is_done else None, "errorCode": None, "errorMessage": None})

    def _job_record(self, charge: Charge, *, is_done: bool) -> dict[str, Any]:
        fields = {"input": json.dumps({"prompt": charge.prompt}), "callBackUrl": charge.callback_url}
        result = {"resultUrls": [f"{self.url}/files/{charge.task_id}.mp4"]}
        return {
            "taskId": charge.task_id,
            "model": "veo-3-1",
            "state": "success" if is_done else "generating",
            "param": json.dumps({"model": "veo-3-1", **fields}),
            "resultJson": json.dumps(result) if is_done else "",
            "failCode": None,
            "failMsg": None,
        }

    def other_task(self, task_id: str | None, rng: Random) -> str:
        """Return the id of another task; an unknown one if there is none."""
        others = [charge.task_id for charge in self.charges if charge.task_id != task_id]
        return rng.choice(others) if others else rng.randbytes(16).hex()

    # --- callbacks ----------------------------------------------------------------------------------------------

    async def _call_back(self, charge: Charge) -> None:
        await asyncio.sleep(TASK_S)
        rng = Random(f"{self._seed} callback {charge.task_id}")
        bodies = [callback(charge.task_id)]
        if self._callback_lies and charge.prompt != self._honest_prompt:
            lie = rng.choice(self._callback_lies)
            self.lies.append(f"{lie}:{charge.task_id[:8]}")
            bodies = CALLBACK_LIES[lie](charge.task_id, self.other_task(charge.task_id, rng), rng)
        for body in bodies:
            with suppress(OSError, asyncio.IncompleteReadError):
                await post(charge.callback_url or "", body)


# --- HTTP -------------------------------------------------------------------------------------------------------


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request; raise `asyncio.IncompleteReadError` at the end of the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    parts = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, parts.path, query, headers, body)


def _file_response(request: Request) -> tuple[int, dict[str, str], bytes]:
    task_id = request.path.rpartition("/")[2].removesuffix(".mp4")
    clip, headers = true_clip(task_id), {"Content-Type": "video/mp4", "ETag": f'"{task_id}"'}
    range_header = request.headers.get("range", "")
    if not range_header.startswith("bytes=") or request.headers.get("if-range", f'"{task_id}"') != f'"{task_id}"':
        return 200, headers, clip
    first = int(range_header.removeprefix("bytes=").partition("-")[0])
    if first >= len(clip):
        return 416, {**headers, "Content-Range": f"bytes */{len(clip)}"}, b""
    return 206, {**headers, "Content-Range": f"bytes {first}-{len(clip) - 1}/{len(clip)}"}, clip[first:]


def envelope(data: Any, code: int = 200, message: str = "success") -> dict[str, Any]:
    """Return the object that every response of the API has."""
    return {"code": code, "msg": message, "data": data}


def accepted(task_id: Any) -> dict[str, Any]:
    """Return the response to a request that created a task."""
    return envelope({"taskId": task_id})


def json_response(value: Any) -> tuple[int, dict[str, str], bytes]:
    """Return the parts of a response with JSON."""
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def callback(task_id: str) -> bytes:
    """Return the body of an honest callback."""
    return json.dumps({"code": 200, "msg": "success", "data": {"taskId": task_id}}).encode()


async def post(url: str, body: bytes) -> None:
    """Send *body* to *url* and wait for the first bytes of the response."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    try:
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        await reader.read(64)
    finally:
        writer.close()
