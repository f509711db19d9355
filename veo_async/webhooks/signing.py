"""The signature of a callback: who sent it, and when.

It covers the task id and the time, and nothing else; see the package's docstring for what follows. The pages show the
task id in four places, so whichever of them the signature is of counts, and is given back.
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
from veo_async._wire.validation import is_encodable
from veo_async.errors import InvalidSignature

#: Seconds by which a callback's time may differ from ours, both ways: retries, and clocks that are a little off.
TOLERANCE_S: Final = 300.0
_STAMP: Final = re.compile(r"[0-9]{9,11}", re.ASCII)
_DIGEST_BYTES: Final = 32


def verify(
    body: bytes,
    headers: Mapping[str, str],
    keys: str | Sequence[str],
    *,
    now: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """The task id that the provider has signed.

    Args:
        headers: of the request; their case does not matter.
        keys: the key, or several while one takes over from another.
        now: the wall clock; without it this machine's.

    Raises:
        InvalidSignature: it is missing, of another key or another task, or from another time.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    stamp = _parse_timestamp(lowered.get(TIMESTAMP_HEADER.lower(), ""))
    at = time.time() if now is None else now  # noqa: TID251  # signed with the provider's wall clock
    if abs(at - stamp) > tolerance_s:
        raise InvalidSignature(f"signed {abs(at - stamp):.0f} s {'ago' if at > stamp else 'ahead of time'}")
    signature = _parse_signature(lowered.get(SIGNATURE_HEADER.lower(), ""))
    is_right, signed = False, ""
    for task_id in find_task_ids(body):
        for key in [keys] if isinstance(keys, str) else keys:
            # All of them, every time: how long it takes tells nothing.
            if hmac.compare_digest(sign_callback(task_id, stamp, key), signature):
                is_right, signed = True, task_id
    if not is_right:
        raise InvalidSignature("the signature is not of this key and task")
    return signed


def find_task_ids(body: bytes) -> Iterator[str]:
    """Every place of *body* where the task id may stand, by the provider's pages; each id once."""
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return
    data = parsed.get("data") if isinstance(parsed, dict) else None
    places = [(data, "taskId"), (data, "task_id"), (parsed, "taskId"), (parsed, "task_id")]
    found = [place.get(name) for place, name in places if isinstance(place, dict)]
    yield from dict.fromkeys(task_id for task_id in found if isinstance(task_id, str) and is_encodable(task_id))


def _parse_timestamp(text: str) -> int:
    if not _STAMP.fullmatch(text):
        raise InvalidSignature(f"{TIMESTAMP_HEADER} is missing or is no time")
    return int(text)


def _parse_signature(text: str) -> str:
    """*text*, if it is base64 of a digest in its one spelling."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _DIGEST_BYTES or base64.b64encode(digest).decode() != text:
        raise InvalidSignature(f"{SIGNATURE_HEADER} is missing or is no signature")
    return text
