"""A whole ledger in memory: for tests and simulations, where sessions come and go within one process.

It is the model of all others: the same answers, with dicts for tables. A book lives until it is closed, or until
`MemoryLedgerSession.crash` makes it as if its process had been killed; either way its rows stay and are anybody's. Nothing ever
suspends, so a step is on the "disk" the moment it is called for.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable

import attrs

from veo_async._ports import (
    AccountActivity,
    CallbackHint,
    JobRow,
    LedgerChanges,
    RateClaim,
    SendPermit,
    TaskAlreadyBound,
    Transition,
)
from veo_async._rules.lifecycle import JobState
from veo_async.errors import LedgerError

from . import rules as terms


@attrs.define
class _Call:
    """One creating call that was granted."""

    number: int
    account: str
    session_id: str
    key: str
    at: float


@attrs.define(eq=False)
class MemoryLedger:
    """Jobs in a dict, in the order in which they were planned; as many books as you like."""

    secret: bytes = attrs.field(factory=terms.new_secret, repr=False)
    jobs: dict[str, JobRow] = attrs.field(factory=dict, init=False, repr=False)
    #: Everything that ever happened, with the book that wrote it.
    timeline: list[tuple[str, Transition]] = attrs.field(factory=list, init=False, repr=False)
    tokens: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)
    #: Token and task id, with the number under which it was last told.
    hints: dict[tuple[str, str], int] = attrs.field(factory=dict, init=False, repr=False)
    calls: list[_Call] = attrs.field(factory=list, init=False, repr=False)
    closures: dict[tuple[str, str], float] = attrs.field(factory=dict, init=False, repr=False)
    known: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)
    alive: set[str] = attrs.field(factory=set, init=False)
    #: The number of each entry of the timeline, ascending; pruning leaves gaps.
    _numbers: list[int] = attrs.field(factory=list, init=False, repr=False)
    # The highest number given so far to an entry of the timeline, a hint and a call; never reused.
    last_transition: int = attrs.field(default=0, init=False)
    last_hint: int = attrs.field(default=0, init=False)
    _granted: int = attrs.field(default=0, init=False)

    async def open(self, account: str | None) -> "MemoryLedgerSession":
        """A book that lives until it is closed or crashes."""
        book = MemoryLedgerSession(self, account)
        self.alive.add(book.session_id)
        return book

    def write(self, session_id: str, row: JobRow, step: Transition) -> None:
        """Put the row and its step down together."""
        self.jobs[row.key] = row
        self.last_transition += 1
        self.timeline.append((session_id, step))
        self._numbers.append(self.last_transition)
        if row.token is not None:
            self.tokens.setdefault(row.token, row.key)

    def entries_after(self, number: int) -> list[tuple[str, Transition]]:
        """The entries of the timeline that were written after the one with this number."""
        return self.timeline[bisect_right(self._numbers, number) :]

    def delete(self, keys: Collection[str], calls_before: float) -> None:
        """Delete jobs with everything that belongs to them, except calls from *calls_before* on."""
        kept = [n for n, (_, step) in enumerate(self.timeline) if step.key not in keys]
        self.timeline = [self.timeline[n] for n in kept]
        self._numbers = [self._numbers[n] for n in kept]
        self.jobs = {key: row for key, row in self.jobs.items() if key not in keys}
        self.tokens = {token: key for token, key in self.tokens.items() if key not in keys}
        self.hints = {hint: number for hint, number in self.hints.items() if hint[0] in self.tokens}
        self.calls = [call for call in self.calls if call.key not in keys or call.at >= calls_before]

    def job_of_task(self, task_id: str | None) -> JobRow | None:
        if task_id is None:
            return None
        return next((row for row in self.jobs.values() if row.task_id == task_id), None)

    def grant(self, account: str, session_id: str, key: str, at: float) -> None:
        """Remember that a call left; forget those of long ago."""
        self._granted += 1
        self.calls = [call for call in self.calls if call.account != account or call.at >= at - terms.RETENTION_S]
        self.calls.append(_Call(self._granted, account, session_id, key, at))

    def response_received(self, key: str, at: float) -> None:
        """The provider counted the call when it came, which is no later than its answer: the later time is safe."""
        for call in reversed(self.calls):
            if call.key == key:
                call.at = max(call.at, at)
                return


@attrs.define(eq=False)
class MemoryLedgerSession:
    """One session's hold of a `MemoryLedger`."""

    _ledger: MemoryLedger = attrs.field(repr=False)
    account: str | None
    session_id: str = attrs.field(factory=terms.new_session_id, init=False)
    _was_read: bool = attrs.field(default=False, init=False)
    # How far this book has been told of steps, hints and calls.
    _transitions_read: int = attrs.field(default=0, init=False)
    _hints_read: int = attrs.field(default=0, init=False)
    _calls_read: int = attrs.field(default=0, init=False)
    #: Jobs that became this book's and whose earlier hints it has not heard.
    _adopted: set[str] = attrs.field(factory=set, init=False)

    @property
    def secret(self) -> bytes:
        return self._ledger.secret

    def crash(self) -> None:
        """As if the process had been killed: what was written stays, and this book is of no use any more."""
        self._ledger.alive.discard(self.session_id)

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None) -> JobRow:
        ledger = self._require_open()
        there = ledger.jobs.get(row.key)
        if there is not None and not terms.is_replaceable(there, replaces):
            return there
        self._check_task_is_free(row)
        row = attrs.evolve(row, owner=None if self.account is None else self.session_id)
        ledger.jobs.pop(row.key, None)  # what is planned anew is the youngest again
        ledger.write(self.session_id, row, terms.first_transition(row, there))
        return row

    async def apply(self, step: Transition, *, closed_until: float = 0.0) -> bool:
        ledger = self._require_open()
        row = self._apply(step)
        if row is None:
            return False
        self._write(row, step)
        if step.before == JobState.SENDING:
            ledger.response_received(row.key, step.at)
        if closed_until:
            whose = row.account, self.session_id
            ledger.closures[whose] = max(ledger.closures.get(whose, 0.0), closed_until)
        return True

    async def begin_send(self, step: Transition, claim: RateClaim) -> SendPermit | None:
        ledger = self._require_open()
        row = self._apply(step)
        if row is None:
            return None
        others = sorted(call.at for call in self._other_calls(row.account))
        wait_until = terms.may_send_at(others, self._closed_until(row.account), claim, step.at)
        if not wait_until:
            self._write(row, step)
            ledger.grant(row.account, self.session_id, row.key, step.at)
        gate = self._account_activity(row.account)
        return SendPermit(
            is_granted=not wait_until, gate=attrs.evolve(gate, closed_until=max(gate.closed_until, wait_until))
        )

    async def changes(self, at: float) -> LedgerChanges:
        ledger = self._require_open()
        taken = self._take_over(at) if self.account is not None else []
        changed = self._changed({row.key for row in taken})
        self._adopted.update(row.key for row in taken)
        changes = LedgerChanges(
            taken_over=tuple(taken),
            changed=tuple(changed),
            hints=tuple(self._new_hints()),
            gate=AccountActivity() if self.account is None else self._account_activity(self.account),
        )
        self._was_read, self._transitions_read, self._hints_read = True, ledger.last_transition, ledger.last_hint
        self._adopted.clear()
        return changes

    async def add_hint(self, token: str, task_id: str, at: float) -> bool:
        ledger = self._require_open()
        if token not in ledger.tokens:
            return False
        ledger.last_hint += 1
        ledger.hints.pop((token, task_id), None)  # what is told again is the youngest again
        ledger.hints[token, task_id] = ledger.last_hint
        return True

    async def get(self, key: str) -> JobRow | None:
        return self._require_open().jobs.get(key)

    async def job_of_task(self, task_id: str) -> JobRow | None:
        return self._require_open().job_of_task(task_id)

    async def jobs(self, states: Collection[str] | None = None) -> list[JobRow]:
        return [row for row in self._own_account(self._require_open()) if states is None or row.state in states]

    async def transitions(self, key: str) -> list[Transition]:
        return [step for _, step in self._require_open().timeline if step.key == key]

    async def prune(self, before: float) -> int:
        ledger = self._require_open()
        keys = {row.key for row in self._own_account(ledger) if terms.is_prunable(row, before)}
        if keys:
            ledger.delete(keys, calls_before=before - terms.RETENTION_S)
        return len(keys)

    async def knowledge(self) -> str | None:
        return self._require_open().known.get(self.account or "")

    async def save_knowledge(self, knowledge: str) -> None:
        self._require_open().known[self.account or ""] = knowledge

    async def close(self) -> None:
        self.crash()  # nothing is written at a farewell: who is gone is gone, however it went

    # --- what stands behind them ---

    def _require_open(self) -> MemoryLedger:
        if self.session_id not in self._ledger.alive:
            raise LedgerError("This book of the ledger was closed.")
        return self._ledger

    def _own_account(self, ledger: MemoryLedger) -> Iterable[JobRow]:
        return (row for row in ledger.jobs.values() if self.account in (None, row.account))

    def _apply(self, step: Transition) -> JobRow | None:
        row = terms.apply(
            self._ledger.jobs.get(step.key), step, self.session_id, self.account, self._ledger.alive.__contains__
        )
        if row is not None:
            self._check_task_is_free(row)
        return row

    def _check_task_is_free(self, row: JobRow) -> None:
        holder = self._ledger.job_of_task(row.task_id)
        if holder is not None and holder.key != row.key:
            raise TaskAlreadyBound(holder.key)

    def _write(self, row: JobRow, step: Transition) -> None:
        if row.owner == self.session_id and self._ledger.jobs[row.key].owner != self.session_id:
            self._adopted.add(row.key)
        self._ledger.write(self.session_id, row, step)

    def _take_over(self, at: float) -> list[JobRow]:
        ledger, taken = self._ledger, []
        for row in list(self._own_account(ledger)):
            if not terms.is_active(row) or row.owner in ledger.alive:
                continue
            owned = attrs.evolve(row, owner=self.session_id)
            if row.state == JobState.SENDING:
                owned = attrs.evolve(owned, state=JobState.IN_DOUBT.value)
                ledger.write(self.session_id, owned, terms.sender_lost(row, at))
            ledger.jobs[row.key] = owned
            taken.append(owned)
        return taken

    def _changed(self, taken: Collection[str]) -> list[JobRow]:
        entries = self._ledger.entries_after(self._transitions_read)
        moved = {step.key for who, step in entries if who != self.session_id}
        return [
            row
            for row in self._own_account(self._ledger)
            if row.key not in taken
            and (row.key in moved if self._was_read else terms.is_active(row) and row.owner != self.session_id)
        ]

    def _new_hints(self) -> Iterable[CallbackHint]:
        for (token, task_id), number in self._ledger.hints.items():
            row = self._ledger.jobs[self._ledger.tokens[token]]
            is_ours = row.owner == self.session_id and terms.is_active(row)
            if is_ours and (number > self._hints_read or row.key in self._adopted):
                yield CallbackHint(key=row.key, token=token, task_id=task_id)

    def _other_calls(self, account: str) -> list[_Call]:
        return [call for call in self._ledger.calls if call.account == account and call.session_id != self.session_id]

    def _closed_until(self, account: str) -> float:
        words = self._ledger.closures.items()
        return max((at for (whose, by), at in words if whose == account and by != self.session_id), default=0.0)

    def _account_activity(self, account: str) -> AccountActivity:
        untold = [call for call in self._other_calls(account) if call.number > self._calls_read]
        self._calls_read = max((call.number for call in untold), default=self._calls_read)
        return AccountActivity(
            calls=tuple(sorted(call.at for call in untold)), closed_until=self._closed_until(account)
        )
