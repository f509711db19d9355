"""A session with one job, the subject, in a given state, from which a test moves it on."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.internals import engine_of
from veo_async import VeoSession, errors
from veo_async._clip_saver import ClipSaver
from veo_async._ports import JobRow, Transition
from veo_async._rules.lifecycle import TABLE, Event, JobState
from veo_async._rules.polling.poll_result import NotFinished, Succeeded, Unsuccessful
from veo_async._runtime.engine import Engine
from veo_async._runtime.job.handle import Job
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Clip, Failed
from veo_async._runtime.running import watcher
from veo_async._runtime.running.polls import RecordReader
from veo_async._runtime.sending import sender
from veo_async._wire import Record
from veo_async._wire.responses import Accepted
from veo_async.ledger import MemoryLedger

from .support import check_joints, let_run, memory, session_on

QUEUED, SENDING, RUNNING, READY, IN_DOUBT = (
    JobState.QUEUED,
    JobState.SENDING,
    JobState.RUNNING,
    JobState.READY,
    JobState.IN_DOUBT,
)
#: Every transition: the state before, and the event.
TRANSITIONS = [(state, event) for state, events in TABLE.items() for event in events]
PRICE = 60.0
TASK = "veo_task_subject_0001"
OTHER_TASK = "veo_task_other_other"

#: Returns the state of a job on the ledger.
StateOnLedger = Callable[[str], str | None]


def of_memory(ledger: MemoryLedger) -> StateOnLedger:
    return lambda key: ledger.jobs[key].state if key in ledger.jobs else None


def of_file(path: Path) -> StateOnLedger:
    def state(key: str) -> str | None:
        with closing(sqlite3.connect(path)) as connection:
            row = connection.execute("SELECT state FROM job WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    return state


@attrs.define(eq=False)
class Case:
    """The session, the subject, and what the test controls: responses, ends of tasks, and the saver."""

    veo: VeoSession
    state_on_ledger: StateOnLedger
    #: The events of the subject that the hook got, with the state on the ledger at that moment.
    hook_events: list[tuple[str, str | None]] = attrs.field(factory=list)
    #: The responses to the subject's requests.
    responses: "asyncio.Queue[Any]" = attrs.field(factory=asyncio.Queue)
    #: The subject and the other job: the session finds them as long as there are handles.
    handles: list[Job] = attrs.field(factory=list)
    #: How tasks have ended, by task id.
    ends: dict[str, Succeeded | Unsuccessful] = attrs.field(factory=dict)
    #: Resolved with the files of the subject.
    save: "asyncio.Future[Any] | None" = None

    @property
    def engine(self) -> Engine:
        return engine_of(self.veo)

    @property
    def job(self) -> Job:
        return self.veo.job("subject")

    @property
    def live(self) -> LiveJob:
        return self.engine.registry.by_key["subject"]

    @property
    def reserved(self) -> float:
        return self.veo.statistics().credits.reserved

    def on_event(self, event: Any) -> None:
        if event.key == "subject":
            self.hook_events.append((type(event).__name__, self.state_on_ledger("subject")))

    def hook_names(self) -> list[str]:
        return [name for name, _ in self.hook_events]

    async def end_task(self, end: Succeeded | Unsuccessful) -> None:
        """Let the next poll, which is due now, show the end of the subject's task."""
        self.ends[TASK] = end
        self.engine.watcher.poll_now(self.live)
        await asyncio.sleep(0.1)


@asynccontextmanager
async def case(
    monkeypatch: pytest.MonkeyPatch,
    ledger: Any,
    state_on_ledger: StateOnLedger,
    state: JobState,
    *,
    save_to: str | None = None,
    send_within: float = 3600.0,
    **options: Any,
) -> AsyncIterator[Case]:
    """Open a session whose subject is in *state*. Another job runs, in the only slot while the subject is queued."""
    current: Case

    async def create(_: Any, request: Any, __: Any) -> Accepted:
        if request.prompt != "subject":
            return Accepted(task_id="veo_task_other_" + request.prompt)
        response = await current.responses.get()
        if isinstance(response, Exception):
            raise response
        return response  # type: ignore[no-any-return]  # the tests put nothing else

    async def poll(_: Any, job: LiveJob) -> Record:
        return Record(task_id=job.task_id, flag=0)

    async def read(_: Any, task_id: str, __: Any) -> Record:
        return Record(task_id=task_id, flag=0)

    async def save(_: ClipSaver, clip: Clip, __: str) -> Clip:
        current.save = asyncio.get_running_loop().create_future()
        return attrs.evolve(clip, files=await current.save)

    monkeypatch.setattr(sender, "create", create)
    monkeypatch.setattr(RecordReader, "poll", poll)
    monkeypatch.setattr(RecordReader, "read", read)
    monkeypatch.setattr(watcher, "interpret", lambda _, record, __: current.ends.get(record.task_id, NotFinished()))
    monkeypatch.setattr(ClipSaver, "save", save)
    settings = {
        "max_in_flight": 1 if state is QUEUED else 2,
        "max_queued": 1,
        "budget": 10_000.0,
        "on_event": lambda event: current.on_event(event),
        **options,
    }
    current = Case(session_on(memory(), ledger=ledger, **settings), state_on_ledger)
    async with current.veo as veo:
        current.handles.append(await veo.submit("other", key="other"))
        await current.handles[0].accepted()
        subject = await veo.submit("subject", key="subject", send_within=send_within, save_to=save_to)
        current.handles.append(subject)
        await let_run()
        if state is not QUEUED:
            assert current.live.state is SENDING
            if state is IN_DOUBT:
                current.responses.put_nowait(errors.ResponseLost("lost"))
            elif state is not SENDING:
                current.responses.put_nowait(Accepted(task_id=TASK))
            await let_run()
        if state is READY:
            await current.end_task(Succeeded(Record(flag=1, urls=("https://a.invalid/1.mp4",), raw={"successFlag": 1})))
        assert current.live.state is state
        try:
            yield current
        finally:  # a request that gets no response would keep the session open
            for _ in range(3):
                current.responses.put_nowait(errors.ResponseLost("the test has finished"))


async def trigger(current: Case, state: JobState, event: Event) -> None:
    """Let *event* happen to the subject the way it does outside of tests."""
    match state, event:
        case JobState.QUEUED, Event.SEND:
            await current.veo.job("other").abandon()
        case JobState.QUEUED, Event.REFUSE:
            await asyncio.sleep(31)  # its deadline passes
        case _, Event.ABANDON:
            await current.job.abandon()
        case JobState.SENDING, Event.REQUEUE:
            current.responses.put_nowait(errors.RateLimited("slow down", body_code=429))
        case JobState.SENDING, Event.ACCEPT:
            current.responses.put_nowait(Accepted(task_id=TASK))
        case JobState.SENDING, Event.REFUSE:
            current.responses.put_nowait(errors.RequestRejected("rejected", body_code=400))
        case JobState.SENDING, Event.LOSE:
            current.responses.put_nowait(errors.ResponseLost("lost"))
        case JobState.SENDING, Event.FAIL:
            current.live.unsent_attempts = 1000
            current.responses.put_nowait(errors.NotSent("no network"))
        case JobState.RUNNING, Event.COMPLETE:
            await current.end_task(Succeeded(Record(flag=1, urls=("https://a.invalid/1.mp4",), raw={"successFlag": 1})))
        case JobState.RUNNING, Event.REFUSE:
            await current.end_task(Unsuccessful(errors.ContentRefused("refused")))
        case JobState.RUNNING, Event.FAIL:
            await current.end_task(Unsuccessful(errors.TaskFailed("failed")))
        case JobState.RUNNING, Event.EXPIRE:
            await current.end_task(Unsuccessful(errors.RecordExpired("expired")))
        case JobState.READY, Event.SAVE:
            assert current.save is not None
            current.save.set_result((Path("1.mp4"),))
        case JobState.READY, Event.EXPIRE:  # no part of the session causes this yet
            failed = Failed("subject", errors.DownloadFailed("expired"))
            await current.engine.transitions.apply(current.live, event, failed)
        case JobState.IN_DOUBT, Event.BIND:
            await current.job.resolve(TASK)
        case JobState.IN_DOUBT, Event.RESUBMIT:
            current.veo.stop_sending()
            await current.job.resubmit()
        case _:
            raise AssertionError(f"no test says how {event} happens to a job that is {state}")
    await let_run()


def check_nothing_left(current: Case) -> None:
    """Check that the subject holds nothing but what belongs to its state: no timer, slot, place or map entry."""
    engine, live = current.engine, current.live
    state = None if live.is_remote else live.state
    assert (live in engine.queued) is (state is QUEUED)
    assert (live in engine.in_doubt) is (state is IN_DOUBT)
    assert live not in engine.hints
    assert live not in engine.uploads
    if state is not None:
        check_joints(current.veo)
    current.veo.statistics()  # raises if the session has crashed


@attrs.define(eq=False)
class FaultyLedger(MemoryLedger):
    """A ledger whose writes and reads fail or wait as the test says."""

    #: Transitions are committed, and then an error is raised nevertheless.
    fails: bool = False
    #: Transitions are rejected, as if another session had changed the job.
    rejects: bool = False
    #: Reads fail.
    fails_to_read: bool = False
    #: Transitions wait for this.
    hold: "asyncio.Event | None" = None

    async def open(self, account: str | None) -> Any:
        return _FaultySession(self, await MemoryLedger.open(self, account))


class _FaultySession:
    def __init__(self, ledger: FaultyLedger, session: Any) -> None:
        self._ledger, self._session = ledger, session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def apply(self, transition: Transition, **options: Any) -> bool:
        if self._ledger.hold is not None:
            await self._ledger.hold.wait()
        if self._ledger.rejects:
            return False
        is_written: bool = await self._session.apply(transition, **options)
        if self._ledger.fails:
            raise errors.LedgerIOError("it is unknown whether this was committed")
        return is_written

    async def get(self, key: str) -> JobRow | None:
        if self._ledger.fails_to_read:
            raise errors.LedgerIOError("the disk is gone")
        row: JobRow | None = await self._session.get(key)
        return row
