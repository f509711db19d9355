"""Which account a job belongs to: the one that has it, or else the one that the rule chooses.

A key belongs to one account of the ledger, and the account of a new job is stored with the job, in one transaction and
before its request is sent. So a job stays on its account. The key is looked up before the rule is asked; if two
processes choose different accounts for one key at the same moment, the ledger refuses the later one, which then follows
the first.
"""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from veo_async._base.checks import check_choice, check_text
from veo_async.errors import KeyReused, SessionEnded, UsageError, VeoError
from veo_async.session import JobOptions, VeoSession
from veo_async.types import AnyRequest, Outcome, Refused, VideoOptions

from .rules import Rule, Submission

_ONE_LEDGER = "Give all of them the same ledger=, for example 'veo.db' or one MemoryLedger()."
_USE_SESSION = "Submit it to the session of that account, or name its source by after_key=."
#: The options that the automatic key depends on.
_IN_KEY = frozenset({"take", "tenant", *VideoOptions.__annotations__})


class Placement:
    """Finds the session for each job."""

    def __init__(self, sessions: Mapping[str, VeoSession], rule: Rule) -> None:
        self._sessions, self._rule = sessions, rule

    @property
    def sending(self) -> list[VeoSession]:
        """The sessions that send requests at present; all of them, if none does."""
        return [self._sessions[name] for name in self._names()]

    @property
    def buffersize(self) -> int:
        """How many jobs of `map` may be open at a time, so that no slot of any session stays empty."""
        return sum(max(200, 2 * session.statistics().max_in_flight) for session in self.sending)

    async def place(self, request: AnyRequest | str, key: str | None, options: JobOptions) -> tuple[str, VeoSession]:
        """Return the key of a job, and the session of the account that has it or is to have it.

        Raises:
            UsageError: the sessions are on different ledgers, the rule returned no account, or *request* continues
                from a task id.
        """
        self._check_one_ledger()
        if getattr(request, "task_id", ""):
            raise UsageError("a request with a task id needs the account of that task", remedy=_USE_SESSION)
        after_key = getattr(request, "after_key", None)
        source = await self.session_of(after_key) if after_key else None  # a follow-up needs the account of its source
        if key is None:
            key = await _automatic_key(source or self.sending[0], request, options)
        session = source or await self.session_of(key) or await self._choose(request, key, options)
        return key, session

    async def outcome_of(self, request: AnyRequest | str, key: str | None, options: JobOptions) -> Outcome:
        """Submit one request and wait for its outcome; an error is a value."""
        try:
            key, session = await self.place(request, key, options)
            outcome = await _outcome_on(session, request, key, options)
            is_reused = isinstance(outcome, Refused) and isinstance(outcome.error, KeyReused)
            other = await self.session_instead_of(session, key) if is_reused else None
            return outcome if other is None else await _outcome_on(other, request, key, options)
        except SessionEnded:
            raise
        except VeoError as error:  # only this request is refused
            return Refused(key or str(getattr(request, "prompt", request))[:40], error)

    async def session_of(self, key: str) -> VeoSession | None:
        """Return the session whose account has the job with this key; None if no account has it."""
        check_text("key", key)
        for session in self._sessions.values():
            with suppress(SessionEnded):  # if its account has the job, the ledger refuses the key on the others
                if await session.ledger.find(key) is not None:
                    return session
        return None

    async def session_instead_of(self, session: VeoSession, key: str) -> VeoSession | None:
        """Return the session that has the job with this key although *session* was chosen; None if there is none."""
        other = await self.session_of(key)
        return None if other is session else other

    async def _choose(self, request: AnyRequest | str, key: str, options: JobOptions) -> VeoSession:
        tenant = options.get("tenant", "")
        submission = Submission(request=request, key=key, tenant=tenant, options=options, accounts=self._names())
        name = self._rule(submission)
        if inspect.isawaitable(name):
            name = await name
        check_choice("the result of rule", name, self._sessions)
        return self._sessions[name]

    def _names(self) -> list[str]:
        return [name for name, session in self._sessions.items() if _is_sending(session)] or [*self._sessions]

    def _check_one_ledger(self) -> None:
        if len({session.ledger.id for session in self._sessions.values()}) > 1:
            names = ", ".join(map(repr, self._sessions))
            raise UsageError(f"the sessions {names} are on different ledgers", remedy=_ONE_LEDGER)


def _is_sending(session: VeoSession) -> bool:
    """Whether submission is not paused: the key is accepted, there are credits, and the provider responds."""
    try:
        return session.account.pause_reason is None
    except SessionEnded:
        return False


async def _outcome_on(session: VeoSession, request: AnyRequest | str, key: str, options: JobOptions) -> Outcome:
    [outcome] = [outcome async for outcome in session.map([request], key=lambda _: key, **options)]
    return outcome


async def _automatic_key(session: VeoSession, request: AnyRequest | str, options: JobOptions) -> str:
    given: Any = {name: value for name, value in options.items() if name in _IN_KEY}
    return await session.ledger.key_of(request, **given)
