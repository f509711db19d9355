"""`Accounts`: several sessions, each with its own account, as one object."""

from __future__ import annotations  # short names in help()

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Self, Unpack

import anyio

from veo_async._base.checks import check_count, reject
from veo_async._base.concurrent_map import concurrent_map
from veo_async.errors import KeyReused, SessionEnded
from veo_async.media.templates import numbered
from veo_async.progress import ProgressCallback, callback_of
from veo_async.session import JobOptions, ListReporter, OutcomeStream, Statistics, VeoSession
from veo_async.types import AnyRequest, Clip, Job, Outcome, Outcomes, VideoRequest

from .placement import Placement
from .rules import RuleSetting, rule_from


class Accounts(anyio.AsyncContextManagerMixin):
    """Several accounts, and a rule that decides which of them a new job goes to.

    ``async with`` opens the sessions and closes them. Sessions that are open already need no ``async with``.

    Args:
        sessions: the session of each account, by a name of your choice; all on the same ledger.
        rule: ``"round-robin"``; ``"balance"``, the account with the most credits; ``"tenant"``, the same account for
            all jobs of a tenant; the account of each tenant, as in ``{"anna": "main"}``; or a function, plain or async,
            that takes a `Submission` and returns the name of an account.
    """

    def __init__(self, sessions: Mapping[str, VeoSession], *, rule: RuleSetting = "round-robin") -> None:
        if not isinstance(sessions, Mapping) or not sessions:
            reject("sessions", sessions, "must be the sessions by name, for example {'main': VeoSession(…)}")
        #: The session of each account.
        self.sessions: Mapping[str, VeoSession] = dict(sessions)
        self._placement = Placement(self.sessions, rule_from(rule, self.sessions))
        self._readers: set[asyncio.Task[None]] = set()  # they read the input of `map`

    def __repr__(self) -> str:
        return f"<Accounts {', '.join(self.sessions)}>"

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        """Open the sessions for an ``async with`` block, and close them afterwards."""
        async with AsyncExitStack() as stack:
            for session in self.sessions.values():
                await stack.enter_async_context(session)
            stack.callback(self._stop)  # one closes after the other
            yield self

    async def close(self) -> None:
        """Close all sessions, as leaving the block does."""
        async with AsyncExitStack() as stack:
            for session in self.sessions.values():
                stack.push_async_callback(session.close)
            stack.callback(self._stop)

    def _stop(self) -> None:
        self.stop_sending()
        for reader in self._readers:
            reader.cancel()

    async def submit(self, request: AnyRequest | str, *, key: str | None = None, **options: Unpack[JobOptions]) -> Job:
        """Queue one job on the account that has its key, or else on the one that the rule chooses.

        Takes the arguments of `VeoSession.submit`, and raises the same errors.
        """
        key, session = await self._placement.place(request, key, options)
        try:
            return await session.submit(request, key=key, **options)
        except KeyReused:
            if (other := await self._placement.session_instead_of(session, key)) is None:
                raise
            return await other.submit(request, key=key, **options)

    async def generate(
        self,
        request: AnyRequest | str,
        *,
        key: str | None = None,
        progress: bool | ProgressCallback = False,
        **options: Unpack[JobOptions],
    ) -> Clip:
        """Generate one clip; see `VeoSession.generate`."""
        callback = callback_of(progress)
        return await (await self.submit(request, key=key, **options)).wait(progress=callback or False)

    def map(
        self,
        requests: Iterable[AnyRequest | str] | AsyncIterable[AnyRequest | str],
        *,
        ordered: bool = False,
        key: Callable[[AnyRequest], str] | None = None,
        buffersize: int | None = None,
        progress: bool | ProgressCallback = False,
        **options: Unpack[JobOptions],
    ) -> OutcomeStream:
        """Yield the outcomes of many requests, of all accounts; see `VeoSession.map`.

        Args:
            buffersize: as for `VeoSession.map`; the default is the sum of those of all sessions.
        """
        one = self._placement.sending[0]
        one.map(requests, ordered=ordered, key=key, **options)  # checks the arguments, and reads nothing yet
        size = self._placement.buffersize if buffersize is None else buffersize
        check_count("buffersize", size)
        reporter, numbers = ListReporter(progress, requests), itertools.count(1)

        async def run_one(request: AnyRequest | str) -> Outcome:
            own: JobOptions = {**options, "save_to": numbered(options.get("save_to"), next(numbers))}
            reporter.submitting()
            name = key(VideoRequest(request) if isinstance(request, str) else request) if key else None
            outcome = await self._placement.outcome_of(request, name, own)
            reporter.finished(outcome)
            return outcome

        outcomes = concurrent_map(run_one, requests, buffersize=size, ordered=ordered, readers=self._readers)
        return OutcomeStream(outcomes, reporter.close)

    async def gather(
        self, *requests: AnyRequest | str, progress: bool | ProgressCallback = False, **options: Unpack[JobOptions]
    ) -> Outcomes:
        """Return the outcomes of a few requests, in their order; see `VeoSession.gather`."""
        outcomes = self.map(requests, ordered=True, buffersize=max(1, len(requests)), progress=progress, **options)
        return Outcomes([outcome async for outcome in outcomes])

    async def find(self, key: str) -> Job | None:
        """Return the job with this key, of any account; None if there is none."""
        session = await self.session_of(key)
        return None if session is None else await session.ledger.find(key)

    async def session_of(self, key: str) -> VeoSession | None:
        """Return the session whose account has the job with this key, for example to extend its clip."""
        return await self._placement.session_of(key)

    def stop_sending(self) -> None:
        """Send no more requests on any account, for good; see `VeoSession.stop_sending`."""
        for session in self.sessions.values():
            with suppress(SessionEnded):
                session.stop_sending()

    def statistics(self) -> dict[str, Statistics]:
        """Return a snapshot of each session, by the name of its account."""
        return {name: session.statistics() for name, session in self.sessions.items()}
