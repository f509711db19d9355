"""What to answer a callback, without any web framework: decisions here, bytes in `routes` and `asgi`.

In this order, the cheapest first, so that what is not ours costs next to nothing:

=====  =====================================================================================================
405    not a POST
404    the last part of the path is no token of this ledger's; told without asking the ledger
415    the body is packed: nothing is unpacked that anybody may send
413    the body is larger than 64 KiB, by its own word or when it is read; 408 when it does not come
401    a key is set, and the signature is missing, wrong or out of date
400    not JSON of the provider's form, or without a task id
503    the session is not open, the ledger does not take the hint just now, or more are being written than is
       sensible: come again
200    the hint is on the ledger, or its task is in hand here and is looked at
=====  =====================================================================================================

Nothing is asked over the network in between. The hint is durable before the 200, because the provider does not come
again after it, and of a job whose answer was lost the hint is all there is. The same told again is the same line of the
ledger, and is followed again: the first may have been somebody else's, who saw the address. Of one token at most
`MAX_TASKS_PER_TOKEN` tasks are kept: one attempt makes one task, and whoever names more has no business here.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import attrs

from veo_async._wire import parse_callback
from veo_async._wire.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from veo_async.errors import InvalidSignature, MalformedResponse, SessionEnded, VeoError

from .signing import verify

#: Real ones have a few hundred bytes; the prompt comes back in some.
MAX_BODY_BYTES: Final = 64 * 1024
#: Seconds for the body to come whole; the provider waits 15 for the whole answer.
READ_TIMEOUT_S: Final = 5.0
#: Seconds for the ledger to take a hint.
WRITE_TIMEOUT_S: Final = 5.0
#: Hints that are being written at once; what comes on top is told to come again.
MAX_CONCURRENT_WRITES: Final = 256
#: Tokens of which it is remembered what they were told with.
MAX_REMEMBERED_TOKENS: Final = 4096
#: Tasks that are believed to be worth a look for one token.
MAX_TASKS_PER_TOKEN: Final = 8

#: All that is read of the headers.
KEPT_HEADERS: Final = ("content-length", "content-encoding", TIMESTAMP_HEADER.lower(), SIGNATURE_HEADER.lower())

OK: Final = 200


@attrs.frozen
class ReceiverStatistics:
    """What came in, by how it was answered: HTTP status to number."""

    responses: Mapping[int, int]


class Receiver:
    """Answers callbacks.

    Args:
        is_ours: whether a token is of this ledger.
        is_known: whether what a callback says need not be kept, because its task is in hand; it is looked at then.
        hint: keeps what a callback says, durably; False when no attempt has that token.
        keys: the webhook keys; none: callbacks are not signed.
        now: the wall clock.
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
        self._is_ours, self._is_known, self._hint = is_valid_token, is_tracked, hint
        self._keys, self._now = tuple(signing_keys), now
        self._answers: Counter[int] = Counter()
        self._writing: dict[tuple[str, str], asyncio.Task[int]] = {}
        self._tasks_by_token: OrderedDict[str, set[str]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Receiver {dict(self._answers)}>"

    @property
    def statistics(self) -> ReceiverStatistics:
        return ReceiverStatistics(dict(self._answers))

    async def respond(
        self, method: str, path: str, headers: Mapping[str, str], read: Callable[[int], Awaitable[bytes | None]]
    ) -> int:
        """The HTTP status to answer with.

        Args:
            headers: with lower-case names.
            read: reads the body; None when it is larger than so many bytes.
        """
        try:
            status = await self._status_for(method, path.rstrip("/").rpartition("/")[2], headers, read)
        except SessionEnded:
            status = 503
        self._answers[status] += 1
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
            task_id = verify(body, headers, self._keys, now=self._now()) if self._keys else parse_callback(body).task_id
        except InvalidSignature:
            return 401
        except MalformedResponse:
            return 400
        return await self._store(token, task_id)

    def _reject_early(self, method: str, token: str, headers: Mapping[str, str]) -> int | None:
        if method != "POST":
            return 405
        if not self._is_ours(token):
            return 404
        if headers.get("content-encoding", "identity").lower() != "identity":
            return 415
        length = headers.get("content-length", "0")
        return None if length.isdecimal() and int(length) <= MAX_BODY_BYTES else 413

    async def _store(self, token: str, task_id: str) -> int:
        if self._is_known(token, task_id):
            return OK
        told = (token, task_id)
        writing = self._writing.get(told)
        if writing is None:
            if len(self._writing) >= MAX_CONCURRENT_WRITES:
                return 503
            if not self._accepts_task(token, task_id):
                return OK
            writing = self._writing[told] = asyncio.create_task(self._write(token, task_id), name="veo.callback")
            writing.add_done_callback(lambda _: self._writing.pop(told))
        # Whoever tells the same meanwhile shares the write; a connection that is gone takes nobody's write with it.
        return await asyncio.shield(writing)

    async def _write(self, token: str, task_id: str) -> int:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                is_tracked = await self._hint(token, task_id)
        except (VeoError, TimeoutError):
            return 503
        return OK if is_tracked else 404

    def _accepts_task(self, token: str, task_id: str) -> bool:
        names = self._tasks_by_token.setdefault(token, set())
        self._tasks_by_token.move_to_end(token)
        if len(self._tasks_by_token) > MAX_REMEMBERED_TOKENS:
            self._tasks_by_token.popitem(last=False)
        if task_id not in names and len(names) >= MAX_TASKS_PER_TOKEN:
            return False
        names.add(task_id)
        return True
