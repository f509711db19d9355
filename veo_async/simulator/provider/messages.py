"""Requests and responses as plain values, independent of any socket.

A `SimResponse` is what the provider sends; its `Delivery` is how the frontends send it, for example slowly or only
in part.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import attrs

from veo_async._wire.endpoints import ENDPOINTS

#: The path under which results and uploads are served.
FILES_PREFIX = "/files/"
#: Names in faults and logs for requests that do not belong to an API endpoint.
DOWNLOAD = "download"
CALLBACK = "callback"
UNKNOWN = "unknown"

#: The endpoints of the jobs route.
JOBS_ENDPOINTS = frozenset({"create-task", "job-record"})
#: The dedicated Veo endpoints.
VEO_ENDPOINTS = frozenset({"generate", "extend", "record-info", "get-1080p-video", "get-4k-video"})
#: Every name that a request to the API can have.
NAMES = frozenset(endpoint.name for endpoint in ENDPOINTS)
#: The models of createTask, each with the dedicated endpoint that does the same.
_KINDS = {
    "veo-3-1": "generate",
    "veo/extend": "extend",
    "veo/get-1080p-video": "get-1080p-video",
    "veo/get-4k-video": "get-4k-video",
}

#: The endpoints of the catalogue that name a model, by the last part of their path.
_MODELS_PREFIX = "/api/v1/models/"
_MODEL_ENDPOINTS = {"price": "model-price", "success-rate": "model-success-rate", "schema": "model-schema"}
CATALOGUE_ENDPOINTS = frozenset({"models", *_MODEL_ENDPOINTS.values()})

_BY_PATH = {endpoint.path: endpoint.name for endpoint in ENDPOINTS}
_METHODS = {endpoint.name: endpoint.method for endpoint in ENDPOINTS}
_UPLOADS = frozenset(endpoint.name for endpoint in ENDPOINTS if endpoint.host == "upload")


@lru_cache(maxsize=4096)
def endpoint_of(path: str) -> str:
    """Return the name of the endpoint at *path*, ``download`` for a file, or ``unknown``."""
    if path.startswith(FILES_PREFIX):
        return DOWNLOAD
    name, part = model_in(path)
    return _MODEL_ENDPOINTS.get(part, UNKNOWN) if name else _BY_PATH.get(path, UNKNOWN)


def model_in(path: str) -> tuple[str, str]:
    """Return the model that *path* of the catalogue names, and the part after it; empty strings for another path."""
    if not path.startswith(_MODELS_PREFIX):
        return "", ""
    name, _, part = path.removeprefix(_MODELS_PREFIX).rpartition("/")
    return name, part


def method_of(endpoint: str) -> str:
    """Return the HTTP method of *endpoint*."""
    return _METHODS.get(endpoint, "GET")


def is_upload(endpoint: str) -> bool:
    """Whether *endpoint* belongs to the upload host, which formats its errors differently."""
    return endpoint in _UPLOADS


@attrs.frozen(kw_only=True)
class SimRequest:
    """One HTTP request as it was received."""

    method: str
    #: Without the query string.
    path: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    #: Header names are in lower case.
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")

    @property
    def endpoint(self) -> str:
        """The endpoint's name, ``download`` or ``unknown``."""
        return endpoint_of(self.path)

    @property
    def kind(self) -> str:
        """The dedicated endpoint that does the same as this request of the jobs route; else the endpoint's name."""
        return kind_of(self.endpoint, self.body)

    @property
    def key(self) -> str:
        """The bearer key, or an empty string."""
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    def json(self) -> Any:
        """Return the body parsed as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@attrs.frozen(kw_only=True)
class Delivery:
    """How a response is sent when a fault changes that. Times are simulated seconds."""

    #: Wait this long before the first byte.
    delay_s: float = 0.0
    #: How the connection ends early: closed normally, or reset.
    cut: Literal["close", "reset"] | None = None
    #: Bytes of the body to send before the cut; None sends nothing at all, not even the headers.
    cut_at: int | None = None
    #: Wait this long after each single byte of the body.
    drip_s: float = 0.0
    #: How often to send the body, in chunks; infinity never ends.
    repeat: float = 1.0
    #: The connection is refused. Only the in-memory frontend can do this for a single request.
    unreachable: bool = False


PLAIN = Delivery()


@attrs.frozen(kw_only=True)
class SimResponse:
    """One HTTP response."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    delivery: Delivery = PLAIN

    def with_header(self, name: str, value: str) -> "SimResponse":
        """Return a copy in which header *name* has this one value."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return attrs.evolve(self, headers=(*kept, (name, value)))

    def json(self) -> Any:
        """Return the body parsed as JSON."""
        return json.loads(self.body)


def kind_of(endpoint: str, body: bytes) -> str:
    """Return the dedicated endpoint that does the same as a request to *endpoint* with *body*, or *endpoint*."""
    if endpoint == "job-record":
        return "record-info"
    if endpoint != "create-task":
        return endpoint
    content = SimRequest(method="POST", path="", body=body).json()
    model = content.get("model") if isinstance(content, dict) else None
    return _KINDS.get(model, endpoint) if isinstance(model, str) else endpoint


def encode(payload: Any) -> bytes:
    """Return *payload* as the provider writes JSON: compact, in UTF-8."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")


def envelope(data: Any = None, *, code: int = 200, message: str = "success") -> bytes:
    """Return the JSON envelope that every API response has."""
    return encode({"code": code, "msg": message, "data": data})


def success(data: Any) -> SimResponse:
    """Return a response with code 200 and *data*."""
    return SimResponse(body=envelope(data))


class ErrorResponse(Exception):
    """The provider rejects a request. Raised while the request is handled and converted to a response at the end."""

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
        #: ``http`` uses the code as the HTTP status, ``body`` sends HTTP 200; None leaves it to the settings.
        self.form = form
        self.headers = headers

    def to_response(self, default_form: Literal["body", "http"]) -> SimResponse:
        """Return the response to send, in *default_form* unless this error has its own form."""
        status = self.code if (self.form or default_form) == "http" else 200
        body = envelope(self.data, code=self.code, message=self.message)
        return SimResponse(status=status, headers=(("Content-Type", "application/json"), *self.headers), body=body)
