"""Decides how to respond to a callback, independent of any web framework; `routes` and `asgi` connect it to one.

The checks run in this order, the cheapest first, so that unwanted requests cost almost nothing:

===  =====================================================================================================
405  The method is not POST.
404  The last part of the path is not a token of this ledger. This check does not read the ledger.
415  The body is compressed. We do not decompress data from unknown senders.
413  The body is larger than 64 KiB, as announced or as received.
408  The body does not arrive in time.
401  A webhook secret is set, and the signature is missing, wrong or too old.
400  The body is not a callback of the provider, or it has no task id.
503  The session is not open, the ledger cannot store the hint now, or too many hints are being stored. The
     provider sends the callback again.
404  No attempt on the ledger has this token.
200  The hint is on the ledger, or the session is tracking the task and polls it.
===  =====================================================================================================

No request is sent to the provider before responding. The hint is durable before the 200, because the provider does not
repeat a callback that was acknowledged, and for a job whose response was lost the hint may be the only trace of its
task. A repeated hint is stored only once but followed again: the first one may have been sent by someone else who saw
the URL. A false callback looks like the true one until its record is read, so none is
rejected because of others; the ledger bounds how many are kept for each token.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import attrs

from veo_async._wire import parse_callback
from veo_async._wire.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from veo_async.errors import InvalidSignature, MalformedResponse, SessionEnded, VeoError

from .signing import verify

#: Real callbacks have a few hundred bytes, or more if they repeat the prompt.
MAX_BODY_BYTES: Final = 64 * 1024
#: How long the body may take, in seconds. The provider waits 15 s for the whole response.
READ_TIMEOUT_S: Final = 5.0
#: How long the ledger may take to store a hint, in seconds.
WRITE_TIMEOUT_S: Final = 5.0
#: How many hints may be stored at the same time. Further callbacks get a 503.
MAX_CONCURRENT_WRITES: Final = 256

#: The request headers that the receiver uses.
KEPT_HEADERS: Final = ("content-length", "content-encoding", TIMESTAMP_HEADER.lower(), SIGNATURE_HEADER.lower())

OK: Final = 200


@attrs.frozen
class ReceiverStatistics:
    """The number of callbacks received, by the HTTP status of our response."""

    responses: Mapping[int, int]


class Receiver:
    """Receives callbacks.

    Args:
        is_valid_token: whether a token belongs to this ledger.
        is_tracked: whether the session is tracking the task and need not store the hint; if so, it polls the task soon.
        hint: stores a hint durably; returns False if no attempt has the token.
        signing_keys: the webhook secrets; without any, signatures are not checked.
        now: the current time as a Unix timestamp.
    """

    def __init__(
        self,
        *,
        is_valid_token: Callable[[str], bool],
        is_tracked: Callable[[str, str], bool] = lambda *_: False,
        hint: Callable[[str, str], Awaitable[bool]],
        signing_keys: Sequence[str] = (),
        now: Callable[[], float],
    ) -> None:
        self._is_valid_token, self._is_tracked, self._hint = is_valid_token, is_tracked, hint
        self._signing_keys, self._now = tuple(signing_keys), now
        self._responses: Counter[int] = Counter()
        self._writes: dict[tuple[str, str], asyncio.Task[int]] = {}

    def __repr__(self) -> str:
        return f"<Receiver {dict(self._responses)}>"

    @property
    def statistics(self) -> ReceiverStatistics:
        return ReceiverStatistics(dict(self._responses))

    async def respond(
        self, method: str, path: str, headers: Mapping[str, str], read: Callable[[int], Awaitable[bytes | None]]
    ) -> int:
        """Return the HTTP status with which to respond.

        Args:
            headers: the request headers, with lower-case names.
            read: reads the body; returns None if it is larger than the given number of bytes.
        """
        try:
            status = await self._status_for(method, path.rstrip("/").rpartition("/")[2], headers, read)
        except SessionEnded:
            status = 503
        self._responses[status] += 1
        return status

    async def _status_for(
        self, method: str, token: str, headers: Mapping[str, str], read: Callable[[int], Awaitable[bytes | None]]
    ) -> int:
        if (status := self._reject_early(method, token, headers)) is not None:
            return status
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                body = await read(MAX_BODY_BYTES)
        except TimeoutError:
            return 408
        if body is None:
            return 413
        try:
            if self._signing_keys:
                task_id = verify(body, headers, self._signing_keys, now=self._now())
            else:
                task_id = parse_callback(body).task_id
        except InvalidSignature:
            return 401
        except MalformedResponse:
            return 400
        return await self._store(token, task_id)

    def _reject_early(self, method: str, token: str, headers: Mapping[str, str]) -> int | None:
        """Return the status of a request that can be rejected before its body is read, or None."""
        if method != "POST":
            return 405
        if not self._is_valid_token(token):
            return 404
        if headers.get("content-encoding", "identity").lower() != "identity":
            return 415
        length = headers.get("content-length", "0")
        return None if length.isdecimal() and int(length) <= MAX_BODY_BYTES else 413

    async def _store(self, token: str, task_id: str) -> int:
        if self._is_tracked(token, task_id):
            return OK
        hint = (token, task_id)
        write = self._writes.get(hint)
        if write is None:
            if len(self._writes) >= MAX_CONCURRENT_WRITES:
                return 503
            write = self._writes[hint] = asyncio.create_task(self._write(token, task_id), name="veo.callback")
            write.add_done_callback(lambda _: self._writes.pop(hint))
        # Concurrent callbacks with the same hint share one write, so a closed connection must not cancel it.
        return await asyncio.shield(write)

    async def _write(self, token: str, task_id: str) -> int:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                is_known_token = await self._hint(token, task_id)
        except (VeoError, TimeoutError):
            return 503
        return OK if is_known_token else 404
