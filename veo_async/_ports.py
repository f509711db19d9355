"""The seams between rooms: what crosses them, and what stands on the other side.

Whoever composes the client hands the concrete thing in; everyone else sees the Protocol.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import attrs

from ._wire import HttpResponse


@attrs.frozen(kw_only=True)
class HttpRequest:
    """One HTTP attempt that is wanted."""

    method: str
    url: str
    #: Holds the key; values that must not be shown mask themselves in ``repr``.
    headers: Mapping[str, str]
    body: bytes | None = attrs.field(default=None, repr=lambda body: "None" if body is None else f"<{len(body)} bytes>")
    #: Seconds for the whole attempt, connecting and reading included.
    timeout_s: float


class Transport(Protocol):
    """Makes one HTTP attempt and says what happened."""

    async def send(self, call: HttpRequest) -> HttpResponse:
        """The answer, read to its end.

        Raises:
            NotSent: not one byte of the request had left us.
            ResponseLost: it had left, fully or in part, and no whole answer came.
            MalformedResponse: what came is no HTTP answer within bounds.
        """
        ...

    async def close(self) -> None:
        """Close what this transport opened, and nothing else."""
        ...


# --- the ledger: where jobs live --------------------------------------------------------------------------------

#: What a column or a piece of evidence may be.
Scalar = str | int | float | bool | None


@attrs.frozen(kw_only=True)
class JobRow:
    """A job as a ledger keeps it: plain values only, so that any ledger can, and any later version can read it.

    All times are wall-clock seconds since 1970.
    """

    key: str
    #: Whom it bills: a hash of the API key, or a name the user gave.
    account: str
    #: A `JobState`'s value.
    state: str
    #: What is wanted, as JSON with sorted names, the same for the same request; None for an adopted task.
    request: str | None
    #: Which creating call makes it.
    kind: str = "generate"
    tenant: str = ""
    priority: str = "batch"
    #: The user's own, as JSON.
    metadata: str | None = None
    task_id: str | None = None
    #: The latest attempt's token; those of earlier attempts lead to the job as well.
    token: str | None = None
    #: Creating requests that may have been paid for.
    attempts: int = 0
    #: The book that drives it, or did until its process was gone; None when nobody ever did.
    owner: str | None = None
    submitted_at: float
    #: When the latest attempt left.
    sent_at: float | None = None
    #: When it must have been sent, or never will be.
    deadline: float | None = None
    ended_at: float | None = None
    #: How it ended, as JSON: the record or the error.
    outcome: str | None = None
    #: Where its clip is to be saved; as long as it is not, a job that is ready is not over.
    save_to: str | None = None


@attrs.frozen(kw_only=True)
class Transition:
    """One thing that happens to a job; it comes to be whole, with all its *changes*, or not at all."""

    key: str
    #: An `Event`'s value.
    event: str
    #: The state the job must be in, and the one it is in then.
    before: str
    after: str
    at: float
    #: Columns of `JobRow` that become something else.
    changes: Mapping[str, Scalar] = attrs.field(factory=dict)
    #: What the provider's support would want to know: codes, ids, bytes. It is kept and never read back.
    evidence: Mapping[str, Scalar] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class RateClaim:
    """One creating call that a session's own gate has granted and that the other sessions must still allow."""

    #: Calls in any so many seconds, as this session believes.
    limit: int
    window_s: float
    #: Calls of this session in that time, this one not counted.
    own_calls: int


@attrs.frozen(kw_only=True)
class AccountActivity:
    """What the other sessions on this ledger have done with the same account."""

    #: When calls of theirs left or were answered that this book has not heard of; each is told once.
    calls: tuple[float, ...] = ()
    #: Before this nothing may leave. With a permit that is refused it is always in the future: ask again then.
    closed_until: float = 0.0


@attrs.frozen(kw_only=True)
class SendPermit:
    """The answer to a `RateClaim`."""

    #: The step was taken and the call may leave; otherwise nothing was written.
    is_granted: bool
    gate: AccountActivity


@attrs.frozen(kw_only=True)
class CallbackHint:
    """Somebody, who knew an attempt's token, says which task came of it."""

    key: str
    token: str
    task_id: str


@attrs.frozen(kw_only=True)
class LedgerChanges:
    """What happened on a ledger since its book last asked."""

    #: Jobs that nobody drove any more, and that are this book's now.
    taken_over: tuple[JobRow, ...] = ()
    #: Jobs of this account that others have moved, or that a call of ours has, though it was told that it failed.
    changed: tuple[JobRow, ...] = ()
    #: Hints for this book's jobs.
    hints: tuple[CallbackHint, ...] = ()
    gate: AccountActivity = attrs.field(factory=AccountActivity)


class TaskAlreadyBound(Exception):  # not an error of ours: whoever records the step decides what it means
    """A step would give a job a task that is another job's."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        #: The job that has it.
        self.key = key


class LedgerSession(Protocol):
    """One session's hold of a ledger.

    **What has been awaited is durable**: it is on the disk, synced, when the call returns. A call that is cancelled
    may still come to be. Calls take effect in the order in which they were made, whether awaited or not.

    **One driver for each job.** A book drives the jobs it plans, and those it takes over because their owner's process
    is gone. A step on another book's job is refused, save for jobs in doubt: whoever has evidence may move them.

    Every method raises `LedgerError` when the ledger stands in the way, and then nothing has come to be.
    """

    @property
    def session_id(self) -> str:
        """This book's own name, never used twice."""
        ...

    @property
    def secret(self) -> bytes:
        """The ledger's secret, with which tokens are signed."""
        ...

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None) -> JobRow:
        """Put *row* down, owned by this book, if there is none of its key; the row that is there now.

        Args:
            instead: a row of the same key that has ended and that *row* replaces; if what is there is not in that
                state any more, nothing is put down.

        Raises:
            TaskAlreadyBound: *row* has a task that is another job's; nothing was put down.
        """
        ...

    async def apply(self, transition: Transition, *, closed_until: float = 0.0) -> bool:
        """Write *step* down; False, and nothing written, if the job is not there, not in that state, or another's.

        A job without a living owner becomes this book's by it.

        Args:
            closed_until: the account's gate is closed until then, for everybody.

        Raises:
            TaskAlreadyBound: the step's task is another job's; nothing was written.
        """
        ...

    async def begin_send(self, transition: Transition, claim: RateClaim) -> SendPermit | None:
        """Write down that a creating call is about to leave, if the other sessions' calls leave room for it.

        The step's changes hold the attempt's ``token``, which leads to the job from now on. None where `apply` would
        say False.
        """
        ...

    async def changes(self, at: float) -> LedgerChanges:
        """What has happened since this was last asked; the first time, everything that is not over yet.

        Jobs in ``sending`` whose owner is gone are moved to ``in_doubt`` first: nobody knows what became of their
        call.
        """
        ...

    async def add_hint(self, token: str, task_id: str, at: float) -> bool:
        """Keep for the job's driver what a callback says, once, and tell of it; False if no attempt has that token.

        The same again is told again: the first may have come from elsewhere, and too early.
        """
        ...

    async def get(self, key: str) -> JobRow | None:
        """The job called *key*, whosoever it is."""
        ...

    async def job_of_task(self, task_id: str) -> JobRow | None:
        """The job whose task this is."""
        ...

    async def jobs(self, states: Collection[str] | None = None) -> list[JobRow]:
        """Jobs of this book's account, or all when it has none, in the order in which they were planned."""
        ...

    async def transitions(self, key: str) -> list[Transition]:
        """Everything that has happened to one job, from ``insert`` on."""
        ...

    async def prune(self, before: float) -> int:
        """Delete this account's finished jobs that ended before *before*, and return how many were deleted.

        Finished are jobs in the states saved, refused, failed, expired and abandoned, and in ready without a save
        target. Their transitions, attempts, hints and sent calls are deleted, too; sent calls from the hour before
        *before* are kept, because they may still count towards the rate limit. A session without an account prunes
        all accounts.

        **A pruned key that is submitted again is paid for again**, and its callbacks no longer lead to a job. Other
        sessions are not notified: one that has not read the changes since a job ended never learns how it ended, and
        a queued follow-up of a pruned job is refused. So *before* should be days in the past.
        """
        ...

    async def knowledge(self) -> str | None:
        """What was last kept of the account's limits, as JSON."""
        ...

    async def save_knowledge(self, knowledge: str) -> None:
        """Keep it for later sessions."""
        ...

    async def close(self) -> None:
        """Give up the hold; jobs that are not over are anybody's from now on."""
        ...


class Ledger(Protocol):
    """Where jobs live: what a session needs to outlive itself."""

    async def open(self, account: str | None) -> LedgerSession:
        """Take hold of it for one account; with None for looking and mending only: nothing is taken over.

        Raises:
            LedgerUnusable: it is corrupt, foreign, newer than this version, or where locks do not hold; untouched.
            LedgerError: it cannot be opened just now.
        """
        ...
