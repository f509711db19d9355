"""What goes into the simulator and what comes out, before any socket is involved.

A `SimResponse` says what is answered; its `Delivery` says how badly. The skins (`server`, `memory`) obey both.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import attrs

from veo_async._wire.endpoints import ENDPOINTS

#: Where results are served.
FILES_PREFIX = "/files/"
#: Names that faults and logs use for what is no endpoint of the API.
DOWNLOAD = "download"
CALLBACK = "callback"
UNKNOWN = "unknown"

_BY_PATH = {endpoint.path: endpoint.name for endpoint in ENDPOINTS}
_METHODS = {endpoint.name: endpoint.method for endpoint in ENDPOINTS}
_UPLOADS = frozenset(endpoint.name for endpoint in ENDPOINTS if endpoint.host == "upload")


@lru_cache(maxsize=4096)
def endpoint_of(path: str) -> str:
    """What *path* leads to: an endpoint's name, ``download`` or ``unknown``."""
    return DOWNLOAD if path.startswith(FILES_PREFIX) else _BY_PATH.get(path, UNKNOWN)


def method_of(endpoint: str) -> str:
    """The HTTP method that *endpoint* wants."""
    return _METHODS.get(endpoint, "GET")


def is_upload(endpoint: str) -> bool:
    """Whether *endpoint* belongs to the upload host, which has error forms of its own."""
    return endpoint in _UPLOADS


@attrs.frozen(kw_only=True)
class SimRequest:
    """One HTTP request as it arrived."""

    method: str
    #: Without the query.
    path: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    #: Names in lower case.
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")

    @property
    def endpoint(self) -> str:
        return endpoint_of(self.path)

    @property
    def key(self) -> str:
        """The bearer key; empty without one."""
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@attrs.frozen(kw_only=True)
class Delivery:
    """How an answer is brought to the client when it is not simply sent. Spans are simulated seconds."""

    #: Wait this long before the first byte.
    delay_s: float = 0.0
    #: How the connection ends early: an orderly close, or a reset.
    cut: Literal["close", "reset"] | None = None
    #: How much of the body leaves before the cut; None means that not even the head does.
    cut_at: int | None = None
    #: Wait this long between single bytes of the body.
    drip_s: float = 0.0
    #: Send the body this many times in chunks; infinity never ends.
    repeat: float = 1.0
    #: The ``Content-Length`` to announce, when it is not the body's.
    announced: int | None = None
    #: Never listened at all; only the memory skin can do this for one call alone.
    unreachable: bool = False


PLAIN = Delivery()


@attrs.frozen(kw_only=True)
class SimResponse:
    """One HTTP answer."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    delivery: Delivery = PLAIN

    def with_header(self, name: str, value: str) -> "SimResponse":
        """This answer with one header set anew."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return attrs.evolve(self, headers=(*kept, (name, value)))

    def json(self) -> Any:
        return json.loads(self.body)


def encode(payload: Any) -> bytes:
    """JSON as the provider writes it: compact, in UTF-8."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")


def envelope(data: Any = None, *, code: int = 200, message: str = "success") -> bytes:
    """The frame around every answer."""
    return encode({"code": code, "msg": message, "data": data})


def success(data: Any) -> SimResponse:
    return SimResponse(body=envelope(data))


class ErrorResponse(Exception):
    """The provider says no; raised inside the account and rendered at its door."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        data: Any = None,
        form: Literal["body", "http"] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        #: ``http`` answers with that HTTP status, ``body`` with HTTP 200; None leaves it to the settings.
        self.form = form
        self.headers = headers

    def answer(self, default_form: Literal["body", "http"]) -> SimResponse:
        status = self.code if (self.form or default_form) == "http" else 200
        body = envelope(self.data, code=self.code, message=self.message)
        return SimResponse(status=status, headers=(("Content-Type", "application/json"), *self.headers), body=body)
