"""Random operations in random order: the SQLite ledger returns what the memory ledger, its model, returns."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from veo_async._ports import JobPage, JobQuery, JobRow, LedgerChanges, LedgerSession, RateClaim, TaskAlreadyBound
from veo_async._rules.lifecycle import TABLE
from veo_async.ledger import MemoryLedger, SqliteLedger

from .support import Inline, job, transition

KEYS = st.sampled_from(["a", "b", "c"])
SESSIONS = st.integers(0, 3)
EVENTS = st.sampled_from(["requeue", "accept", "lose", "fail", "complete", "save", "bind", "resubmit", "abandon"])
TASKS = st.sampled_from([None, "t1", "t2"])
CLAIMS = st.builds(RateClaim, limit=st.integers(1, 4), window_s=st.just(10.0), own_calls=st.integers(0, 2))


class TwoLedgers(RuleBasedStateMachine):
    """Makes each call on both ledgers and compares the results. Owners are compared by the order of their sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.model = MemoryLedger()
        self.file = SqliteLedger(self.folder / "ledger.db", executor=Inline())
        self.sessions: list[tuple[LedgerSession, LedgerSession]] = []
        self.names: dict[str, int] = {}
        self.seen: list[tuple[JobRow, JobRow]] = []
        self.now = 100.0
        self.tokens = 0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def outcome() -> Any:
            try:
                return await work
            except TaskAlreadyBound as exc:
                return ("taken", exc.key)

        return self.runner.run(outcome())

    def plain(self, value: Any) -> Any:
        """Return *value* with session ids replaced by numbers, which are the same for both ledgers."""
        match value:
            case JobRow():
                return attrs.evolve(value, owner=str(self.names[value.owner]) if value.owner else None)
            case LedgerChanges():
                rows = [[self.plain(row) for row in rows] for rows in (value.taken_over, value.changed)]
                return rows, value.hints, value.gate
            case JobPage():
                return self.plain([*value.rows]), value.next
            case list():
                return [self.plain(item) for item in value]
        return value

    def both(self, number: int, method: str, *args: Any, **options: Any) -> Any:
        pair = self.sessions[number % len(self.sessions)]
        expected, actual = (self.run(getattr(session, method)(*args, **options)) for session in pair)
        assert self.plain(actual) == self.plain(expected), method
        return expected, actual

    @rule(account=st.sampled_from(["account-1", "account-1", "account-1", "account-2", None]))
    @precondition(lambda self: len(self.sessions) < 4)
    def open(self, account: str | None) -> None:
        pair = self.run(self.model.open(account)), self.run(self.file.open(account))
        for session in pair:
            self.names[session.session_id] = len(self.names) // 2
        self.sessions.append(pair)

    @rule(number=SESSIONS)
    @precondition(lambda self: self.sessions)
    def close(self, number: int) -> None:
        self.both(number, "close")
        del self.sessions[number % len(self.sessions)]

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 10.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=SESSIONS, key=KEYS, task_id=TASKS, account=st.sampled_from(["account-1", "account-2"]))
    @precondition(lambda self: self.sessions)
    def submit(self, number: int, key: str, task_id: str | None, account: str) -> None:
        state = "queued" if task_id is None else "running"
        self.both(number, "insert", job(key, submitted_at=self.now, task_id=task_id, state=state, account=account))

    @rule(number=SESSIONS, key=KEYS)
    @precondition(lambda self: self.sessions)
    def get(self, number: int, key: str) -> None:
        pair = self.both(number, "get", key)
        if pair[0] is not None:
            self.seen.append(pair)

    @rule(number=SESSIONS, which=st.integers(0, 9))
    @precondition(lambda self: self.sessions and self.seen)
    def resubmit(self, number: int, which: int) -> None:
        model, file = self.seen[which % len(self.seen)]
        one, two = self.sessions[number % len(self.sessions)]
        row = job(model.key, submitted_at=self.now)
        expected, actual = self.run(one.insert(row, replaces=model)), self.run(two.insert(row, replaces=file))
        assert self.plain(actual) == self.plain(expected)

    @rule(number=SESSIONS, key=KEYS, event=EVENTS, task_id=TASKS, closes=st.booleans())
    @precondition(lambda self: self.sessions)
    def apply(self, number: int, key: str, event: str, task_id: str | None, closes: bool) -> None:
        model, file = self.sessions[number % len(self.sessions)]
        changes: dict[str, Any] = {"task_id": task_id} if event in ("accept", "bind") else {}
        if event in ("fail", "complete", "abandon"):
            changes["ended_at"] = self.now
        item, until = transition(event, key, self.now, **changes), self.now + 20.0 if closes else 0.0
        expected = self.run(model.apply(item, closed_until=until))
        assert self.run(file.apply(item, closed_until=until)) == expected

    @rule(number=SESSIONS, key=KEYS, claim=CLAIMS, back=st.sampled_from([0.0, 3.0]))
    @precondition(lambda self: self.sessions)
    def send(self, number: int, key: str, claim: RateClaim, back: float) -> None:
        self.tokens += 1
        at = self.now - back
        self.both(number, "begin_send", transition("send", key, at, token=f"token-{self.tokens}", sent_at=at), claim)

    @rule(number=SESSIONS)
    @precondition(lambda self: self.sessions)
    def changes(self, number: int) -> None:
        self.both(number, "changes", self.now)

    @rule(number=SESSIONS, token=st.integers(1, 6), task_id=st.sampled_from(["t1", "t2"]))
    @precondition(lambda self: self.sessions)
    def hint(self, number: int, token: int, task_id: str) -> None:
        self.both(number, "add_hint", f"token-{token}", task_id, self.now)

    @rule(number=SESSIONS, age_s=st.sampled_from([0.0, 5.0]))
    @precondition(lambda self: self.sessions)
    def prune(self, number: int, age_s: float) -> None:
        self.both(number, "prune", self.now - age_s)

    @rule(number=SESSIONS, knowledge=st.sampled_from(["{}", "[]"]))
    @precondition(lambda self: self.sessions)
    def save_knowledge(self, number: int, knowledge: str) -> None:
        self.both(number, "save_knowledge", knowledge)

    @invariant()
    def both_have_the_same_jobs(self) -> None:
        if self.sessions:
            expected, _ = self.both(0, "jobs")
            for row in expected:
                self.both(0, "transitions", row.key)
            for query in (JobQuery(), JobQuery(state="queued"), JobQuery(since=5.0)):
                self.both(0, "counts", query)
                place, _ = self.both(0, "before_newest", query, 2)
                self.both(0, "page", query, place, size=2)
            self.both(0, "prunable", self.now)
            self.both(0, "knowledge")
            self.both(0, "job_of_task", "t1")

    @invariant()
    def every_transition_follows_the_table(self) -> None:
        for _, item in self.model.timeline:
            assert item.event == "submit" or item.after in {s.value for s in TABLE[item.before].values()}  # type: ignore[index]  # the strings are states

    def teardown(self) -> None:
        for number in range(len(self.sessions)):
            self.both(number, "close")
        self.runner.close()
        shutil.rmtree(self.folder)


TestTwoLedgers = TwoLedgers.TestCase
TestTwoLedgers.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
