"""The frame around every answer: ``{"code": 200, "msg": "success", "data": …}``."""

from collections.abc import Mapping
from typing import Any

import attrs

from veo_async.errors import MalformedResponse, printable

from . import strict_json
from .fields import ENVELOPE, read_fields

_EXCERPT_LIMIT = 200


@attrs.frozen(kw_only=True)
class HttpResponse:
    """What one HTTP attempt brought back: plain values, read to the end."""

    #: The HTTP status.
    status: int
    #: ``retry-after`` and ``date``, the two that are read, where they came; repeated ones joined by a comma.
    headers: Mapping[str, str] = attrs.field(factory=dict)
    #: The body, decompressed, within the reader's bound.
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    #: Epoch seconds by our own clock when it had arrived; only used for a ``Retry-After`` date without ``Date``.
    received_at: float | None = None


@attrs.frozen(kw_only=True)
class Envelope:
    """The frame, opened; what is inside ``data`` is for the endpoint to read."""

    #: The code in the body: 200 for success.
    code: int
    message: str
    data: Any
    raw: Mapping[str, Any] = attrs.field(repr=False)


def parse_envelope(body: bytes) -> Envelope:
    """The envelope in *body*.

    Raises:
        MalformedResponse: it is not JSON, not an object, or has no code.
    """
    try:
        raw = strict_json.parse(body)
    except strict_json.NotJson as exc:
        raise MalformedResponse(f"not JSON: {exc}", excerpt=excerpt(body)) from None
    if not isinstance(raw, dict):
        raise MalformedResponse(f"a JSON {type(raw).__name__} where an object belongs", excerpt=excerpt(body))
    found = read_fields(ENVELOPE, raw)
    code = found.get("code")
    if code is None:
        raise MalformedResponse("an answer without a code", excerpt=excerpt(body))
    return Envelope(code=code, message=found.get("message", ""), data=found.get("data"), raw=raw)


def excerpt(body: bytes) -> str:
    """The beginning of *body*, fit to be shown."""
    return printable(body[: 4 * _EXCERPT_LIMIT].decode("utf-8", "replace"), _EXCERPT_LIMIT)
