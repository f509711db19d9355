"""What the hostile provider does to a response. Every function here is one behaviour, in a table by its name."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from .hostile_provider import Charge, HostileProvider, Request

#: Behaviours under which a promise does not hold yet; the attack leaves them out.
UNREPAIRED = frozenset(
    {
        "late-duplicate-response",  # becomes the response to the next request on the connection
        "rate-limited-with-task-id",  # is sent and paid again
        "record-instead-of-acceptance",  # the job is bound to the task of another job, and saves its clip
        "record-of-another-task",  # is believed
        "strange-task-id",  # the job runs forever
        "surrogate-in-callback",  # an exception in the receiver
        "surrogate-in-record",  # the session crashes
        "surrogate-in-task-id",  # the session crashes, or the job runs forever
        "task-id-of-another-job",  # the job is bound to the task of another job, and saves its clip
        "too-old-too-early",  # ends the job
    }
)
#: Behaviours that may end the job of a task: a failure that is repeated, a file at no usable address, and no record for
#: longer than new records ever took.
DECISIVE = frozenset({"other-flag", "dangerous-urls", "no-record"})

_API = ("generate", "record-info")
_ALL = ("generate", "record-info", "download")
Accepts = Literal["never", "always", "perhaps"]


@attrs.define
class Exchange:
    """One request and the honest response to it, which a behaviour sends in its own way."""

    provider: "HostileProvider"
    request: "Request"
    writer: asyncio.StreamWriter
    rng: Random
    #: The task that the request created.
    charge: "Charge | None"
    status: int
    headers: dict[str, str]
    body: bytes

    def head(self, length: int | None = None) -> bytes:
        """Return the status line and the headers, which announce *length* bytes."""
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in self.headers.items())]
        lines.append(f"Content-Length: {len(self.body) if length is None else length}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def send(self, *parts: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def send_json(self, value: Any, status: int = 200) -> None:
        """Send *value* instead of the honest body."""
        self.status, self.body = status, json.dumps(value).encode()
        await self.send(self.head(), self.body)

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()

    def reset(self) -> None:
        """Close it with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    @property
    def task_id(self) -> str | None:
        """The task that the request is about."""
        return self.charge.task_id if self.charge else self.request.query.get("taskId")

    def altered(self, **data: Any) -> dict[str, Any]:
        """Return the honest JSON with other fields in ``data``."""
        value: dict[str, Any] = json.loads(self.body)
        return {**value, "data": {**(value["data"] or {}), **data}}


@attrs.frozen
class Behaviour:
    """One way to treat a response."""

    name: str
    endpoints: Sequence[str]
    act: Callable[[Exchange], Awaitable[None]]
    #: Whether a creating request that meets it creates a task and is charged.
    accepts: Accepts

    def is_accepted(self, rng: Random) -> bool:
        """Whether this creating request creates a task."""
        return self.accepts == "always" or (self.accepts == "perhaps" and rng.random() < 0.5)


BEHAVIOURS: dict[str, Behaviour] = {}
_Act = Callable[[Exchange], Awaitable[None]]


def behaviour(*endpoints: str, accepts: Accepts = "perhaps") -> Callable[[_Act], _Act]:
    """Add a function to the table, under its name with dashes."""

    def add(act: _Act) -> _Act:
        name = act.__name__.replace("_", "-")
        BEHAVIOURS[name] = Behaviour(name, endpoints, act, accepts)
        return act

    return add


async def respond_honestly(x: Exchange) -> None:
    """Send the honest response."""
    await x.send(x.head(), x.body)
    if x.charge and not x.writer.is_closing():
        x.charge.is_intact = True


# --- connections ------------------------------------------------------------------------------------------------


@behaviour(*_ALL)
async def cut_before_response(x: Exchange) -> None:
    x.close()


@behaviour(*_ALL)
async def cut_in_headers(x: Exchange) -> None:
    head = x.head()
    await x.send(head[: x.rng.randrange(1, len(head) - 1)])
    x.close()


@behaviour(*_ALL)
async def cut_after_headers(x: Exchange) -> None:
    await x.send(x.head())
    x.close()


@behaviour(*_ALL)
async def cut_in_body(x: Exchange) -> None:
    await x.send(x.head(), x.body[: x.rng.randrange(1, len(x.body))])
    x.close()


@behaviour(*_ALL)
async def reset_before_response(x: Exchange) -> None:
    x.reset()


@behaviour(*_ALL)
async def reset_in_body(x: Exchange) -> None:
    await x.send(x.head(), x.body[: len(x.body) // 2])
    x.reset()


@behaviour(*_ALL, accepts="always")
async def late(x: Exchange) -> None:
    await asyncio.sleep(x.rng.uniform(0.1, 25))
    await respond_honestly(x)


@behaviour(*_ALL)
async def too_late(x: Exchange) -> None:
    await asyncio.sleep(x.rng.uniform(125, 200))
    await x.send(x.head(), x.body)


@behaviour(*_API, accepts="always")
async def dripping(x: Exchange) -> None:
    await x.send(x.head())
    step = max(1, len(x.body) // 4)
    for start in range(0, len(x.body), step):
        await asyncio.sleep(x.rng.uniform(0, 2))
        await x.send(x.body[start : start + step])
    if x.charge:
        x.charge.is_intact = True


# --- HTTP -------------------------------------------------------------------------------------------------------


@behaviour(*_ALL)
async def not_http(x: Exchange) -> None:
    await x.send(x.rng.randbytes(200), b"\r\n\r\n")
    x.close()


@behaviour(*_ALL)
async def long_content_length(x: Exchange) -> None:
    await x.send(x.head(len(x.body) + x.rng.randrange(1, 1000)), x.body)
    x.close()


@behaviour(*_API)
async def short_content_length(x: Exchange) -> None:
    await x.send(x.head(x.rng.randrange(len(x.body))), x.body)


@behaviour(*_API, accepts="always")
async def interim_responses(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 3)
    await respond_honestly(x)


@behaviour(*_API, accepts="always")
async def duplicate_response(x: Exchange) -> None:
    await respond_honestly(x)
    await x.send(x.head(), x.body)


@behaviour(*_API, accepts="always")
async def late_duplicate_response(x: Exchange) -> None:
    await respond_honestly(x)
    await asyncio.sleep(x.rng.uniform(0.01, 2))
    await x.send(x.head(), x.body)


@behaviour(*_API, accepts="always")
async def wrong_content_type(x: Exchange) -> None:
    x.headers["Content-Type"] = x.rng.choice(("text/html", "image/png", "application/json; charset=klingon", ""))
    await respond_honestly(x)


@behaviour(*_ALL, accepts="never")
async def redirect(x: Exchange) -> None:
    x.status, x.body = x.rng.choice((301, 302, 307, 308)), b""
    x.headers["Location"] = f"{x.provider.elsewhere}{x.request.path}"
    await x.send(x.head())


@behaviour(*_API)
async def html_page(x: Exchange) -> None:
    x.status, x.body = x.rng.choice((200, 500, 502, 504)), b"<!DOCTYPE html><h1>Bad gateway</h1>"
    x.headers["Content-Type"] = "text/html"
    await x.send(x.head(), x.body)


# --- JSON -------------------------------------------------------------------------------------------------------


@behaviour(*_API)
async def invalid_json(x: Exchange) -> None:
    x.body = x.rng.choice((b"", b"null", b"[]", b"{", b"\xff\xfe{}", b"NaN", b'"text"', x.body[:-1], x.body * 2))
    await x.send(x.head(), x.body)


@behaviour(*_API)
async def deep_json(x: Exchange) -> None:
    x.body = b'{"code":200,"msg":"success","data":' + b"[" * 5000 + b"]" * 5000 + b"}"
    await x.send(x.head(), x.body)


@behaviour(*_API)
async def huge_body(x: Exchange) -> None:
    x.body = x.body + b" " * (2 * 2**20)
    await x.send(x.head(), x.body)


@behaviour(*_API)
async def wrong_data(x: Exchange) -> None:
    await x.send_json({"code": 200, "msg": "success", "data": x.rng.choice((None, [], "text", 5, {}, [{}], True))})


@behaviour(*_API)
async def wrong_types(x: Exchange) -> None:
    value = json.loads(x.body)
    data = value["data"] or {}
    names = [name for name in data if name != "taskId"] or ["msg"]
    await x.send_json({**value, "data": {**data, x.rng.choice(names): x.rng.choice(({}, [], -1, 1e300, "\0", True))}})


@behaviour("record-info")
async def surrogate_in_record(x: Exchange) -> None:
    name = x.rng.choice(("note", "errorMessage", "paramJson"))
    await x.send_json(x.altered(**{name: "half an emoji: \ud83d"}))


@behaviour(*_API)
async def surrogate_in_message(x: Exchange) -> None:
    await x.send_json({"code": 500, "msg": "half an emoji: \ud83d", "data": None})


@behaviour("generate", accepts="always")
async def surrogate_in_task_id(x: Exchange) -> None:
    await x.send_json(x.altered(taskId=f"{x.task_id}\ud83d"))


@behaviour("generate", accepts="always")
async def strange_task_id(x: Exchange) -> None:
    ids = (12345, 1.5, True, [], {}, "", " ", "a\0b", "x" * 100_000, "../x")
    await x.send_json(x.altered(taskId=x.rng.choice(ids)))


@behaviour("generate", accepts="always")
async def task_id_of_another_job(x: Exchange) -> None:
    await x.send_json(x.altered(taskId=x.provider.other_task(x.task_id, x.rng)))


@behaviour("generate", accepts="always")
async def unknown_task_id(x: Exchange) -> None:
    await x.send_json(x.altered(taskId=x.rng.randbytes(16).hex()))


# --- codes ------------------------------------------------------------------------------------------------------


def _error(code: int, message: str, data: Any = None) -> dict[str, Any]:
    return {"code": code, "msg": message, "data": data}


@behaviour(*_API, accepts="never")
async def rate_limited(x: Exchange) -> None:
    if x.rng.random() < 0.5:
        x.headers["Retry-After"] = x.rng.choice(("1", "7", "-5", "soon", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT"))
    message = "Your call frequency is too high. Please try again later."
    await x.send_json(_error(429, message), x.rng.choice((200, 429)))


@behaviour("generate", accepts="always")
async def rate_limited_with_task_id(x: Exchange) -> None:
    body: dict[str, Any] = {"msg": "too many", "data": {"taskId": x.task_id}}
    await x.send_json(x.rng.choice((body, {**body, "code": 429})), 429)


@behaviour("generate", accepts="always")
async def error_with_task_id(x: Exchange) -> None:
    code = x.rng.choice((400, 422, 455, 500, 501))
    await x.send_json(_error(code, "Internal Error", {"taskId": x.task_id}), x.rng.choice((200, 500)))


@behaviour(*_API)
async def server_error(x: Exchange) -> None:
    code = x.rng.choice((500, 502, 504))
    await x.send_json(_error(code, "Internal Error, Please try again later."), x.rng.choice((200, code)))


@behaviour(*_API, accepts="never")
async def maintenance(x: Exchange) -> None:
    await x.send_json(_error(455, "Service Unavailable"), x.rng.choice((200, 455)))


# --- records ----------------------------------------------------------------------------------------------------


@behaviour("record-info")
async def record_of_another_task(x: Exchange) -> None:
    await x.send_json(x.provider.record(x.provider.other_task(x.task_id, x.rng)))


@behaviour(*_API)
async def response_to_another_request(x: Exchange) -> None:
    accepted = {"taskId": x.provider.other_task(x.task_id, x.rng)}
    is_poll = x.request.endpoint == "record-info"
    await x.send_json(_error(200, "success", x.rng.choice((100_000, accepted)) if is_poll else 100_000))


@behaviour("generate", accepts="always")
async def record_instead_of_acceptance(x: Exchange) -> None:
    await x.send_json(x.provider.record(x.provider.other_task(x.task_id, x.rng)))


@behaviour("record-info")
async def success_without_urls(x: Exchange) -> None:
    urls = x.rng.choice((None, [], [None], "", "[]", "not a url"))
    await x.send_json(x.altered(successFlag=1, response={"taskId": x.task_id, "resultUrls": urls}))


@behaviour("record-info")
async def other_flag(x: Exchange) -> None:
    flag = x.rng.choice((0, 2, 3, 7, -1, "1", None, "success"))
    await x.send_json(x.altered(successFlag=flag, response=None, errorCode=500, errorMessage="failed"))


@behaviour("record-info")
async def too_old_too_early(x: Exchange) -> None:
    await x.send_json(_error(422, "Temporarily supports records within 14 days."))


@behaviour("record-info")
async def no_record(x: Exchange) -> None:
    await x.send_json(_error(422, "record is null."))


@behaviour("record-info")
async def dangerous_urls(x: Exchange) -> None:
    urls = ("file:///etc/passwd", "http://169.254.169.254/x.mp4", "https://user:pw@[::1]/", "http://[", "//")
    response = {"taskId": x.task_id, "resultUrls": [x.rng.choice(urls)]}
    await x.send_json(x.altered(successFlag=1, response=response))


# --- files ------------------------------------------------------------------------------------------------------


@behaviour("download")
async def short_file(x: Exchange) -> None:
    x.body = x.body[: len(x.body) - x.rng.randrange(1, 1000)]
    await x.send(x.head(), x.body)


@behaviour("download")
async def page_instead_of_file(x: Exchange) -> None:
    x.body = x.rng.choice((b"<!DOCTYPE html><h1>Expired</h1>", b'{"code":404}', b"", bytes(5000)))
    await x.send(x.head(), x.body)


@behaviour("download")
async def file_error(x: Exchange) -> None:
    x.status, x.body = x.rng.choice((403, 404, 410, 416, 429, 500, 503)), b"no"
    await x.send(x.head(), x.body)


@behaviour("download")
async def wrong_range(x: Exchange) -> None:
    clip = len(x.body)
    x.status = 206
    x.headers["Content-Range"] = x.rng.choice((f"bytes 5-{clip + 4}/{clip + 5}", "bytes */10", "bytes 0-1/2", "junk"))
    await x.send(x.head(), x.body)


# --- callbacks --------------------------------------------------------------------------------------------------


def _callback(task_id: Any, code: int = 200) -> bytes:
    return json.dumps({"code": code, "msg": "x", "data": {"taskId": task_id}}).encode()


#: The bodies that are sent to the callback address instead of the honest one. Arguments: the task, another one.
CALLBACK_LIES: dict[str, Callable[[str, str, Random], list[bytes]]] = {
    "no-callback": lambda task, other, rng: [],
    "duplicate-callback": lambda task, other, rng: [_callback(task)] * 4,
    "forged-failure": lambda task, other, rng: [_callback(task, 500), _callback(task)],
    "callback-for-another-task": lambda task, other, rng: [_callback(other), _callback(task)],
    "false-task-ids": lambda task, other, rng: [*(_callback(rng.randbytes(16).hex()) for _ in "abc"), _callback(task)],
    "strange-callback": lambda task, other, rng: [b"", b"{", _callback(5), bytes(70_000), _callback(task)],
    "surrogate-in-callback": lambda task, other, rng: [_callback("\ud83d"), _callback(task)],
}
for _name in CALLBACK_LIES:
    BEHAVIOURS[_name] = Behaviour(_name, (), respond_honestly, "always")
