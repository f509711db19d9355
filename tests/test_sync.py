"""The doorway without ``await``: the same names, a thread of its own, and nothing left behind."""

import asyncio
import gc
import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import veo_async
from veo_async import Clip, Done, Refused, VideoRequest
from veo_async import Job as AsyncJob
from veo_async._ports import HttpRequest
from veo_async._wire import HttpResponse
from veo_async.errors import InvalidRequest, SessionClosed, SessionCrashed, StillRunning, UsageError
from veo_async.events import JobState, Queued, Ready, Running, Sent
from veo_async.simulator import Simulator
from veo_async.sync import Job, VeoSession


@contextmanager
def in_a_thread(**options: Any) -> Iterator[Simulator]:
    """A simulator in a thread and a loop of its own, as a provider is."""
    sim = Simulator(**options)
    ready, leave = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with sim:
            loops.append(asyncio.get_running_loop())
            ready.set()
            await leave.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="simulator")
    thread.start()
    try:
        assert ready.wait(5)
        yield sim
    finally:
        loops[0].call_soon_threadsafe(leave.set)
        thread.join()


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with in_a_thread(speed=100, duration_s=5.0, limiter="none") as sim:
        yield sim


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Whoever ends leaves no thread, no socket and no loop: unclosed ones warn, and a warning fails the test."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    assert set(threading.enumerate()) <= before


def session(sim: Simulator, **options: Any) -> VeoSession:
    return VeoSession(
        sim.api_key, base_url=sim.url, poll_every=0.05, rate=(1000, 1.0), polls_per_second=500.0, **options
    )


@pytest.fixture
def veo(sim: Simulator, no_leaks: None) -> Iterator[VeoSession]:
    with session(sim) as veo:
        yield veo


# --- the same names -------------------------------------------------------------------------------------------------


def names(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_names_and_arguments_are_those_of_the_session() -> None:
    """Whoever knows the one knows the other; only a server, which has a loop of its own, wants the one with `await`."""
    assert names(VeoSession) == names(veo_async.VeoSession) - {"aiohttp_routes", "asgi"}
    assert names(Job) == names(AsyncJob)
    functions = {name for name in names(VeoSession) if callable(getattr(VeoSession, name))}
    for name in functions | {"__init__"}:
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (VeoSession, veo_async.VeoSession))
        assert list(ours.parameters) == list(theirs.parameters), name
        assert getattr(VeoSession, name).__doc__ or name == "__init__"


def test_own_http_session_is_refused() -> None:
    """It belongs to the caller's loop, and this session has another."""
    with pytest.raises(UsageError, match="leave it out"):
        VeoSession("sk-" + "a" * 20, http=object())  # type: ignore[arg-type]


# --- what it does ---------------------------------------------------------------------------------------------------


def test_one_clip(veo: VeoSession) -> None:
    """`generate` submits, waits and gives the clip."""
    clip = veo.generate("A dog surfing at dusk", aspect_ratio="9:16")
    assert isinstance(clip, Clip)
    assert clip.urls
    assert clip.request == VideoRequest("A dog surfing at dusk", aspect_ratio="9:16")


def test_a_job_and_everything_it_tells(veo: VeoSession) -> None:
    """Submitted, accepted, looked at, waited for; a wait that is over ends nothing."""
    job = veo.submit("A cat [slow]", key="cat", metadata=7)
    assert (job.key, job.metadata) == ("cat", 7)
    assert job.accepted() == job.task_id
    assert job.state is JobState.RUNNING
    assert job.eta is not None
    assert job.queue_position is None
    assert "cat" in repr(job)
    with pytest.raises(StillRunning) as caught:
        job.wait(timeout=0.05)
    assert caught.value.task_id == job.task_id
    assert job.state is JobState.RUNNING
    clip = job.wait(timeout=10)
    assert job.result() == clip
    assert job.outcome == job.finished() == Done(clip)
    assert job.eta is None
    assert "<video" in job._repr_html_()
    assert [job.key for job in veo.jobs(state="ready")] == ["cat"]
    assert veo.job("cat").result() == clip


def test_refusal_is_raised_by_result_and_told_by_outcome(veo: VeoSession) -> None:
    """An end without a clip: an error where a clip is asked for, a value elsewhere."""
    job = veo.submit("A cat [refuse]")
    outcome = job.finished()
    assert isinstance(outcome, Refused)
    with pytest.raises(type(outcome.error)):
        job.result()
    with pytest.raises(type(outcome.error)):
        job.accepted()


def test_events_end_with_the_clip(veo: VeoSession) -> None:
    """From where it stands to its end, one by one."""
    kinds = [type(event) for event in veo.submit("Told step by step").events()]
    assert kinds == [Queued, Sent, Running, Ready][-len(kinds) :]


def test_events_may_be_left_early(veo: VeoSession) -> None:
    """Whoever stops listening leaves the job alone."""
    job = veo.submit("Told once")
    for _ in job.events():
        break
    assert job.wait(timeout=10)


def test_tasks_from_elsewhere_and_the_account(veo: VeoSession, sim: Simulator) -> None:
    """Adopting, the balance, the looks inside."""
    with session(sim) as elsewhere:
        task_id = elsewhere.submit("Made elsewhere [slow]").accepted()
    adopted = veo.adopt(task_id, key="adopted")
    assert adopted.result().task_id == task_id
    assert veo.balance() > 0
    veo.tenant("anna", weight=2.0, max_queued=5)
    veo.resize(7)
    assert veo.statistics().max_in_flight == 7
    assert veo.statistics().jobs == {JobState.READY: 1}
    assert veo.knowledge().limit > 0
    veo.submit("One more")
    veo.drain()
    assert len(veo.jobs("ready")) == 2


# --- many -----------------------------------------------------------------------------------------------------------


def test_map_gives_outcomes_as_they_come(veo: VeoSession) -> None:
    """A slow one holds up nobody, a bad one harms nobody."""
    outcomes = list(veo.map(["A [slow]", "B", VideoRequest("C", seeds=1), "D [refuse]"]))
    assert [type(outcome) for outcome in outcomes].count(Refused) == 2
    assert isinstance(outcomes[-1], Done)
    assert outcomes[-1].clip.request == VideoRequest("A [slow]")


def test_map_in_order(veo: VeoSession) -> None:
    """`ordered=True`, and `gather`, give them as they were asked for."""
    prompts = ["E [slow]", "F", "G"]
    for outcomes in (list(veo.map(prompts, ordered=True, key=lambda r: f"key {r.prompt}")), veo.gather(*prompts)):
        asked = [outcome.clip.request for outcome in outcomes if isinstance(outcome, Done)]
        assert asked == [VideoRequest(prompt) for prompt in prompts]
    assert {job.key for job in veo.jobs()} >= {f"key {prompt}" for prompt in prompts}


@pytest.mark.parametrize("ordered", [True, False])
def test_map_reads_its_input_lazily_and_at_home(veo: VeoSession, ordered: bool) -> None:
    """In the caller's thread, where a database cursor may be used, and no further ahead than was said."""
    read: list[int] = []

    def prompts() -> Iterator[str]:
        for number in range(12):
            assert threading.current_thread() is threading.main_thread()
            read.append(number)
            yield f"Lazily {number} {ordered}"

    for count, outcome in enumerate(veo.map(prompts(), buffersize=3, ordered=ordered), 1):
        assert isinstance(outcome, Done)
        assert len(read) <= count + 3
    assert len(read) == 12


def test_map_of_nothing(veo: VeoSession) -> None:
    """No requests, no outcomes, no waiting."""
    assert list(veo.map([])) == []
    assert veo.gather() == []


def test_map_must_be_let_look_ahead(veo: VeoSession) -> None:
    """A number that would let nothing in is told at once."""
    with pytest.raises(UsageError, match="at least 1"):
        veo.map(["x"], buffersize=0)


def test_map_lets_the_input_fail_as_itself(veo: VeoSession) -> None:
    """What the caller's own iterator raises comes out of the loop; the jobs stay."""

    def prompts() -> Iterator[str]:
        yield "The last good line"
        raise LookupError("line 2")

    with pytest.raises(LookupError, match="line 2"):
        list(veo.map(prompts()))
    assert isinstance(veo.gather("The last good line")[0], Done)
    assert len(veo.jobs()) == 1


def test_map_may_be_left_early(veo: VeoSession) -> None:
    """Whoever takes one outcome and goes leaves the other jobs alone."""
    assert isinstance(next(iter(veo.map([f"Left {n}" for n in range(5)]))), Done)
    veo.drain()
    assert {job.state for job in veo.jobs()} == {JobState.READY}


# --- threads, loops, Ctrl-C -----------------------------------------------------------------------------------------


def test_inside_a_running_loop(sim: Simulator, no_leaks: None) -> None:
    """As in a notebook: the caller's thread runs a loop of its own."""

    async def cell() -> Clip:
        with session(sim) as veo:
            return veo.generate("From a notebook")

    assert asyncio.run(cell()).urls


def test_begins_on_first_use_and_ends_with_close(sim: Simulator, no_leaks: None) -> None:
    """As over several cells of a notebook."""
    veo = session(sim)
    assert not [thread for thread in threading.enumerate() if thread.name == "veo.loop"]
    assert veo.generate("Without with").urls
    veo.close()
    veo.close()


def test_never_used_leaves_nothing(sim: Simulator, no_leaks: None) -> None:
    """Closing what was never begun is no work."""
    veo = session(sim)
    veo.close()
    assert veo.jobs() == []


def test_from_many_threads(veo: VeoSession) -> None:
    """Every method may be called from any thread; the same request is the same job."""
    with ThreadPoolExecutor(8) as pool:
        clips = list(pool.map(lambda n: veo.generate(f"Thread {n % 4}"), range(16)))
    assert len({clip.task_id for clip in clips}) == 4


def test_interrupt_leaves_the_job_alone(veo: VeoSession) -> None:
    """Ctrl-C ends the waiting only; asking again finds the same job, and nothing is paid twice."""
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        veo.generate("Interrupted [slow]")
    [job] = veo.jobs()
    assert job.outcome is None
    assert veo.generate("Interrupted [slow]").task_id == job.task_id


def test_own_exception_leaves_as_itself(sim: Simulator, no_leaks: None) -> None:
    """The block's exception is the caller's, whatever becomes of the session."""
    with pytest.raises(LookupError), session(sim) as veo:  # noqa: PT012  # the block is what is tested
        veo.submit("Left behind")
        raise LookupError


def test_closed_means_advice(sim: Simulator, no_leaks: None) -> None:
    """What would need the session says so; what is known stays known; a paid task is named."""
    with session(sim) as veo:
        done = veo.submit("Done in time")
        clip = done.result()
        running = veo.submit("Too late [stuck]")
        task_id = running.accepted()
    asks: list[Callable[[], object]] = [
        lambda: veo.generate("More"),
        veo.statistics,
        veo.balance,
        veo.__enter__,
        lambda: running.eta,
        lambda: list(veo.map(["x"])),
    ]
    for ask in asks:
        with pytest.raises(SessionClosed, match="Open a new session"):
            ask()
    with pytest.raises(SessionClosed) as caught:
        running.wait()
    assert caught.value.task_id == task_id
    assert (done.result(), done.eta, done.state) == (clip, None, JobState.READY)
    assert [job.key for job in veo.jobs()] == [done.key, running.key]
    assert veo.knowledge().limit > 0


def test_closing_wakes_those_who_wait_in_other_threads(sim: Simulator, no_leaks: None) -> None:
    """They are told that the session was closed, with the task's id."""
    veo = session(sim)
    job = veo.submit("Waited for elsewhere [stuck]")
    job.accepted()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(job.wait)
        listening = pool.submit(lambda: list(job.events()))
        time.sleep(0.1)  # so that they wait; the test would hold if they did not yet
        veo.close()
        with pytest.raises(SessionClosed) as caught:
            waiting.result()
        with pytest.raises(SessionClosed):
            listening.result()
    assert caught.value.task_id == job.task_id


def test_bad_request_is_the_callers_error(veo: VeoSession) -> None:
    """What the session raises comes out as it is, and the session goes on."""
    with pytest.raises(InvalidRequest):
        veo.submit("A cat", seeds=1)
    assert veo.generate("A cat").urls


def test_calling_back_from_the_sessions_own_thread_is_refused(sim: Simulator, no_leaks: None) -> None:
    """A hook that waited for its own session would wait forever; it is told so instead."""
    met: list[Exception] = []

    def hook(event: object) -> None:
        for call in (veo.balance, veo.close):
            try:
                call()
            except UsageError as error:
                met.append(error)

    with session(sim, on_event=hook) as veo:
        veo.generate("Watched")
    assert len(met) >= 4
    assert "another thread" in str(met[0])


def test_a_crash_is_told(sim: Simulator, no_leaks: None) -> None:
    """A defect of ours leaves the block as `SessionCrashed`, unless the caller has trouble of their own."""

    class Broken:
        async def send(self, call: HttpRequest) -> HttpResponse:
            raise ZeroDivisionError

        async def close(self) -> None:
            pass

    def crash(trouble: Exception | None = None) -> None:
        with session(sim, transport=Broken()) as veo:
            job = veo.submit("Brought down by a defect")
            with pytest.raises(SessionCrashed):
                job.wait(timeout=5)
            with pytest.raises(SessionCrashed):
                veo.submit("Too late")
            if trouble:
                raise trouble

    with pytest.raises(SessionCrashed, match="ZeroDivisionError"):
        crash()
    with pytest.raises(LookupError):
        crash(LookupError())


def test_leaving_the_interpreter_without_close(sim: Simulator, tmp_path: Path) -> None:
    """A script that forgets `close` ends by itself, and what was under way is not cut off."""
    program = f"""
        from veo_async.sync import VeoSession
        veo = VeoSession({sim.api_key!r}, base_url={sim.url!r}, poll_every=0.05)
        print(veo.submit("Forgotten", key="forgotten").accepted())
        veo.submit("On its way")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 1
