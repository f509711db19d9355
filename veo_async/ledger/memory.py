"""A complete ledger in memory, for tests and simulations in which several sessions share one process.

It is the reference for the other ledgers: the same results, with dicts instead of tables. A session is alive until it
is closed or until `MemoryLedgerSession.crash` simulates a killed process. Its rows stay either way, and other sessions
take them over. No method ever suspends, so a write has happened when the call returns.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from functools import partial
from operator import itemgetter

import attrs

from veo_async._ports import (
    MAX_HINTS_PER_TOKEN,
    PAGE_SIZE,
    AccountActivity,
    BudgetUse,
    CallbackHint,
    Cursor,
    JobPage,
    JobQuery,
    JobRow,
    LedgerChanges,
    NewJob,
    RateClaim,
    SendPermit,
    TaskAlreadyBound,
    Transition,
)
from veo_async._rules.lifecycle import JobState
from veo_async.errors import LedgerError

from . import rules


@attrs.define
class _Call:
    """A creating call that a session was permitted to send."""

    number: int
    account: str
    session_id: str
    key: str
    at: float


@attrs.define(eq=False, repr=False)
class MemoryLedger:
    """Jobs in a dict, in the order in which they were submitted, shared by any number of sessions.

    Args:
        prune_after: see `SqliteLedger`.
    """

    secret: bytes = attrs.field(factory=rules.new_secret, repr=False)
    prune_after: timedelta | None = attrs.field(default=None, kw_only=True, validator=rules.check_prune_after)
    jobs: dict[str, JobRow] = attrs.field(factory=dict, init=False, repr=False)
    #: The number of the transition that submitted each job, by key.
    submissions: dict[str, int] = attrs.field(factory=dict, init=False, repr=False)
    #: All transitions in order, each with the id of the session that wrote it.
    timeline: list[tuple[str, Transition]] = attrs.field(factory=list, init=False, repr=False)
    #: The key of each attempt's job, by the attempt's token.
    tokens: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)
    #: By token, then by task id: the number of the hint, which is new each time the hint is added again.
    hints: dict[str, dict[str, int]] = attrs.field(factory=dict, init=False, repr=False)
    calls: list[_Call] = attrs.field(factory=list, init=False, repr=False)
    #: By account and session id: until when that session has closed the account's gate.
    closures: dict[tuple[str, str], float] = attrs.field(factory=dict, init=False, repr=False)
    #: The saved knowledge of each account.
    known: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)
    #: What is used of each budget, by name.
    budgets: dict[str, BudgetUse] = attrs.field(factory=dict, init=False, repr=False)
    #: The ids of the sessions that are open.
    alive: set[str] = attrs.field(factory=set, init=False)
    #: The number of each entry of the timeline, ascending; pruning leaves gaps.
    _numbers: list[int] = attrs.field(factory=list, init=False, repr=False)
    # The last number given to a transition, a hint and a call; numbers are never reused.
    last_transition: int = attrs.field(default=0, init=False)
    last_hint: int = attrs.field(default=0, init=False)
    last_call: int = attrs.field(default=0, init=False)

    async def open(self, account: str | None) -> "MemoryLedgerSession":
        """Open a session, which is alive until it is closed or crashes."""
        session = MemoryLedgerSession(self, account)
        self.alive.add(session.session_id)
        return session

    def write(self, session_id: str, row: JobRow, transition: Transition, *, is_new: bool = False) -> None:
        """Store the row together with its transition. What a new row replaces stays spent."""
        if row.budget is not None:
            use = self.budget_use(row.budget)
            change = rules.change_of_use(None if is_new else self.jobs[row.key], row)
            self.budgets[row.budget] = BudgetUse(
                spent=use.spent + change.spent, reserved=use.reserved + change.reserved
            )
        self.jobs[row.key] = row
        self.last_transition += 1
        if is_new:
            self.submissions[row.key] = self.last_transition
        self.timeline.append((session_id, rules.as_history(transition)))
        self._numbers.append(self.last_transition)
        if row.token is not None:
            self.tokens.setdefault(row.token, row.key)

    def budget_use(self, name: str) -> BudgetUse:
        """Return what is used of a budget."""
        return self.budgets.get(name, BudgetUse())

    def entries_after(self, number: int) -> list[tuple[str, Transition]]:
        """Return the entries of the timeline that are newer than the one with this number."""
        return self.timeline[bisect_right(self._numbers, number) :]

    def delete(self, keys: Collection[str], calls_before: float) -> None:
        """Delete jobs with everything that belongs to them, except calls from *calls_before* on."""
        kept = [n for n, (_, transition) in enumerate(self.timeline) if transition.key not in keys]
        self.timeline = [self.timeline[n] for n in kept]
        self._numbers = [self._numbers[n] for n in kept]
        self.jobs = {key: row for key, row in self.jobs.items() if key not in keys}
        self.submissions = {key: number for key, number in self.submissions.items() if key not in keys}
        self.tokens = {token: key for token, key in self.tokens.items() if key not in keys}
        self.hints = {token: hints for token, hints in self.hints.items() if token in self.tokens}
        self.calls = [call for call in self.calls if call.key not in keys or call.at >= calls_before]

    def job_of_task(self, task_id: str | None) -> JobRow | None:
        """Return the job that has this task, if any."""
        if task_id is None:
            return None
        return next((row for row in self.jobs.values() if row.task_id == task_id), None)

    def grant(self, account: str, session_id: str, key: str, at: float) -> None:
        """Record that a call is sent, and delete the account's calls that no longer count."""
        self.last_call += 1
        self.calls = [call for call in self.calls if call.account != account or call.at >= at - rules.RETENTION_S]
        self.calls.append(_Call(self.last_call, account, session_id, key, at))

    def response_received(self, key: str, at: float) -> None:
        """Move the job's last call to *at*, when its response arrived.

        The provider counted the call at some time before it responded, so the later time is the safe one.
        """
        for call in reversed(self.calls):
            if call.key == key:
                call.at = max(call.at, at)
                return


@attrs.define(eq=False, repr=False)
class MemoryLedgerSession:
    """An open session of a `MemoryLedger`."""

    _ledger: MemoryLedger = attrs.field(repr=False)
    account: str | None
    session_id: str = attrs.field(factory=rules.new_session_id, init=False)
    _was_read: bool = attrs.field(default=False, init=False)
    # The last transition, hint and call that this session has read.
    _transitions_read: int = attrs.field(default=0, init=False)
    _hints_read: int = attrs.field(default=0, init=False)
    _calls_read: int = attrs.field(default=0, init=False)
    #: Jobs that this session has taken over since it last read the changes; their earlier hints are new to it.
    _adopted: set[str] = attrs.field(factory=set, init=False)

    @property
    def secret(self) -> bytes:
        return self._ledger.secret

    def crash(self) -> None:
        """Simulate a killed process: what was written stays, and every later call raises `LedgerError`."""
        self._ledger.alive.discard(self.session_id)

    async def insert(self, row: JobRow, *, replaces: JobRow | None = None, budget_limit: float | None = None) -> JobRow:
        [stored] = await self.insert_all([NewJob(row=row, replaces=replaces)], budget_limit=budget_limit)
        return stored

    async def insert_all(self, jobs: Sequence[NewJob], *, budget_limit: float | None = None) -> list[JobRow]:
        ledger = self._require_open()
        new = [job.row for job in jobs if rules.is_replaceable(ledger.jobs.get(job.row.key), job.replaces)]
        for row in new:
            self._check_task_is_free(row)
        if new and new[0].budget is not None:
            rules.check_new_jobs(new, ledger.budget_use(new[0].budget), budget_limit)
        for row in new:
            self._insert(row)
        return [ledger.jobs[job.row.key] for job in jobs]

    def _insert(self, row: JobRow) -> None:
        row = attrs.evolve(row, owner=None if self.account is None else self.session_id)
        current = self._ledger.jobs.pop(row.key, None)  # a resubmitted job comes last in the order
        self._ledger.write(self.session_id, row, rules.first_transition(row, current), is_new=True)

    async def budget_use(self, name: str) -> BudgetUse:
        return self._require_open().budget_use(name)

    async def apply(
        self, transition: Transition, *, closed_until: float = 0.0, budget_limit: float | None = None
    ) -> bool:
        ledger = self._require_open()
        row = self._apply(transition)
        if row is None:
            return False
        if row.budget is not None:
            rules.check_change(ledger.jobs[row.key], row, ledger.budget_use(row.budget), budget_limit)
        self._write(row, transition)
        if transition.before == JobState.SENDING:
            ledger.response_received(row.key, transition.at)
        if closed_until:
            id_ = row.account, self.session_id
            ledger.closures[id_] = max(ledger.closures.get(id_, 0.0), closed_until)
        return True

    async def begin_send(self, transition: Transition, claim: RateClaim) -> SendPermit | None:
        ledger = self._require_open()
        row = self._apply(transition)
        if row is None:
            return None
        at = transition.at
        others = sorted(call.at for call in self._other_calls(row.account, at))
        wait_until = rules.may_send_at(others, self._closed_until(row.account, at), claim, at)
        if not wait_until:
            self._write(row, transition)
            ledger.grant(row.account, self.session_id, row.key, transition.at)
        gate = self._account_activity(row.account, at)
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
            gate=AccountActivity() if self.account is None else self._account_activity(self.account, at),
        )
        self._was_read, self._transitions_read, self._hints_read = True, ledger.last_transition, ledger.last_hint
        self._adopted.clear()
        return changes

    async def add_hint(self, token: str, task_id: str, at: float) -> bool:
        ledger = self._require_open()
        if token not in ledger.tokens:
            return False
        ledger.last_hint += 1
        hints = ledger.hints.setdefault(token, {})
        hints.pop(task_id, None)  # a repeated hint comes last in the order
        hints[task_id] = ledger.last_hint
        if len(hints) > MAX_HINTS_PER_TOKEN:
            del hints[next(iter(hints))]
        return True

    async def get(self, key: str) -> JobRow | None:
        return self._require_open().jobs.get(key)

    async def job_of_task(self, task_id: str) -> JobRow | None:
        return self._require_open().job_of_task(task_id)

    async def follow_ups(self, sources: Collection[str]) -> list[JobRow]:
        return [row for row in self._require_open().jobs.values() if row.source in sources]

    async def jobs(self, states: Collection[str] | None = None) -> list[JobRow]:
        return [row for row in self._own_account(self._require_open()) if states is None or row.state in states]

    async def page(self, query: JobQuery, after: Cursor | None = None, *, size: int = PAGE_SIZE) -> JobPage:
        found = [place for place in self._places(query) if after is None or place[:2] > after]
        rows = [self._ledger.jobs[key] for _, _, key in found[:size]]
        return JobPage(rows, found[size - 1][:2] if len(found) > size else None)

    async def before_newest(self, query: JobQuery, count: int) -> Cursor | None:
        places = self._places(query)
        return places[-count - 1][:2] if len(places) > count else None

    async def counts(self, query: JobQuery) -> dict[str, int]:
        rows = self._own_account(self._require_open())
        return dict(Counter(row.state for row in rows if rules.is_in_query(row, query)))

    async def transitions(self, key: str) -> list[Transition]:
        return [transition for _, transition in self._require_open().timeline if transition.key == key]

    async def prune(self, before: float) -> int:
        ledger = self._require_open()
        keys = self._prunable(ledger, before)
        if keys:
            ledger.delete(keys, calls_before=before - rules.RETENTION_S)
        return len(keys)

    async def prunable(self, before: float) -> int:
        return len(self._prunable(self._require_open(), before))

    async def knowledge(self) -> str | None:
        return self._require_open().known.get(self.account or "")

    async def save_knowledge(self, knowledge: str) -> None:
        self._require_open().known[self.account or ""] = knowledge

    async def close(self) -> None:
        self.crash()  # closing writes nothing, so to other sessions it is the same as a crash

    # --- internals ---

    def _require_open(self) -> MemoryLedger:
        if self.session_id not in self._ledger.alive:
            raise LedgerError("This ledger session is closed.")
        return self._ledger

    def _own_account(self, ledger: MemoryLedger) -> Iterable[JobRow]:
        return (row for row in ledger.jobs.values() if self.account in (None, row.account))

    def _places(self, query: JobQuery) -> list[tuple[float, int, str]]:
        """Return the time, number and key of the jobs of *query*, in order."""
        ledger = self._require_open()
        rows = (row for row in self._own_account(ledger) if rules.is_in_query(row, query))
        return sorted((row.submitted_at, ledger.submissions[row.key], row.key) for row in rows)

    def _prunable(self, ledger: MemoryLedger, before: float) -> set[str]:
        needed = {row.source for row in ledger.jobs.values() if rules.is_active(row)} - {None}
        rows = (row for row in self._own_account(ledger) if rules.is_prunable(row, before))
        return {row.key for row in rows if needed.isdisjoint((row.key, row.task_id))}

    def _apply(self, transition: Transition) -> JobRow | None:
        current, is_alive = self._ledger.jobs.get(transition.key), self._ledger.alive.__contains__
        row = rules.apply(current, transition, self.session_id, self.account, is_alive)
        if row is not None:
            self._check_task_is_free(row)
        return row

    def _check_task_is_free(self, row: JobRow) -> None:
        holder = self._ledger.job_of_task(row.task_id)
        if holder is not None and holder.key != row.key:
            raise TaskAlreadyBound(holder.key)

    def _write(self, row: JobRow, transition: Transition) -> None:
        if row.owner == self.session_id and self._ledger.jobs[row.key].owner != self.session_id:
            self._adopted.add(row.key)
        self._ledger.write(self.session_id, row, transition)

    def _take_over(self, at: float) -> list[JobRow]:
        ledger, taken = self._ledger, []
        for row in list(self._own_account(ledger)):
            if not rules.is_active(row) or row.owner in ledger.alive:
                continue
            owned = attrs.evolve(row, owner=self.session_id)
            if row.state == JobState.SENDING:
                owned = attrs.evolve(owned, state=JobState.IN_DOUBT.value, attempts=row.attempts + 1)
                ledger.write(self.session_id, owned, rules.sender_lost(row, at))
            ledger.jobs[row.key] = owned
            taken.append(owned)
        return taken

    def _changed(self, taken: Collection[str]) -> list[JobRow]:
        entries = self._ledger.entries_after(self._transitions_read)
        keys = {transition.key for session_id, transition in entries if session_id != self.session_id}
        return [
            row
            for row in self._own_account(self._ledger)
            if row.key not in taken
            and (row.key in keys if self._was_read else rules.is_active(row) and row.owner != self.session_id)
        ]

    def _new_hints(self) -> list[CallbackHint]:
        """Return the new hints, in the order in which they were added."""
        found: list[tuple[int, CallbackHint]] = []
        for token, hints in self._ledger.hints.items():
            row = self._ledger.jobs[self._ledger.tokens[token]]
            if row.owner != self.session_id or not rules.is_active(row):
                continue
            after = 0 if row.key in self._adopted else self._hints_read
            hint = partial(CallbackHint, key=row.key, token=token)
            found += [(number, hint(task_id=task_id)) for task_id, number in hints.items() if number > after]
        return [hint for _, hint in sorted(found, key=itemgetter(0))]

    def _other_calls(self, account: str, at: float) -> list[_Call]:
        calls = (call for call in self._ledger.calls if call.account == account and call.at <= rules.latest_time(at))
        return [call for call in calls if call.session_id != self.session_id]

    def _closed_until(self, account: str, at: float) -> float:
        closures = self._ledger.closures.items()
        others = (until for (name, by), until in closures if name == account and by != self.session_id)
        return max((until for until in others if until <= rules.latest_time(at)), default=0.0)

    def _account_activity(self, account: str, at: float) -> AccountActivity:
        new = [call for call in self._other_calls(account, at) if call.number > self._calls_read]
        self._calls_read = max((call.number for call in new), default=self._calls_read)
        return AccountActivity(
            calls=tuple(sorted(call.at for call in new)), closed_until=self._closed_until(account, at)
        )
