"""The recorded responses: bodies as files, one folder per dialect; file names start with the endpoint."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any, TypeVar

from veo_async._wire import HttpResponse, decode_response, endpoint_named, parse_callback

T = TypeVar("T")

FOLDER = Path(__file__).parent / "recorded"
NAMES = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.json"))


def body_of(name: str) -> bytes:
    """Return the recorded bytes called *name*, for example ``real/record-info.success``."""
    return (FOLDER / f"{name}.json").read_bytes()


def json_of(name: str) -> dict[str, Any]:
    """Return the recorded body as plain JSON, parsed by the standard library."""
    value: dict[str, Any] = json.loads(body_of(name))
    return value


def endpoint_of(name: str) -> str:
    """Return the endpoint's name, or ``callback``."""
    return name.split("/")[1].split(".")[0]


def read_body(endpoint: str, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """Decode *body* as a response of *endpoint*, or as a callback."""
    if endpoint == "callback":
        return parse_callback(body)
    return decode_response(endpoint_named(endpoint), HttpResponse(status=status, headers=headers or {}, body=body))


def read_json(endpoint: str, value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """Decode a JSON value as a response of *endpoint*, or as a callback."""
    return read_body(endpoint, json.dumps(value).encode(), status=status, headers=headers)


def envelope(data: Any = None, *, code: Any = 200, msg: Any = "success") -> dict[str, Any]:
    """Return the provider's envelope around *data*."""
    return {"code": code, "msg": msg, "data": data}


def twins(value: T) -> list[T]:
    """Return copies of *value* from every pickle protocol, copy and deepcopy."""
    pickled = [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(6)]  # noqa: S301 - our own bytes
    return [*pickled, copy.copy(value), copy.deepcopy(value)]
