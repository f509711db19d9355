"""One exchange with the hostile provider, and the table of the behaviours that alter it."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from tests.edges.hostile_provider import Charge, HostileProvider, Request

API = ("generate", "record-info")
ALL = ("generate", "record-info", "download")
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
        """Return the honest JSON with other fields in ``data``. A task without a record gets none."""
        value: dict[str, Any] = json.loads(self.body)
        return {**value, "data": {**value["data"], **data}} if value["data"] else value

    def with_result(self, urls: Any) -> dict[str, Any]:
        """Return the record of a task that has succeeded with *urls*."""
        if self.provider.route == "jobs":
            return self.altered(state="success", resultJson=json.dumps({"resultUrls": urls}))
        return self.altered(successFlag=1, response={"taskId": self.task_id, "resultUrls": urls})


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
