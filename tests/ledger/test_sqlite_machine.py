"""Whatever is done in whatever order: the file says what the model in memory says."""

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

from veo_async._ports import JobRow, LedgerChanges, LedgerSession, RateClaim, TaskAlreadyBound
from veo_async._rules.lifecycle import TABLE
from veo_async.ledger import MemoryLedger, SqliteLedger

from .support import Inline, job, step

KEYS = st.sampled_from(["a", "b", "c"])
BOOKS = st.integers(0, 3)
EVENTS = st.sampled_from(["requeue", "accept", "lose", "fail", "complete", "save", "bind", "resubmit", "abandon"])
TASKS = st.sampled_from([None, "t1", "t2"])
CLAIMS = st.builds(RateClaim, limit=st.integers(1, 4), window_s=st.just(10.0), own_calls=st.integers(0, 2))


class TwoLedgers(RuleBasedStateMachine):
    """Each call is made on both, and the answers compared; owners are compared by the order of their books."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.model = MemoryLedger()
        self.file = SqliteLedger(self.folder / "ledger.db", executor=Inline())
        self.books: list[tuple[LedgerSession, LedgerSession]] = []
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
        """*value* with the owners' places instead of their names."""
        match value:
            case JobRow():
                return attrs.evolve(value, owner=str(self.names[value.owner]) if value.owner else None)
            case LedgerChanges():
                rows = [[self.plain(row) for row in rows] for rows in (value.taken_over, value.changed)]
                return rows, value.hints, value.gate
            case list():
                return [self.plain(item) for item in value]
        return value

    def both(self, number: int, method: str, *args: Any) -> Any:
        model, file = self.books[number % len(self.books)]
        said, done = self.run(getattr(model, method)(*args)), self.run(getattr(file, method)(*args))
        assert self.plain(done) == self.plain(said), method
        return said, done

    @rule(account=st.sampled_from(["account-1", "account-1", "account-1", "account-2", None]))
    @precondition(lambda self: len(self.books) < 4)
    def open(self, account: str | None) -> None:
        pair = self.run(self.model.open(account)), self.run(self.file.open(account))
        for book in pair:
            self.names[book.session_id] = len(self.names) // 2
        self.books.append(pair)

    @rule(number=BOOKS)
    @precondition(lambda self: self.books)
    def close(self, number: int) -> None:
        self.both(number, "close")
        del self.books[number % len(self.books)]

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 10.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=BOOKS, key=KEYS, task_id=TASKS, account=st.sampled_from(["account-1", "account-2"]))
    @precondition(lambda self: self.books)
    def plan(self, number: int, key: str, task_id: str | None, account: str) -> None:
        state = "queued" if task_id is None else "running"
        self.both(number, "insert", job(key, submitted_at=self.now, task_id=task_id, state=state, account=account))

    @rule(number=BOOKS, key=KEYS)
    @precondition(lambda self: self.books)
    def look(self, number: int, key: str) -> None:
        pair = self.both(number, "get", key)
        if pair[0] is not None:
            self.seen.append(pair)

    @rule(number=BOOKS, which=st.integers(0, 9))
    @precondition(lambda self: self.books and self.seen)
    def plan_anew(self, number: int, which: int) -> None:
        model, file = self.seen[which % len(self.seen)]
        one, two = self.books[number % len(self.books)]
        row = job(model.key, submitted_at=self.now)
        said, done = self.run(one.insert(row, replaces=model)), self.run(two.insert(row, replaces=file))
        assert self.plain(done) == self.plain(said)

    @rule(number=BOOKS, key=KEYS, event=EVENTS, task_id=TASKS, closes=st.booleans())
    @precondition(lambda self: self.books)
    def record(self, number: int, key: str, event: str, task_id: str | None, closes: bool) -> None:
        model, file = self.books[number % len(self.books)]
        changes: dict[str, Any] = {"task_id": task_id} if event in ("accept", "bind") else {}
        if event in ("fail", "complete", "abandon"):
            changes["ended_at"] = self.now
        taken, until = step(event, key, self.now, **changes), self.now + 20.0 if closes else 0.0
        said = self.run(model.apply(taken, closed_until=until))
        assert self.run(file.apply(taken, closed_until=until)) == said

    @rule(number=BOOKS, key=KEYS, claim=CLAIMS, back=st.sampled_from([0.0, 3.0]))
    @precondition(lambda self: self.books)
    def send(self, number: int, key: str, claim: RateClaim, back: float) -> None:
        self.tokens += 1
        at = self.now - back
        self.both(number, "begin_send", step("send", key, at, token=f"token-{self.tokens}", sent_at=at), claim)

    @rule(number=BOOKS)
    @precondition(lambda self: self.books)
    def news(self, number: int) -> None:
        self.both(number, "changes", self.now)

    @rule(number=BOOKS, token=st.integers(1, 6), task_id=st.sampled_from(["t1", "t2"]))
    @precondition(lambda self: self.books)
    def hint(self, number: int, token: int, task_id: str) -> None:
        self.both(number, "add_hint", f"token-{token}", task_id, self.now)

    @rule(number=BOOKS, age_s=st.sampled_from([0.0, 5.0]))
    @precondition(lambda self: self.books)
    def prune(self, number: int, age_s: float) -> None:
        self.both(number, "prune", self.now - age_s)

    @rule(number=BOOKS, knowledge=st.sampled_from(["{}", "[]"]))
    @precondition(lambda self: self.books)
    def know(self, number: int, knowledge: str) -> None:
        self.both(number, "save_knowledge", knowledge)

    @invariant()
    def all_is_the_same(self) -> None:
        if self.books:
            said, _ = self.both(0, "jobs")
            for row in said:
                self.both(0, "transitions", row.key)
            self.both(0, "knowledge")
            self.both(0, "job_of_task", "t1")

    @invariant()
    def every_step_follows_the_table(self) -> None:
        for _, taken in self.model.timeline:
            assert taken.event == "submit" or taken.after in {s.value for s in TABLE[taken.before].values()}  # type: ignore[index]  # words are states

    def teardown(self) -> None:
        for number in range(len(self.books)):
            self.both(number, "close")
        self.runner.close()
        shutil.rmtree(self.folder)


TestTwoLedgers = TwoLedgers.TestCase
TestTwoLedgers.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
