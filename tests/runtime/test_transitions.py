"""Every transition of the table, whoever looks on: written first, then acted upon, then told to each exactly once.

The product of `lifecycle.TABLE` with both ledgers; in every case a hook, a listener, a waiter and two `map`s look on,
the job has a deadline and a reserved price, and slots are counted.
"""

import ast
import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.internals import crash_of, engine_of, parts_of
from veo_async import VeoSession, _runtime, errors
from veo_async._ports import JobRow, Ledger, Transition
from veo_async._rules.lifecycle import TABLE, Event, JobState
from veo_async._rules.polling.poll_result import Succeeded, Unsuccessful
from veo_async._runtime.job.outcome import Failed
from veo_async._runtime.journal import CLOSE_TIMEOUT_S
from veo_async._runtime.sending import sender as sending
from veo_async._wire import Record, VideoRequest
from veo_async._wire.responses import Accepted
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.simulator import MemoryTransport

from .support import check_joints, let_run, memory, session_on
from .test_resume import AtOnce

pytestmark = pytest.mark.veo_virtual_time

Q, S, R, D = JobState.QUEUED, JobState.SENDING, JobState.RUNNING, JobState.IN_DOUBT
WAYS = [(state, event) for state, ways in TABLE.items() for event in ways]
#: What is told of a job that has come to a state.
TOLD = {
    Q: "Queued",
    S: "Sent",
    R: "Running",
    JobState.READY: "Ready",
    JobState.SAVED: "Ready",
    JobState.REFUSED: "Refused",
    JobState.FAILED: "Failed",
    JobState.EXPIRED: "Failed",
    JobState.ABANDONED: "Failed",
    D: "InDoubt",
}
#: Ends after which nothing is reserved any more.
FREE = {(Q, Event.REFUSE), (Q, Event.ABANDON), (S, Event.REFUSE), (S, Event.FAIL), (R, Event.REFUSE), (R, Event.FAIL)}
RECORD = Record(flag=1, urls=("https://a.invalid/1.mp4",), raw={"successFlag": 1, "resultUrls": []})
PRICE = 60.0
TASK = "veo_task_subject_0001"


@attrs.define(eq=False)
class Stage:
    """A session in which one job, the subject, stands in the state from which it is to be moved."""

    veo: VeoSession
    sim: MemoryTransport
    state_on: Callable[[str], str | None]
    #: What the hook was told of the subject, and where the ledger had it then.
    hooked: list[tuple[str, str | None]] = attrs.field(factory=list)
    heard: list[str] = attrs.field(factory=list)
    #: Answers to come, of the subject's requests.
    answers: "asyncio.Queue[Any]" = attrs.field(factory=asyncio.Queue)
    save: "asyncio.Future[Any] | None" = None
    entry: Any = None
    job: Any = None

    @property
    def engine(self) -> Any:
        return engine_of(self.veo)

    def hook(self, event: Any) -> None:
        if event.key == "subject":
            self.hooked.append((type(event).__name__, self.state_on("subject")))

    async def listen(self) -> None:
        self.heard.clear()
        async for event in self.job.events():
            self.heard.append(type(event).__name__)

    async def end_of_task(self, end: Succeeded | Unsuccessful) -> None:
        self.engine.watcher.forget(self.entry)
        await self.engine._task_ended(self.entry, end)


def on_memory(ledger: MemoryLedger) -> Callable[[str], str | None]:
    return lambda key: ledger.jobs[key].state if key in ledger.jobs else None


def on_file(path: Path) -> Callable[[str], str | None]:
    def state(key: str) -> str | None:
        with closing(sqlite3.connect(path)) as there:
            row = there.execute("SELECT state FROM job WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    return state


@pytest.fixture(params=["memory", "sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Ledger, Callable[[str], str | None]]:
    if request.param == "memory":
        ledger = MemoryLedger()
        return ledger, on_memory(ledger)
    path = tmp_path / "veo.db"
    return SqliteLedger(path, executor=AtOnce()), on_file(path)


@asynccontextmanager
async def stage(
    monkeypatch: pytest.MonkeyPatch,
    kept: tuple[Any, Callable[[str], str | None]],
    state: JobState,
    *,
    save_to: str | None = None,
    deadline: float = 3600.0,
) -> AsyncIterator[Stage]:
    """The subject in *state*, come there by itself; one other job runs, in the only slot while the subject waits."""
    sim, it = memory(), None

    async def create(api: Any, request: Any) -> Accepted:
        if request.prompt != "subject":
            return Accepted(task_id="veo_task_plug_" + request.prompt)
        answer = await it.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def look(task_id: str) -> Record:
        return Record(task_id=task_id, flag=0)

    monkeypatch.setattr(sending, "create", create)
    ledger, state_on = kept
    veo = session_on(
        sim,
        ledger=ledger,
        max_in_flight=1 if state is Q else 2,
        max_queued=1,
        budget=10_000.0,
        on_event=lambda event: it.hook(event),
        on_doubt="hold",
    )
    it = Stage(veo, sim, state_on)

    async def save(clip: Any, path: Path) -> Any:
        it.save = asyncio.get_running_loop().create_future()
        return await it.save

    monkeypatch.setattr(parts_of(veo).clip_saver, "save", save)
    async with veo:
        it.engine.watcher._look = look
        monkeypatch.setattr(it.engine, "read_record", look)
        await (await veo.submit("plug", key="plug")).accepted()
        it.job = await veo.submit("subject", key="subject", send_within=deadline, save_to=save_to)
        it.entry = engine_of(veo).registry.by_key["subject"]
        await let_run()
        if state is not Q:
            assert it.entry.state is S
            if state is D:
                it.answers.put_nowait(errors.ResponseLost("gone"))
            elif state is not S:
                it.answers.put_nowait(Accepted(task_id=TASK))
            await let_run()
        if state is JobState.READY:
            await it.end_of_task(Succeeded(RECORD))
            await let_run()
        assert it.entry.state is state
        try:
            yield it
        finally:  # nothing that is on the way may keep the session open
            for _ in range(3):
                it.answers.put_nowait(errors.ResponseLost("the test is over"))


async def happen(it: Stage, state: JobState, event: Event) -> None:
    """*event*, as it comes in life."""
    match state, event:
        case JobState.QUEUED, Event.SEND:
            await it.veo.job("plug").abandon()
        case JobState.QUEUED, Event.REFUSE:
            await asyncio.sleep(31)
        case _, Event.ABANDON:
            await it.job.abandon()
        case JobState.SENDING, Event.REQUEUE:
            it.answers.put_nowait(errors.RateLimited("slow", body_code=429))
        case JobState.SENDING, Event.ACCEPT:
            it.answers.put_nowait(Accepted(task_id=TASK))
        case JobState.SENDING, Event.REFUSE:
            it.answers.put_nowait(errors.RequestRejected("no", body_code=400))
        case JobState.SENDING, Event.LOSE:
            it.answers.put_nowait(errors.ResponseLost("gone"))
        case JobState.SENDING, Event.FAIL:
            it.entry.unsent_attempts = 1000
            it.answers.put_nowait(errors.NotSent("no net"))
        case JobState.RUNNING, Event.COMPLETE:
            await it.end_of_task(Succeeded(RECORD))
        case JobState.RUNNING, Event.REFUSE:
            await it.end_of_task(Unsuccessful(errors.ContentRefused("no")))
        case JobState.RUNNING, Event.FAIL:
            await it.end_of_task(Unsuccessful(errors.TaskFailed("broken")))
        case JobState.RUNNING, Event.EXPIRE:
            await it.end_of_task(Unsuccessful(errors.RecordExpired("gone")))
        case JobState.READY, Event.SAVE:
            assert it.save is not None
            it.save.set_result((Path("1.mp4"),))
        case JobState.READY, Event.EXPIRE:  # nobody asks for it yet
            error = errors.DownloadFailed("gone")
            await it.engine.transitions.apply(it.entry, event, Failed("subject", error))
        case JobState.IN_DOUBT, Event.BIND:
            await it.job.resolve(TASK)
        case JobState.IN_DOUBT, Event.RESUBMIT:
            it.veo.stop_sending()
            await it.job.resubmit()
        case _:
            raise AssertionError(f"nobody has said how {event} comes to {state}")
    await let_run()


@pytest.mark.parametrize(("state", "event"), WAYS)
async def test_every_transition_is_written_then_acted_upon_then_told_once(
    monkeypatch: pytest.MonkeyPatch, kept: Any, state: JobState, event: Event
) -> None:
    """Whatever happens to a job, the ledger knows first and everyone who looks on is told once."""
    after = TABLE[state][event]
    is_saved = state is JobState.READY
    deadline = 30.0 if (state, event) == (Q, Event.REFUSE) else 3600.0
    async with stage(monkeypatch, kept, state, save_to="clips" if is_saved else None, deadline=deadline) as it:
        listening = asyncio.create_task(it.listen())
        waiting = asyncio.create_task(it.job.finished())
        changing = asyncio.create_task(it.entry.wait_change()) if it.entry.outcome is None else None
        outcomes: list[str] = []

        async def collect(requests: list[Any], key: str) -> None:
            async for _ in it.veo.map(requests, key=lambda _: key):
                outcomes.append(key)  # noqa: PERF401  # it is cut off, and what came before counts

        attached = asyncio.create_task(collect([it.entry.request], "subject"))
        for_room = asyncio.create_task(collect([VideoRequest("room")], "room"))
        await let_run()
        assert ("room" in it.engine.registry.by_key) is (state is not Q)
        it.hooked.clear()
        it.heard.clear()

        await happen(it, state, event)

        is_end = after in (JobState.READY, D) or not TABLE[after]
        assert it.entry.state is after
        assert it.state_on("subject") == after.value
        assert it.hooked == [(TOLD[after], after.value)]  # told once, and the ledger had it then
        if it.heard or state is not D:  # who listens to a doubt has heard the end of it
            assert it.heard == [TOLD[after]]
        assert waiting.done() is (is_end or state is D)
        if changing is not None:
            assert changing.done() is (is_end or after in (R, Q, D))
        assert outcomes.count("subject") == int(is_end or state is D)
        if state is Q:
            assert "room" in it.engine.registry.by_key  # there was room again for who waited for that
        assert (it.entry in it.engine.queued._deadlines) is (after is Q)
        reserved = it.veo.statistics().credits.reserved
        mine = 0 if (state, event) in FREE else 2 if event is Event.RESUBMIT else 1
        others = sum(
            entry.state is not JobState.ABANDONED or entry.task_id is not None
            for key, entry in it.engine.registry.by_key.items()
            if key != "subject"
        )
        assert reserved == PRICE * (mine + others)
        check_joints(it.veo)
        for task in (listening, waiting, attached, for_room, *([changing] if changing else ())):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize(("state", "event"), [way for way in WAYS if way != (Q, Event.SEND)])
async def test_every_transition_that_the_ledger_does_not_take_goes_by_the_ledger(
    monkeypatch: pytest.MonkeyPatch, state: JobState, event: Event
) -> None:
    """Another session has taken the job for its own; here nothing of it is left but that it is followed."""
    ledger = MemoryLedger()
    is_saved = state is JobState.READY
    deadline = 30.0 if (state, event) == (Q, Event.REFUSE) else 3600.0
    async with stage(
        monkeypatch, (ledger, on_memory(ledger)), state, save_to="clips" if is_saved else None, deadline=deadline
    ) as it:
        other: Any = await ledger.open(it.engine.ledger.account)
        row = ledger.jobs["subject"]
        told = '{"error": {"error": "ResponseLost", "message": "elsewhere"}}'
        moved = {S: "in_doubt", D: "queued"}.get(state, "refused" if state is Q else "expired")
        outcome = None if moved == "queued" else told
        # Behind its back, and without news: this session was thought to be dead.
        ledger.jobs["subject"] = attrs.evolve(row, owner=other.session_id, state=moved, outcome=outcome)
        it.hooked.clear()
        waiting = asyncio.create_task(it.job.finished())
        with suppress(errors.UsageError):
            await happen(it, state, event)
        await let_run()
        here = JobState(ledger.jobs["subject"].state)
        assert it.entry.state is here
        assert it.entry.is_remote
        if (state, event) == (S, Event.ACCEPT):
            assert here is R  # who knows the task says so, and the doubt is over
            assert ledger.jobs["subject"].task_id == TASK
        assert [name for name, _ in it.hooked] in ([], [TOLD[here]], ["InDoubt"])
        assert it.engine.scheduler.slots.borrowed_tokens == 1  # the other job's
        assert parts_of(it.veo).rate_limiter.statistics().running == 1
        assert it.engine.watcher.statistics.tasks == 1
        assert it.entry not in it.engine.queued._deadlines
        assert it.entry not in parts_of(it.veo).queue
        await asyncio.sleep(20)  # looks at what runs go on, and nobody looks at this one
        assert crash_of(it.veo) is None
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await other.close()


@attrs.define(eq=False)
class Hasty(MemoryLedger):
    """A ledger that writes and then says that it failed, as long as it is told to."""

    fails: bool = False
    #: The next steps wait for this.
    hold: "asyncio.Event | None" = None

    async def open(self, account: str | None) -> Any:
        return HastyBook(self, await MemoryLedger.open(self, account))


class HastyBook:
    def __init__(self, ledger: Hasty, book: Any) -> None:
        self._ledger, self._book = ledger, book

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)

    async def apply(self, step: Transition, **options: Any) -> bool:
        if self._ledger.hold is not None:
            await self._ledger.hold.wait()
        is_written: bool = await self._book.apply(step, **options)
        if self._ledger.fails:
            raise errors.LedgerIOError("nobody knows")
        return is_written

    async def get(self, key: str) -> JobRow | None:
        row: JobRow | None = await self._book.get(key)
        return row


@pytest.mark.parametrize(("state", "event"), [way for way in WAYS if way != (Q, Event.SEND)])
async def test_every_transition_that_is_written_though_told_to_have_failed_happens_once(
    monkeypatch: pytest.MonkeyPatch, state: JobState, event: Event
) -> None:
    """The write is insisted upon; it finds what is there, and everything happens once."""
    ledger = Hasty()
    is_saved = state is JobState.READY
    deadline = 30.0 if (state, event) == (Q, Event.REFUSE) else 3600.0
    async with stage(
        monkeypatch, (ledger, on_memory(ledger)), state, save_to="clips" if is_saved else None, deadline=deadline
    ) as it:
        it.hooked.clear()
        ledger.fails = True
        happening = asyncio.create_task(happen(it, state, event))
        await asyncio.sleep(32 if deadline == 30.0 else 1)
        ledger.fails = False
        await asyncio.sleep(120)
        await happening
        after = TABLE[state][event]
        told = [name for name, _ in it.hooked]
        assert told.count(TOLD[after]) == 1 or after is Q
        assert it.entry.state is after or after is Q
        assert ledger.jobs["subject"].state == it.entry.state
        assert crash_of(it.veo) is None
        if event is not Event.REQUEUE:
            check_joints(it.veo)


@pytest.mark.parametrize("event", [Event.BIND, Event.RESUBMIT, Event.ABANDON])
@pytest.mark.parametrize("other", [Event.BIND, Event.RESUBMIT, Event.ABANDON])
async def test_a_doubt_that_is_ended_by_two_at_once_ends_once(
    monkeypatch: pytest.MonkeyPatch, event: Event, other: Event
) -> None:
    """The ledger takes the first; the second changes nothing, tells nobody and reserves nothing."""
    ledger = Hasty()
    async with stage(monkeypatch, (ledger, on_memory(ledger)), D) as it:
        it.hooked.clear()
        ledger.hold = asyncio.Event()
        both = [asyncio.create_task(happen(it, D, each)) for each in (event, other)]
        await let_run()
        ledger.hold.set()
        results = await asyncio.gather(*both, return_exceptions=True)  # noqa: TID251
        assert [type(each) for each in results if each is not None] in ([], [errors.UsageError])
        await let_run()
        assert it.entry.state == ledger.jobs["subject"].state == TABLE[D][event]
        assert [name for name, _ in it.hooked] == [TOLD[TABLE[D][event]]]
        assert it.veo.statistics().credits.reserved == PRICE * (3 if event is Event.RESUBMIT else 2)
        check_joints(it.veo)
        assert crash_of(it.veo) is None


@pytest.mark.parametrize(
    ("state", "event"), [(Q, Event.ABANDON), (R, Event.ABANDON), *((D, event) for event in TABLE[D])]
)
async def test_whoever_asks_and_is_cancelled_leaves_nothing_half_done(
    monkeypatch: pytest.MonkeyPatch, state: JobState, event: Event
) -> None:
    """Cancelled while the ledger writes: the job moves all the same, and who waits for it is told."""
    ledger = Hasty()
    async with stage(monkeypatch, (ledger, on_memory(ledger)), state) as it:
        waiting = asyncio.create_task(it.job.finished())
        it.hooked.clear()
        ledger.hold = asyncio.Event()
        asking = asyncio.create_task(happen(it, state, event))
        await let_run()
        asking.cancel()
        await asyncio.wait([asking])
        ledger.hold.set()
        await let_run()
        after = TABLE[state][event]
        assert it.entry.state == ledger.jobs["subject"].state == after
        assert [name for name, _ in it.hooked] == [TOLD[after]]
        assert waiting.done()
        await waiting
        assert it.veo.statistics().credits.reserved == PRICE * {Event.RESUBMIT: 3}.get(event, 1 if state is Q else 2)
        check_joints(it.veo)


@pytest.mark.parametrize(("state", "event"), [way for way in WAYS if way != (Q, Event.SEND)])
async def test_a_session_ends_in_time_whatever_the_ledger_does_not_take(
    monkeypatch: pytest.MonkeyPatch, state: JobState, event: Event
) -> None:
    """The ledger is gone for good; the session closes within its patience, and who waits is told."""
    ledger = Hasty()
    is_saved = state is JobState.READY
    deadline = 30.0 if (state, event) == (Q, Event.REFUSE) else 3600.0
    loop = asyncio.get_running_loop()
    async with stage(
        monkeypatch, (ledger, on_memory(ledger)), state, save_to="clips" if is_saved else None, deadline=deadline
    ) as it:
        waiting = asyncio.create_task(it.job.finished())
        ledger.fails = True
        happening = asyncio.create_task(happen(it, state, event))
        await asyncio.sleep(32 if deadline == 30.0 else 3)
        it.answers.put_nowait(errors.ResponseLost("the test is over"))
        began = loop.time()
        await it.veo.close()
        assert loop.time() - began <= 2 * CLOSE_TIMEOUT_S + 1
        assert crash_of(it.veo) is None
        await asyncio.wait([waiting, happening])
        for task in (waiting, happening):
            if not task.cancelled() and (error := task.exception()) is not None:
                assert isinstance(error, errors.VeoError), repr(error)


async def test_a_doubt_that_ends_while_the_record_of_a_named_task_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever named the task is told that the job is not in doubt any more; nothing is written."""
    ledger = MemoryLedger()
    async with stage(monkeypatch, (ledger, on_memory(ledger)), D) as it:
        answer = asyncio.Event()

        async def look(task_id: str) -> Record:
            await answer.wait()
            return Record(task_id=task_id, flag=0)

        monkeypatch.setattr(it.engine, "read_record", look)
        naming = asyncio.create_task(it.job.resolve(TASK))
        await let_run()
        await it.job.abandon()
        answer.set()
        with pytest.raises(errors.UsageError, match="not in doubt"):
            await naming
        assert ledger.jobs["subject"].state == JobState.ABANDONED


async def test_an_answer_that_names_the_task_of_another_job_is_a_doubt_and_holds_nothing(
    monkeypatch: pytest.MonkeyPatch, kept: Any
) -> None:
    """Its slot is free, and it counts as no task that runs."""
    async with stage(monkeypatch, kept, S) as it:
        it.answers.put_nowait(Accepted(task_id="veo_task_plug_plug"))
        await let_run()
        assert it.entry.state is D
        assert parts_of(it.veo).rate_limiter.statistics().running == 1
        assert [name for name, _ in it.hooked].count("InDoubt") == 1
        check_joints(it.veo)


async def test_a_doubt_of_another_session_that_is_resubmitted_here_reserves_nothing_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever drives it sends it and pays."""
    ledger = MemoryLedger()
    async with stage(monkeypatch, (ledger, on_memory(ledger)), D) as it:
        other: Any = await ledger.open(it.engine.ledger.account)
        ledger.jobs["subject"] = attrs.evolve(ledger.jobs["subject"], owner=other.session_id)
        it.engine.transitions.follow(it.entry, ledger.jobs["subject"])
        before = it.veo.statistics().credits.reserved
        await it.job.resubmit()
        assert it.entry.state is Q
        assert it.entry.is_remote
        assert it.entry not in parts_of(it.veo).queue
        assert it.veo.statistics().credits.reserved == before
        await other.close()
        await asyncio.sleep(2)  # now nobody drives it, and it is taken over
        assert not it.entry.is_remote
        assert it.entry.state is S


async def test_the_task_that_sends_a_paid_request_has_a_name(monkeypatch: pytest.MonkeyPatch, kept: Any) -> None:
    """A debugger shows whose money is on the way."""
    async with stage(monkeypatch, kept, S):
        assert {"veo.post:subject"} <= {task.get_name() for task in asyncio.all_tasks()}


def test_only_transitions_change_where_a_job_stands() -> None:
    """The rule of the room, read from the source: one place writes a step, moves a job and brings it to its end."""
    runtime = Path(_runtime.__file__).parent
    found: dict[str, set[str]] = {}
    for file in runtime.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            name = ast.unparse(node.func).replace("self._", "") if isinstance(node, ast.Call) else ""
            if name in ("job.apply", "job.set_outcome", "journal.record", "update_from_row", "announcer.finished"):
                found.setdefault(name, set()).add(file.stem)
    assert found == {
        "job.apply": {"transitions"},
        "journal.record": {"transitions"},
        "update_from_row": {"transitions", "rows"},
        "job.set_outcome": {"announcer"},
        "announcer.finished": {"transitions"},
    }
