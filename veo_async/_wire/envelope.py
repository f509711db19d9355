"""The envelope of every response: ``{"code": 200, "msg": "success", "data": …}``."""

from collections.abc import Mapping
from typing import Any

import attrs

from veo_async.errors import MalformedResponse, printable

from . import strict_json
from .fields import ENVELOPE, read_fields

_EXCERPT_LIMIT = 200


@attrs.frozen(kw_only=True)
class HttpResponse:
    """The response to one HTTP request, read completely; plain values only."""

    #: The HTTP status.
    status: int
    #: ``retry-after`` and ``date`` if present: the only two that are used. Repeated values are joined by commas.
    headers: Mapping[str, str] = attrs.field(factory=dict)
    #: The body, decompressed, within the reader's size limit.
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    #: When it arrived, in epoch seconds by our own clock. Only used for a ``Retry-After`` date without ``Date``.
    received_at: float | None = None


@attrs.frozen(kw_only=True)
class Envelope:
    """A parsed envelope. The endpoint interprets ``data``."""

    #: The code in the body: 200 for success.
    code: int
    message: str
    data: Any
    raw: Mapping[str, Any] = attrs.field(repr=False)


def parse_envelope(body: bytes) -> Envelope:
    """Return the envelope in *body*.

    Raises:
        MalformedResponse: it is not JSON, not an object, or has no code.
    """
    try:
        raw = strict_json.parse(body)
    except strict_json.NotJson as exc:
        raise MalformedResponse(f"not JSON: {exc}", excerpt=excerpt(body)) from None
    if not isinstance(raw, dict):
        raise MalformedResponse(f"a JSON {type(raw).__name__} instead of an object", excerpt=excerpt(body))
    found = read_fields(ENVELOPE, raw)
    code = found.get("code")
    if code is None:
        raise MalformedResponse("the response has no code", excerpt=excerpt(body))
    return Envelope(code=code, message=found.get("message", ""), data=found.get("data"), raw=raw)


def excerpt(body: bytes) -> str:
    """Return the beginning of *body*, made printable."""
    return printable(body[: 4 * _EXCERPT_LIMIT].decode("utf-8", "replace"), _EXCERPT_LIMIT)
