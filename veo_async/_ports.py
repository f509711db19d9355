"""Interfaces between the packages, and the values that cross them.

The session passes the concrete objects in; all other code knows only these protocols.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import attrs

from ._wire import HttpResponse


@attrs.frozen(kw_only=True)
class HttpRequest:
    """One HTTP request to send."""

    method: str
    url: str
    #: Contains the API key; secret values mask themselves in ``repr``.
    headers: Mapping[str, str]
    body: bytes | None = attrs.field(default=None, repr=lambda body: "None" if body is None else f"<{len(body)} bytes>")
    #: Seconds for the whole exchange, including connecting and reading.
    timeout_s: float


class Transport(Protocol):
    """Sends one HTTP request and reports what happened."""

    async def send(self, request: HttpRequest, /) -> HttpResponse:
        """Send *request* and return the complete response.

        Raises:
            NotSent: no byte of the request was sent.
            ResponseLost: it was sent, fully or in part, but no complete response arrived.
            MalformedResponse: the response is not valid HTTP or too large.
        """
        ...

    async def close(self) -> None:
        """Close what this transport has opened, and nothing else."""
        ...


# --- the ledger: where jobs are stored --------------------------------------------------------------------------

#: How far in the future a time on a ledger may be, in seconds: the longest Retry-After, and clocks that differ a bit.
#: A later time was written while a clock was wrong.
MAX_AHEAD_S = 120.0

#: How many jobs are on a page.
PAGE_SIZE = 500

#: What a column or an item of evidence can be.
Scalar = str | int | float | bool | None


@attrs.frozen(kw_only=True)
class JobRow:
    """A job as the ledger stores it: plain values only, so that any ledger and any later version can read it.

    All times are wall-clock seconds since 1970.
    """

    key: str
    #: The account that pays: a hash of the API key, or a name chosen by the user.
    account: str
    #: The value of a `JobState`; ``unreadable`` for a row that is damaged, and that no transition changes.
    state: str
    #: The request as JSON with sorted names, the same for equal requests; None for an adopted task.
    request: str | None
    #: The kind of creating request: generate, extend or upgrade.
    kind: str = "generate"
    tenant: str = ""
    priority: str = "batch"
    #: The user's metadata, as JSON.
    metadata: str | None = None
    task_id: str | None = None
    #: The callback token of the latest attempt; the tokens of earlier attempts lead to the job as well.
    token: str | None = None
    #: How many creating requests may have been charged.
    attempts: int = 0
    #: The id of the ledger session that owns the job, or owned it until its process died; None if there never was one.
    owner: str | None = None
    submitted_at: float
    #: When the latest attempt was sent.
    sent_at: float | None = None
    #: If the job has not been sent by then, it never will be.
    deadline: float | None = None
    ended_at: float | None = None
    #: How the job ended, as JSON: the record or the error.
    outcome: str | None = None
    #: Where to save the clip; until that is done, a ready job is not finished.
    save_to: str | None = None
    #: The budget under which it was submitted, by name.
    budget: str | None = None
    #: The price of its latest request in credits; None if unknown.
    price: float | None = None
    #: What it has cost, or may cost: the price of each request that was or may have been charged, or is still to be
    #: sent. 0.0 after it ended without a charge; None if a price is unknown.
    credits: float | None = None
    #: The route by which its task was or will be created; polls and follow-ups use the same one. None if that is not
    #: known yet, of an adopted task.
    route: str | None = "veo"
    #: What the provider says the task has cost; None if it is not known.
    credits_consumed: float | None = None
    #: The clip from which an upgrade or extension continues: the key of its job, or its task. None for other jobs.
    source: str | None = None


@attrs.frozen(kw_only=True)
class BudgetUse:
    """How much of a named budget is used, by the jobs of all sessions; jobs that were pruned count, too.

    Attributes:
        spent: credits of the jobs that have ended.
        reserved: credits of the jobs that may still cost something: queued, sending, running or in doubt.
    """

    spent: float = 0.0
    reserved: float = 0.0


@attrs.frozen(kw_only=True)
class NewJob:
    """A row to insert, unless its key exists."""

    row: JobRow
    #: The finished row of the same key that *row* replaces. If the stored row has another state by now, nothing is
    #: inserted.
    replaces: JobRow | None = None


@attrs.frozen(kw_only=True)
class Transition:
    """One change of a job's state. The ledger writes it with all its *changes*, or not at all."""

    key: str
    #: The value of an `Event`.
    event: str
    #: The state the job must be in, and its new state.
    before: str
    after: str
    at: float
    #: New values for columns of `JobRow`. The history keeps nothing twice: not ``outcome`` and ``save_to``, which are
    #: on the job's row, no time that is *at*, and no evidence that is also here.
    changes: Mapping[str, Scalar] = attrs.field(factory=dict)
    #: Codes, ids and byte counts for the provider's support. Stored for the timeline only; no code depends on it.
    evidence: Mapping[str, Scalar] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class RateClaim:
    """One creating request that this session's gate allows and the other sessions must allow as well."""

    #: The rate limit as this session estimates it: `limit` calls in any window of `window_s`.
    limit: int
    window_s: float
    #: This session's calls in that window, without this one.
    own_calls: int


@attrs.frozen(kw_only=True)
class AccountActivity:
    """What the other sessions on this ledger have done with the same account."""

    #: When calls of other sessions were sent or received a response; each is reported once.
    calls: tuple[float, ...] = ()
    #: Nothing may be sent before this time. It is always in the future if a permit is refused: ask again then.
    closed_until: float = 0.0


@attrs.frozen(kw_only=True)
class SendPermit:
    """The response to a `RateClaim`."""

    #: Whether the transition was written and the request may be sent; otherwise nothing was written.
    is_granted: bool
    gate: AccountActivity


#: How many task ids that callbacks claim are kept for one token; of more, the oldest are dropped. Only one is true and
#: it may come last, but someone who knows the token can claim any number.
MAX_HINTS_PER_TOKEN = 4096


@attrs.frozen(kw_only=True)
class CallbackHint:
    """An unverified callback: its sender knew an attempt's token and claims that this task resulted from it."""

    key: str
    token: str
    task_id: str


@attrs.frozen(kw_only=True)
class LedgerChanges:
    """What happened on the ledger since the last call of `LedgerSession.changes`."""

    #: Jobs whose owner died and that this session owns now.
    taken_over: tuple[JobRow, ...] = ()
    #: Jobs of this account changed by other sessions, or by a write of this session that had reported an error.
    changed: tuple[JobRow, ...] = ()
    #: Hints for jobs of this session.
    hints: tuple[CallbackHint, ...] = ()
    gate: AccountActivity = attrs.field(factory=AccountActivity)


@attrs.frozen(kw_only=True)
class JobQuery:
    """Which jobs of a ledger to read or count: those that meet all conditions."""

    state: str | None = None
    tenant: str | None = None
    #: They were submitted then or later.
    since: float = -math.inf


#: A place in the order of jobs: after the job with this time and number.
Cursor = tuple[float, int]


@attrs.frozen
class JobPage:
    """Some jobs in the order of their times of submission, and where the next page begins."""

    rows: Sequence[JobRow]
    #: None on the last page.
    next: Cursor | None


class TaskAlreadyBound(Exception):  # not a VeoError: the code that writes the transition decides what it means
    """A transition would give a job the task of another job."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        #: The job that has the task.
        self.key = key


class LedgerSession(Protocol):
    """One session's handle on a ledger.

    **Durability.** When an awaited call returns, its change is synced to disk. A cancelled call may still take effect.
    Calls take effect in the order in which they were made, whether they are awaited or not.

    **Ownership.** A ledger session owns the jobs it inserts, and those it takes over because their owner died. A
    transition of another session's job is refused, except for jobs in doubt: any session with evidence may change them.

    Every method raises `LedgerError` if the ledger is unavailable; in that case nothing was changed.
    """

    @property
    def session_id(self) -> str:
        """The unique id of this ledger session, never used again."""
        ...

    @property
    def secret(self) -> bytes:
        """The ledger's secret, which signs callback tokens."""
        ...

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None, budget_limit: float | None = None) -> JobRow:
        """Insert *row*, owned by this session, unless its key exists. Return the stored row of that key.

        Args:
            replaces: see `NewJob`.
            budget_limit: see `insert_all`.

        Raises:
            BudgetExceeded: it exceeds the limit of its budget; nothing was inserted.
            TaskAlreadyBound: the task of *row* belongs to another job; nothing was inserted.
        """
        ...

    async def insert_all(self, jobs: Sequence[NewJob], *, budget_limit: float | None = None) -> list[JobRow]:
        """Insert several jobs in one transaction: all that are new, or none. Return the stored row of each key.

        What the new rows cost is added to the use of their budget in the same transaction, so that any number of
        sessions together stay within its limit. All of them must have the same budget.

        Args:
            budget_limit: the limit of their budget; None for none.

        Raises:
            BudgetExceeded: together with what is spent and reserved they exceed the limit, or a price is unknown.
            TaskAlreadyBound: the task of a row belongs to another job; nothing was inserted.
        """
        ...

    async def budget_use(self, name: str) -> BudgetUse:
        """Return what the jobs of the budget *name* have spent and reserved."""
        ...

    async def apply(
        self, transition: Transition, /, *, closed_until: float = 0.0, budget_limit: float | None = None
    ) -> bool:
        """Write *transition*. Return False, and write nothing, if the job is missing, in another state or not ours.

        A job whose owner is dead becomes this session's.

        Args:
            closed_until: close the account's gate until then, for all sessions.
            budget_limit: the limit of the job's budget, if the transition costs credits.

        Raises:
            BudgetExceeded: the transition exceeds that limit; nothing was written.
            TaskAlreadyBound: the task belongs to another job; nothing was written.
        """
        ...

    async def begin_send(self, transition: Transition, claim: RateClaim, /) -> SendPermit | None:
        """Record that a creating request is about to be sent, if the calls of the other sessions leave room for it.

        The changes contain the attempt's ``token``, which leads to the job from now on. Return None where `apply`
        would return False.
        """
        ...

    async def changes(self, at: float) -> LedgerChanges:
        """Return what has happened since the last call; the first call returns all unfinished jobs.

        Jobs in ``sending`` whose owner is dead are moved to ``in_doubt`` first, because the outcome of their request
        is unknown.
        """
        ...

    async def add_hint(self, token: str, task_id: str, at: float) -> bool:
        """Store an unverified callback for the job's owner and announce it. Return False if no attempt has this token.

        A repeated hint is announced again, because the first one may have arrived too early. For each token the last
        `MAX_HINTS_PER_TOKEN` different ones are kept.
        """
        ...

    async def get(self, key: str) -> JobRow | None:
        """Return the job with this key, of any account."""
        ...

    async def job_of_task(self, task_id: str) -> JobRow | None:
        """Return the job with this task."""
        ...

    async def follow_ups(self, sources: Collection[str]) -> list[JobRow]:
        """Return the jobs with one of these sources, of any account, in the order of submission."""
        ...

    async def jobs(self, states: Collection[str] | None = None) -> list[JobRow]:
        """Return the jobs of this session's account (of all accounts if it has none), in the order of submission.

        All of them are in memory then; for a list that may be long use `page`.
        """
        ...

    async def page(self, query: JobQuery, after: Cursor | None = None, *, size: int = PAGE_SIZE) -> JobPage:
        """Return the next jobs of this session's account (of all accounts if it has none).

        A job that is submitted again in the meantime moves to the end. Otherwise each job is on one page.

        Args:
            after: the previous page's ``next``; None for the first page.
            size: the number of jobs.
        """
        ...

    async def before_newest(self, query: JobQuery, count: int) -> Cursor | None:
        """Return the place from which only the newest *count* jobs follow; None if there are no more than that."""
        ...

    async def counts(self, query: JobQuery) -> dict[str, int]:
        """Return how many of this session's account's jobs (of all accounts if it has none) are in each state."""
        ...

    async def transitions(self, key: str) -> list[Transition]:
        """Return the transitions of one job, from ``submit`` on."""
        ...

    async def prune(self, before: float) -> int:
        """Delete this account's finished jobs that ended before *before*, and return how many were deleted.

        A job is kept while an unfinished upgrade or extension continues from it. Other sessions can write in between:
        many jobs are deleted in several transactions. If it fails or is cancelled, some are already deleted.

        Finished are jobs in the states saved, refused, failed, expired and abandoned, and in ready without a save
        target. Their transitions, attempts, hints and sent calls are deleted, too; sent calls from the hour before
        *before* are kept, because they may still count towards the rate limit. A session without an account prunes
        all accounts.

        **A pruned key that is submitted again is paid for again**, and its callbacks no longer lead to a job. Other
        sessions are not notified: one that has not read the changes since a job ended never learns how it ended. So
        *before* should be days in the past.
        """
        ...

    async def prunable(self, before: float) -> int:
        """Return how many jobs `prune` would delete."""
        ...

    async def knowledge(self) -> str | None:
        """Return the knowledge about the account's limits that was saved last, as JSON."""
        ...

    async def save_knowledge(self, knowledge: str) -> None:
        """Save knowledge about the account's limits for later sessions."""
        ...

    async def close(self) -> None:
        """Close the handle. Other sessions may take over its unfinished jobs from now on."""
        ...


class Ledger(Protocol):
    """Stores jobs, so that they outlive a session."""

    async def open(self, account: str | None) -> LedgerSession:
        """Open a ledger session for one account, or with None one for reading and repairs, which takes nothing over.

        Raises:
            LedgerUnusable: it is corrupt, another program's, newer than this version, or has no reliable locks; it was
                not modified.
            LedgerError: it cannot be opened at the moment.
        """
        ...
