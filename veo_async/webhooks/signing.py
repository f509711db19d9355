"""Verifies the signature of a callback, which shows who sent it and when.

The signature covers the task id and the time, and nothing else; the docstring of the package says what follows from
this. The provider's documentation shows the task id in four places. `verify` accepts a signature of any of these ids
and returns the signed one.
"""

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from veo_async._wire import sign_callback
from veo_async._wire.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from veo_async._wire.task_ids import is_from_provider
from veo_async.errors import InvalidSignature

#: How many seconds the time of a callback may differ from ours, in both directions: for retries and inexact clocks.
TOLERANCE_S: Final = 300.0
_TIMESTAMP: Final = re.compile(r"[0-9]{9,11}", re.ASCII)
_DIGEST_BYTES: Final = 32


def verify(
    body: bytes,
    headers: Mapping[str, str],
    keys: str | Sequence[str],
    *,
    now: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """Return the task id that the provider signed.

    Args:
        headers: the request headers, with names in any case.
        keys: the webhook secret, or several while you replace one with another.
        now: the current time as a Unix timestamp; by default this machine's clock.
        tolerance_s: how many seconds the time of the callback may differ from *now*.

    Raises:
        InvalidSignature: the signature is missing, made with another secret, of another task, or of another time.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    timestamp = _parse_timestamp(lowered.get(TIMESTAMP_HEADER.lower(), ""))
    at = time.time() if now is None else now  # noqa: TID251  # signed with the provider's wall clock
    if abs(at - timestamp) > tolerance_s:
        raise InvalidSignature(f"signed {abs(at - timestamp):.0f} s {'ago' if at > timestamp else 'in the future'}")
    signature = _parse_signature(lowered.get(SIGNATURE_HEADER.lower(), ""))
    is_valid, signed_id = False, ""
    for task_id in find_task_ids(body):
        for key in [keys] if isinstance(keys, str) else keys:
            # Always compare all of them, so that the duration reveals nothing.
            if hmac.compare_digest(sign_callback(task_id, timestamp, key), signature):
                is_valid, signed_id = True, task_id
    if not is_valid:
        raise InvalidSignature("the signature does not match this secret and task")
    return signed_id


def find_task_ids(body: bytes) -> Iterator[str]:
    """Yield the task ids in all places of *body* that the provider's documentation shows, each id once."""
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return
    data = parsed.get("data") if isinstance(parsed, dict) else None
    places = [(data, "taskId"), (data, "task_id"), (parsed, "taskId"), (parsed, "task_id")]
    values = [place.get(name) for place, name in places if isinstance(place, dict)]
    yield from dict.fromkeys(value for value in values if isinstance(value, str) and is_from_provider(value))


def _parse_timestamp(text: str) -> int:
    if not _TIMESTAMP.fullmatch(text):
        raise InvalidSignature(f"{TIMESTAMP_HEADER} is missing or not a timestamp")
    return int(text)


def _parse_signature(text: str) -> str:
    """Return *text* if it is the canonical base64 form of a digest."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _DIGEST_BYTES or base64.b64encode(digest).decode() != text:
        raise InvalidSignature(f"{SIGNATURE_HEADER} is missing or malformed")
    return text
