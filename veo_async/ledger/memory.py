"""A whole ledger in memory: for tests and simulations, where sessions come and go within one process.

It is the model of all others: the same answers, with dicts for tables. A book lives until it is closed, or until
`MemoryBook.crash` makes it as if its process had been killed; either way its rows stay and are anybody's. Nothing ever
suspends, so a step is on the "disk" the moment it is called for.
"""

from collections.abc import Collection, Iterable

import attrs

from veo_async._ports import Claim, GateNews, Hint, JobRow, News, Permit, Step, TaskTaken
from veo_async._rules.lifecycle import JobState
from veo_async.errors import LedgerError

from . import rules as terms


@attrs.define
class _Call:
    """One creating call that was granted."""

    number: int
    account: str
    instance: str
    key: str
    at: float


@attrs.define(eq=False)
class MemoryLedger:
    """Jobs in a dict, in the order in which they were planned; as many books as you like."""

    secret: bytes = attrs.field(factory=terms.new_secret, repr=False)
    jobs: dict[str, JobRow] = attrs.field(factory=dict, init=False, repr=False)
    #: Everything that ever happened, with the book that wrote it.
    timeline: list[tuple[str, Step]] = attrs.field(factory=list, init=False, repr=False)
    tokens: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)
    #: Token and task id, with the number under which it was last told.
    hints: dict[tuple[str, str], int] = attrs.field(factory=dict, init=False, repr=False)
    calls: list[_Call] = attrs.field(factory=list, init=False, repr=False)
    closings: dict[tuple[str, str], float] = attrs.field(factory=dict, init=False, repr=False)
    known: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)
    alive: set[str] = attrs.field(factory=set, init=False)
    _granted: int = attrs.field(default=0, init=False)

    async def open(self, account: str | None) -> "MemoryBook":
        """A book that lives until it is closed or crashes."""
        book = MemoryBook(self, account)
        self.alive.add(book.instance)
        return book

    def write(self, instance: str, row: JobRow, step: Step) -> None:
        """Put the row and its step down together."""
        self.jobs[row.key] = row
        self.timeline.append((instance, step))
        if row.token is not None:
            self.tokens.setdefault(row.token, row.key)

    def holder_of(self, task_id: str | None) -> JobRow | None:
        if task_id is None:
            return None
        return next((row for row in self.jobs.values() if row.task_id == task_id), None)

    def grant(self, account: str, instance: str, key: str, at: float) -> None:
        """Remember that a call left; forget those of long ago."""
        self._granted += 1
        self.calls = [call for call in self.calls if call.account != account or call.at >= at - terms.REMEMBERED_S]
        self.calls.append(_Call(self._granted, account, instance, key, at))

    def answered(self, key: str, at: float) -> None:
        """The provider counted the call when it came, which is no later than its answer: the later time is safe."""
        for call in reversed(self.calls):
            if call.key == key:
                call.at = max(call.at, at)
                return


@attrs.define(eq=False)
class MemoryBook:
    """One session's hold of a `MemoryLedger`."""

    _ledger: MemoryLedger = attrs.field(repr=False)
    account: str | None
    instance: str = attrs.field(factory=terms.new_instance, init=False)
    _has_asked: bool = attrs.field(default=False, init=False)
    # How far this book has been told of steps, hints and calls.
    _steps_told: int = attrs.field(default=0, init=False)
    _hints_told: int = attrs.field(default=0, init=False)
    _calls_told: int = attrs.field(default=0, init=False)
    #: Jobs that became this book's and whose earlier hints it has not heard.
    _adopted: set[str] = attrs.field(factory=set, init=False)

    @property
    def secret(self) -> bytes:
        return self._ledger.secret

    def crash(self) -> None:
        """As if the process had been killed: what was written stays, and this book is of no use any more."""
        self._ledger.alive.discard(self.instance)

    async def plan(self, row: JobRow, *, instead: JobRow | None = None) -> JobRow:
        ledger = self._held()
        there = ledger.jobs.get(row.key)
        if there is not None and not terms.is_replaceable(there, instead):
            return there
        self._refuse_taken(row)
        row = attrs.evolve(row, owner=None if self.account is None else self.instance)
        ledger.jobs.pop(row.key, None)  # what is planned anew is the youngest again
        ledger.write(self.instance, row, terms.planning(row, there))
        return row

    async def record(self, step: Step, *, closed_until: float = 0.0) -> bool:
        ledger = self._held()
        row = self._moved(step)
        if row is None:
            return False
        self._take(row, step)
        if step.before == JobState.SENDING:
            ledger.answered(row.key, step.at)
        if closed_until:
            whose = row.account, self.instance
            ledger.closings[whose] = max(ledger.closings.get(whose, 0.0), closed_until)
        return True

    async def send(self, step: Step, claim: Claim) -> Permit | None:
        ledger = self._held()
        row = self._moved(step)
        if row is None:
            return None
        others = sorted(call.at for call in self._others_calls(row.account))
        wait_until = terms.opens_at(others, self._closed_until(row.account), claim, step.at)
        if not wait_until:
            self._take(row, step)
            ledger.grant(row.account, self.instance, row.key, step.at)
        gate = self._gate_news(row.account)
        return Permit(
            is_granted=not wait_until, gate=attrs.evolve(gate, closed_until=max(gate.closed_until, wait_until))
        )

    async def news(self, at: float) -> News:
        ledger = self._held()
        taken = self._take_over(at) if self.account is not None else []
        changed = self._changed({row.key for row in taken})
        self._adopted.update(row.key for row in taken)
        news = News(
            taken=tuple(taken),
            changed=tuple(changed),
            hints=tuple(self._untold_hints()),
            gate=GateNews() if self.account is None else self._gate_news(self.account),
        )
        self._has_asked, self._steps_told, self._hints_told = True, len(ledger.timeline), self._last_hint()
        self._adopted.clear()
        return news

    async def hint(self, token: str, task_id: str, at: float) -> bool:
        ledger = self._held()
        if token not in ledger.tokens:
            return False
        number = 1 + self._last_hint()
        ledger.hints.pop((token, task_id), None)  # what is told again is the youngest again
        ledger.hints[token, task_id] = number
        return True

    async def get(self, key: str) -> JobRow | None:
        return self._held().jobs.get(key)

    async def holder_of(self, task_id: str) -> JobRow | None:
        return self._held().holder_of(task_id)

    async def rows(self, states: Collection[str] | None = None) -> list[JobRow]:
        return [row for row in self._own_account(self._held()) if states is None or row.state in states]

    async def steps(self, key: str) -> list[Step]:
        return [step for _, step in self._held().timeline if step.key == key]

    async def knowledge(self) -> str | None:
        return self._held().known.get(self.account or "")

    async def keep_knowledge(self, knowledge: str) -> None:
        self._held().known[self.account or ""] = knowledge

    async def close(self) -> None:
        self.crash()  # nothing is written at a farewell: who is gone is gone, however it went

    # --- what stands behind them ---

    def _held(self) -> MemoryLedger:
        if self.instance not in self._ledger.alive:
            raise LedgerError("This book of the ledger was closed.")
        return self._ledger

    def _own_account(self, ledger: MemoryLedger) -> Iterable[JobRow]:
        return (row for row in ledger.jobs.values() if self.account in (None, row.account))

    def _moved(self, step: Step) -> JobRow | None:
        row = terms.moved(
            self._ledger.jobs.get(step.key), step, self.instance, self.account, self._ledger.alive.__contains__
        )
        if row is not None:
            self._refuse_taken(row)
        return row

    def _refuse_taken(self, row: JobRow) -> None:
        holder = self._ledger.holder_of(row.task_id)
        if holder is not None and holder.key != row.key:
            raise TaskTaken(holder.key)

    def _take(self, row: JobRow, step: Step) -> None:
        if row.owner == self.instance and self._ledger.jobs[row.key].owner != self.instance:
            self._adopted.add(row.key)
        self._ledger.write(self.instance, row, step)

    def _take_over(self, at: float) -> list[JobRow]:
        ledger, taken = self._ledger, []
        for row in list(self._own_account(ledger)):
            if not terms.is_open(row) or row.owner in ledger.alive:
                continue
            owned = attrs.evolve(row, owner=self.instance)
            if row.state == JobState.SENDING:
                owned = attrs.evolve(owned, state=JobState.IN_DOUBT.value)
                ledger.write(self.instance, owned, terms.loss(row, at))
            ledger.jobs[row.key] = owned
            taken.append(owned)
        return taken

    def _changed(self, taken: Collection[str]) -> list[JobRow]:
        moved = {step.key for who, step in self._ledger.timeline[self._steps_told :] if who != self.instance}
        return [
            row
            for row in self._own_account(self._ledger)
            if row.key not in taken
            and (row.key in moved if self._has_asked else terms.is_open(row) and row.owner != self.instance)
        ]

    def _last_hint(self) -> int:
        return next(reversed(self._ledger.hints.values()), 0)

    def _untold_hints(self) -> Iterable[Hint]:
        for (token, task_id), number in self._ledger.hints.items():
            row = self._ledger.jobs[self._ledger.tokens[token]]
            is_ours = row.owner == self.instance and terms.is_open(row)
            if is_ours and (number > self._hints_told or row.key in self._adopted):
                yield Hint(key=row.key, token=token, task_id=task_id)

    def _others_calls(self, account: str) -> list[_Call]:
        return [call for call in self._ledger.calls if call.account == account and call.instance != self.instance]

    def _closed_until(self, account: str) -> float:
        words = self._ledger.closings.items()
        return max((at for (whose, by), at in words if whose == account and by != self.instance), default=0.0)

    def _gate_news(self, account: str) -> GateNews:
        untold = [call for call in self._others_calls(account) if call.number > self._calls_told]
        self._calls_told = max((call.number for call in untold), default=self._calls_told)
        return GateNews(calls=tuple(sorted(call.at for call in untold)), closed_until=self._closed_until(account))
