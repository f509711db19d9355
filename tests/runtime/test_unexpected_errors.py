"""An unexpected exception while one job is handled is that job's problem alone, wherever it is raised."""

import asyncio
import functools
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.internals import crash_of, engine_of
from veo_async import Clip, Done, InDoubt, Refused, VeoSession, errors
from veo_async._clip_saver import ClipSaver
from veo_async._ports import Ledger
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._runtime.hooks import Hooks
from veo_async._runtime.in_doubt.handler import InDoubtState
from veo_async._runtime.in_doubt.hints import HintFollower
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.journal import Journal
from veo_async._runtime.queued.handler import QueuedState
from veo_async._runtime.queued.spending import Spending
from veo_async._runtime.ready.handler import ReadyState
from veo_async._runtime.ready.saving import JobSaver
from veo_async._runtime.running import watcher
from veo_async._runtime.running.handler import RunningState, TaskFinisher
from veo_async._runtime.running.polls import RecordReader
from veo_async._runtime.sending import sender
from veo_async._runtime.sending.callback_tokens import CallbackTokens
from veo_async._runtime.sending.handler import SendingState
from veo_async._runtime.status import StatusReporter
from veo_async.ledger.memory import MemoryLedgerSession
from veo_async.ledger.sqlite.session import SqliteLedgerSession
from veo_async.simulator import drop_after_accepting

from .ledgers import session_with_ledger
from .support import assert_at_rest, check_joints, let_run, memory

pytestmark = pytest.mark.veo_virtual_time

#: One after the other.
KINDS = [RuntimeError, KeyError, RecursionError, asyncio.CancelledError]
SUBJECT = "subject"


@attrs.define(eq=False)
class Fault:
    """Raises an exception in calls about the subject."""

    #: What the first calls raise.
    kinds: list[type[BaseException]] = attrs.field(factory=lambda: [*KINDS])
    raised: int = 0
    #: The task of the subject, by which some calls name it.
    task_id: str | None = None

    def is_about_subject(self, value: Any) -> bool:
        names = (getattr(value, name, None) for name in ("key", "prompt", "job_key"))
        task_id = getattr(value, "task_id", value)
        return SUBJECT in names or value == SUBJECT or (self.task_id is not None and task_id == self.task_id)

    def check(self, values: tuple[Any, ...]) -> None:
        if self.kinds and any(self.is_about_subject(value) for value in values):
            self.raised += 1
            raise self.kinds.pop(0)("a defect")


@contextmanager
def broken(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, fault: Fault, *, late: bool = False
) -> Iterator[None]:
    """Let *owner*'s function *name* raise, before it begins or, if *late*, after its work is done."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def plain(*args: Any, **options: Any) -> Any:
        if not late:
            fault.check(args)
        result = function(*args, **options)
        if late:
            fault.check(args)
        return result

    @functools.wraps(function)
    async def asynchronous(*args: Any, **options: Any) -> Any:
        if not late:
            fault.check(args)
        result = await function(*args, **options)
        if late:
            fault.check(args)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, asynchronous if inspect.iscoroutinefunction(function) else plain)
        yield


#: Each place where one job is handled: whose function, and which.
SEAMS: list[tuple[Any, str]] = [
    (QueuedState, "enter"),
    (QueuedState, "leave"),
    (Spending, "confirm"),
    (StatusReporter, "waiting_status"),
    (CallbackTokens, "issue"),
    (Journal, "send"),
    (MemoryLedgerSession, "begin_send"),
    (SqliteLedgerSession, "begin_send"),
    (LiveJob, "notify"),
    (SendingState, "leave"),
    (Journal, "record"),
    (MemoryLedgerSession, "apply"),
    (SqliteLedgerSession, "apply"),
    (Spending, "accepted"),
    (HintFollower, "sending_ended"),
    (RunningState, "enter"),
    (PollQueue, "started"),
    (RecordReader, "poll"),
    (watcher, "interpret"),
    (PollQueue, "still_running"),
    (PollQueue, "ended"),
    (TaskFinisher, "finish"),
    (RunningState, "leave"),
    (ReadyState, "enter"),
    (JobSaver, "save"),
    (ClipSaver, "save"),
    (LiveJob, "set_outcome"),
    (Hooks, "notify"),
]


def _name_of(value: Any) -> str | None:
    return getattr(value, "__name__", str(value)).rpartition(".")[2] if not isinstance(value, str | bool) else None


async def _save(self: ClipSaver, clip: Clip, target: str) -> Clip:
    return attrs.evolve(clip, files=(Path(target) / f"{clip.key}.mp4",))


def _session(sim: Any, ledger: Any, tmp_path: Path, **options: Any) -> VeoSession:
    return session_with_ledger(
        sim, ledger, save_to=f"{tmp_path}/clips/", on_event=lambda _: None, budget=10_000.0, max_in_flight=2, **options
    )


async def _check(veo: VeoSession, sim: Any) -> None:
    """Check that the session is sound, and that no job holds anything more."""
    assert crash_of(veo) is None
    await let_run()
    check_joints(veo)
    engine = engine_of(veo)
    assert all(job not in engine.transitions.recovery for job in engine.registry.by_key.values())
    assert engine.scheduler.slots.borrowed_tokens == 0
    sim.assert_no_double_charge()


@pytest.mark.parametrize(("owner", "name"), SEAMS, ids=_name_of)
async def test_unexpected_exception_at_any_seam_delays_one_job_only(
    monkeypatch: pytest.MonkeyPatch,
    ledger: Ledger,
    tmp_path: Path,
    owner: Any,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others finish, nothing is paid twice, and the job finishes once the fault has ended."""
    if (
        isinstance(owner, type)
        and "LedgerSession" in owner.__name__
        and owner.__name__[:6] not in type(ledger).__name__
    ):
        pytest.skip("this ledger has another class")
    monkeypatch.setattr(ClipSaver, "save", _save)
    sim, fault = memory(latency_s=0.1), Fault()
    with broken(monkeypatch, owner, name, fault):
        async with _session(sim, ledger, tmp_path) as veo:
            jobs = [await veo.submit(key, key=key) for key in ("first", SUBJECT, "last")]
            fault.task_id = await jobs[1].accepted()
            outcomes = [await job.finished() for job in jobs]
            assert [type(outcome) for outcome in outcomes] == [Done, Done, Done]
            assert len(sim.charges) == 3
            await asyncio.sleep(100)  # what failed at the end of a job was repeated
            await _check(veo, sim)
    assert fault.raised
    assert_at_rest(veo)
    assert any(record.levelno >= logging.ERROR and record.exc_info for record in caplog.records)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
async def test_unexpected_exception_while_sending_leaves_the_job_in_doubt(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, tmp_path: Path, kind: type[BaseException], late: bool
) -> None:
    """It is unknown whether the request was sent, so it is not sent again."""
    monkeypatch.setattr(ClipSaver, "save", _save)
    sim, fault = memory(latency_s=0.1), Fault([kind])
    with broken(monkeypatch, sender, "create", fault, late=late):
        async with _session(sim, ledger, tmp_path) as veo:
            jobs = [await veo.submit(key, key=key) for key in ("first", SUBJECT, "last")]
            outcomes = [await job.finished() for job in jobs]
            assert [type(outcome) for outcome in outcomes] == [Done, InDoubt, Done]
            await asyncio.sleep(1000)
            assert len(sim.requests_to()) == 2 + late
            await _check(veo, sim)


async def test_unexpected_exception_in_the_classification_leaves_the_job_in_doubt(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, tmp_path: Path
) -> None:
    """The response is not understood, so the request may have been accepted."""
    monkeypatch.setattr(ClipSaver, "save", _save)

    def raising(error: errors.VeoError) -> None:
        raise KeyError(error.http_status)

    monkeypatch.setattr(sender, "classify_failure", raising)
    sim = memory(faults=[drop_after_accepting(on=2)], latency_s=0.1)
    async with _session(sim, ledger, tmp_path) as veo:
        jobs = [await veo.submit(key, key=key) for key in ("first", SUBJECT, "last")]
        outcomes = [await job.finished() for job in jobs]
        assert [type(outcome) for outcome in outcomes] == [Done, InDoubt, Done]
        await asyncio.sleep(1000)
        assert len(sim.requests_to()) == 3
        await _check(veo, sim)


@pytest.mark.parametrize("name", ["enter", "_decide", "leave"])
async def test_unexpected_exception_of_a_job_in_doubt_delays_that_job_only(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, tmp_path: Path, name: str
) -> None:
    """The policy decides once the fault has ended."""
    monkeypatch.setattr(ClipSaver, "save", _save)
    sim, fault = memory(faults=[drop_after_accepting(on=1)], latency_s=0.1), Fault()
    with broken(monkeypatch, InDoubtState, name, fault):
        async with _session(sim, ledger, tmp_path, on_doubt="resubmit") as veo:
            subject = await veo.submit(SUBJECT, key=SUBJECT)
            other = await veo.submit("other", key="other")
            assert isinstance(await other.finished(), Done)
            assert isinstance(await subject.finished(), Done)
            assert len(sim.charges) == 3  # the policy allows a second charge
    assert fault.raised
    assert_at_rest(veo)


async def test_unexpected_exception_at_the_deadline_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, tmp_path: Path
) -> None:
    """The job is refused a moment later."""
    fault = Fault()
    with broken(monkeypatch, QueuedState, "_refuse", fault):
        async with _session(memory(), ledger, tmp_path) as veo:
            others = [await veo.submit(key, key=key) for key in ("first", "second")]
            subject = await veo.submit(SUBJECT, key=SUBJECT, send_within=10)
            assert isinstance(await subject.finished(), Refused)
            assert isinstance((await subject.finished()).error, errors.DeadlineExceeded)
            assert all([await other.accepted() for other in others])
    assert fault.raised == len(KINDS)


async def test_session_closes_while_a_job_waits_to_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, tmp_path: Path
) -> None:
    """Its waiters get the error, and the next session on the ledger finishes it."""
    monkeypatch.setattr(ClipSaver, "save", _save)
    sim, fault = memory(latency_s=0.1), Fault([RuntimeError] * 1000)
    with broken(monkeypatch, RunningState, "enter", fault):
        async with _session(sim, ledger, tmp_path) as veo:
            job = await veo.submit(SUBJECT, key=SUBJECT)
            waiting = asyncio.create_task(job.result())
            await asyncio.sleep(1000)
            assert 10 < fault.raised < 30  # the delay grows, up to a minute
        await asyncio.wait([waiting])
        assert isinstance(waiting.exception(), errors.SessionClosed)
    assert_at_rest(veo)
    async with _session(sim, ledger, tmp_path) as veo:
        assert isinstance(await veo.job(SUBJECT).finished(), Done)
        await _check(veo, sim)


async def test_unexpected_exception_without_a_ledger_delays_one_job_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the session knows is enough to continue a job."""
    monkeypatch.setattr(ClipSaver, "save", _save)
    sim, fault = memory(latency_s=0.1), Fault()
    with broken(monkeypatch, RunningState, "leave", fault):
        async with _session(sim, None, tmp_path) as veo:
            jobs = [await veo.submit(key, key=key) for key in ("first", SUBJECT)]
            assert [type(await job.finished()) for job in jobs] == [Done, Done]
            await _check(veo, sim)
    assert fault.raised
