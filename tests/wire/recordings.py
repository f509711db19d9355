"""The recorded answers: bodies as files, one folder per dialect, the endpoint in front of the first dot."""

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
    """The recorded bytes called *name*, e.g. ``real/record-info.success``."""
    return (FOLDER / f"{name}.json").read_bytes()


def json_of(name: str) -> dict[str, Any]:
    """The recorded body as plain JSON, by the standard parser."""
    value: dict[str, Any] = json.loads(body_of(name))
    return value


def endpoint_of(name: str) -> str:
    """The endpoint's name, or ``callback``."""
    return name.split("/")[1].split(".")[0]


def read_body(endpoint: str, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """What *body* means when *endpoint* sends it, or when it is posted to us as a callback."""
    if endpoint == "callback":
        return parse_callback(body)
    return decode_response(endpoint_named(endpoint), HttpResponse(status=status, headers=headers or {}, body=body))


def read_json(endpoint: str, value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """The same for a JSON value."""
    return read_body(endpoint, json.dumps(value).encode(), status=status, headers=headers)


def envelope(data: Any = None, *, code: Any = 200, msg: Any = "success") -> dict[str, Any]:
    """The frame that the provider puts around everything."""
    return {"code": code, "msg": msg, "data": data}


def twins(value: T) -> list[T]:
    """*value* as it comes back from each way of being copied."""
    pickled = [pickle.loads(pickle.dumps(value, protocol)) for protocol in range(6)]  # noqa: S301 - our own bytes
    return [*pickled, copy.copy(value), copy.deepcopy(value)]
