"""`veo_async.sync`: the session without ``await``, its names, its thread, and what it leaves behind."""

import asyncio
import gc
import inspect
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import aiohttp
import pytest

import veo_async
from tests.sessions import session_arguments
from veo_async import Clip, Done, Refused, VideoRequest
from veo_async import Job as AsyncJob
from veo_async._rules.gate.gate import Gate
from veo_async.errors import (
    InvalidKey,
    InvalidRequest,
    LedgerError,
    SessionClosed,
    SessionCrashed,
    StillRunning,
    UsageError,
)
from veo_async.events import JobState, Queued, Ready, Running, Sent
from veo_async.progress import Progress
from veo_async.settings import Network
from veo_async.simulator import Simulator
from veo_async.sync import Job, VeoSession


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(speed=100, duration_s=5.0, limiter="none") as sim:
        yield sim


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail the test if it leaves a thread, a socket or a loop. Unclosed ones cause warnings, which are errors here."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    assert set(threading.enumerate()) <= before


def session(sim: Simulator, **options: Any) -> VeoSession:
    return VeoSession(
        sim.api_key,
        **session_arguments(base_url=sim.url, poll_every=0.05, rate=(1000, 1.0), polls_per_second=500.0, **options),
    )


@pytest.fixture
def veo(sim: Simulator, no_leaks: None) -> Iterator[VeoSession]:
    with session(sim) as veo:
        yield veo


# --- names and arguments --------------------------------------------------------------------------------------------


def public_names(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_names_and_arguments_match_the_async_session() -> None:
    """Both sessions have the same methods, except those that mount callbacks in an async web server."""
    assert public_names(VeoSession) == public_names(veo_async.VeoSession) - {"aiohttp_routes", "asgi"}
    assert public_names(Job) == public_names(AsyncJob)
    methods = {name for name in public_names(VeoSession) if callable(getattr(VeoSession, name))}
    for name in methods | {"__init__"}:
        own, original = (inspect.signature(getattr(kind, name)) for kind in (VeoSession, veo_async.VeoSession))
        assert list(own.parameters) == list(original.parameters), name
        assert getattr(VeoSession, name).__doc__ or name == "__init__"


def test_http_argument_raises_usage_error() -> None:
    """The caller's HTTP session belongs to the caller's event loop, and this session runs another."""
    http = create_autospec(aiohttp.ClientSession, instance=True)
    with pytest.raises(UsageError, match="Leave it out"):
        VeoSession("sk-" + "a" * 20, network=Network(http=http))


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_jobs_of_the_ledger_are_iterated(sim: Simulator, tmp_path: Path) -> None:
    """As by the asynchronous session; a wrong argument is rejected before the first job is read."""
    with session(sim, ledger=tmp_path / "veo.db") as veo:
        for n in range(3):
            veo.generate(f"Dog {n}", key=f"dog-{n}")
        jobs = veo.ledger.jobs("ready", limit=2)
        assert next(jobs).key == "dog-1"
        assert [job.wait().key for job in jobs] == ["dog-2"]
        assert veo.ledger.counts() == {"ready": 3}
        with pytest.raises(UsageError, match="state='done'"):
            veo.ledger.jobs("done")


# --- one job --------------------------------------------------------------------------------------------------------


def test_generate_returns_the_clip(veo: VeoSession) -> None:
    """`generate` submits the request, waits for it and returns its clip."""
    clip = veo.generate("A dog surfing at dusk", aspect_ratio="9:16")
    assert isinstance(clip, Clip)
    assert clip.urls
    assert clip.request == VideoRequest("A dog surfing at dusk", aspect_ratio="9:16")


def test_progress_is_reported_to_the_callback(veo: VeoSession, capsys: pytest.CaptureFixture[str]) -> None:
    """By `generate` and by `wait`; True shows it on standard error."""
    seen: list[Progress] = []
    veo.generate("A dog in the rain", progress=seen.append)
    assert seen[-1].is_finished
    job = veo.submit("A dog in the snow")
    job.wait(progress=seen.append)
    assert seen[-1].key == job.key
    veo.generate("A dog in the fog", progress=True)
    assert "done: " in capsys.readouterr().err
    with pytest.raises(UsageError, match="progress="):
        veo.generate("A dog", progress="bar")


def test_job_reports_state_eta_and_clip(veo: VeoSession) -> None:
    """A job reports its progress and its clip, and a wait that times out does not stop it."""
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


def test_refused_job_raises_from_result_and_returns_from_finished(veo: VeoSession) -> None:
    """Without a clip, `result` and `accepted` raise the error, and `finished` returns the outcome."""
    job = veo.submit("A cat [refuse]")
    outcome = job.finished()
    assert isinstance(outcome, Refused)
    with pytest.raises(type(outcome.error)):
        job.result()
    with pytest.raises(type(outcome.error)):
        job.accepted()


def test_events_end_with_ready(veo: VeoSession) -> None:
    """The iterator yields every event from the current state to the last one, then stops."""
    kinds = [type(event) for event in veo.submit("Watched to the end").events()]
    assert kinds == [Queued, Sent, Running, Ready][-len(kinds) :]


def test_leaving_events_early_does_not_stop_the_job(veo: VeoSession) -> None:
    """Leaving the loop over the events only stops watching."""
    job = veo.submit("Watched briefly")
    for _ in job.events():
        break
    assert job.wait(timeout=10)


def test_account_methods_and_adopt_work(veo: VeoSession, sim: Simulator) -> None:
    """`adopt`, `balance`, `tenant`, `resize`, `statistics`, `knowledge` and `drain` work as in the async session."""
    with session(sim) as other:
        task_id = other.submit("From another session [slow]").accepted()
    adopted = veo.ledger.adopt(task_id, key="adopted")
    assert adopted.result().task_id == task_id
    assert veo.account.balance() > 0
    veo.account.configure_tenant("anna", weight=2.0, max_queued=5)
    veo.account.resize(7)
    assert veo.statistics().max_in_flight == 7
    assert veo.statistics().jobs == {JobState.READY: 1}
    assert veo.account.knowledge().limit > 0
    veo.submit("One more")
    veo.drain()
    assert len(veo.jobs("ready")) == 2


def test_account_reads_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models and schemas, as in the async session, without its pause of a second between two requests."""
    monkeypatch.setattr("veo_async._session.catalogue._EVERY_S", 0.05)
    with Simulator(catalogue_rate=None) as sim, session(sim) as other:
        assert [model.name for model in other.account.models()][:2] == ["veo-3-1", "veo/extend"]
        assert "paths" in (other.account.model_schema("veo-3-1") or {})


# --- many jobs ------------------------------------------------------------------------------------------------------


def test_map_yields_outcomes_as_jobs_finish(veo: VeoSession) -> None:
    """A slow job does not delay the others, and a refused one does not affect them."""
    outcomes = list(veo.map(["A [slow]", "B", VideoRequest("C", seeds=1), "D [refuse]"]))
    assert [type(outcome) for outcome in outcomes].count(Refused) == 2
    assert isinstance(outcomes[-1], Done)
    assert outcomes[-1].clip.request == VideoRequest("A [slow]")


def test_ordered_map_and_gather_keep_the_input_order(veo: VeoSession) -> None:
    """`map(ordered=True)` and `gather` return the outcomes in the order of the requests."""
    prompts = ["E [slow]", "F", "G"]
    for outcomes in (list(veo.map(prompts, ordered=True, key=lambda r: f"key {r.prompt}")), veo.gather(*prompts)):
        requests = [outcome.clip.request for outcome in outcomes if isinstance(outcome, Done)]
        assert requests == [VideoRequest(prompt) for prompt in prompts]
    assert {job.key for job in veo.jobs()} >= {f"key {prompt}" for prompt in prompts}


@pytest.mark.parametrize("ordered", [True, False])
def test_map_reads_its_input_lazily_in_the_callers_thread(veo: VeoSession, ordered: bool) -> None:
    """A database cursor may be used in the caller's thread only. `map` reads at most `buffersize` requests ahead."""
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


def test_map_and_gather_without_requests_return_nothing(veo: VeoSession) -> None:
    """Without requests there are no outcomes, and nothing waits."""
    assert list(veo.map([])) == []
    assert veo.gather() == []


def test_map_with_buffersize_0_raises_usage_error(veo: VeoSession) -> None:
    """The error is raised by the call, not by the first iteration."""
    with pytest.raises(UsageError, match="1 or more"):
        veo.map(["x"], buffersize=0)


def test_map_propagates_an_error_of_its_input(veo: VeoSession) -> None:
    """The error of the caller's iterator is raised unchanged, and the jobs submitted before it remain."""

    def prompts() -> Iterator[str]:
        yield "The last good line"
        raise LookupError("line 2")

    with pytest.raises(LookupError, match="line 2"):
        list(veo.map(prompts()))
    assert isinstance(veo.gather("The last good line")[0], Done)
    assert len(veo.jobs()) == 1


def test_leaving_map_early_does_not_stop_the_other_jobs(veo: VeoSession) -> None:
    """The jobs that were already submitted finish."""
    assert isinstance(next(iter(veo.map([f"Left {n}" for n in range(5)]))), Done)
    veo.drain()
    assert {job.state for job in veo.jobs()} == {JobState.READY}


# --- threads, loops, Ctrl-C -----------------------------------------------------------------------------------------


def test_session_works_inside_a_running_event_loop(sim: Simulator, no_leaks: None) -> None:
    """A notebook runs its own event loop in the caller's thread."""

    async def cell() -> Clip:
        with session(sim) as veo:
            return veo.generate("From a notebook")

    assert asyncio.run(cell()).urls


def test_thread_starts_on_first_use_and_ends_with_close(sim: Simulator, no_leaks: None) -> None:
    """Without `with`, as over several cells of a notebook, the first call starts the thread and `close` ends it."""
    veo = session(sim)
    assert not [thread for thread in threading.enumerate() if thread.name == "veo.loop"]
    assert veo.generate("Without with").urls
    veo.close()
    veo.close()


def test_unused_session_starts_no_thread(sim: Simulator, no_leaks: None) -> None:
    """Closing a session that was never used does nothing."""
    veo = session(sim)
    veo.close()
    assert veo.jobs() == []


def test_methods_may_be_called_from_many_threads(veo: VeoSession) -> None:
    """Every method may be called from any thread, and equal requests share one job."""
    with ThreadPoolExecutor(8) as pool:
        clips = list(pool.map(lambda n: veo.generate(f"Thread {n % 4}"), range(16)))
    assert len({clip.task_id for clip in clips}) == 4


def test_keyboard_interrupt_does_not_stop_the_job(veo: VeoSession) -> None:
    """Ctrl-C only stops waiting. The same request finds the same job, so nothing is charged twice."""
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        veo.generate("Interrupted [slow]")
    [job] = veo.jobs()
    assert job.outcome is None
    assert veo.generate("Interrupted [slow]").task_id == job.task_id


def test_exception_in_the_block_propagates_unchanged(sim: Simulator, no_leaks: None) -> None:
    """The session does not wrap or replace an exception that the caller's block raises."""
    with pytest.raises(LookupError), session(sim) as veo:  # noqa: PT012  # the block is what is tested
        veo.submit("Not awaited")
        raise LookupError


def test_closed_session_raises_session_closed_and_keeps_results(sim: Simulator, no_leaks: None) -> None:
    """Calls that need the session raise an error with the task id; results that are known remain available."""
    with session(sim) as veo:
        done = veo.submit("Done in time")
        clip = done.result()
        running = veo.submit("Too late [stuck]")
        task_id = running.accepted()
    calls: list[Callable[[], object]] = [
        lambda: veo.generate("More"),
        veo.statistics,
        veo.account.balance,
        veo.__enter__,
        lambda: running.eta,
        lambda: list(veo.map(["x"])),
    ]
    for call in calls:
        with pytest.raises(SessionClosed, match="Open a new session"):
            call()
    with pytest.raises(SessionClosed) as caught:
        running.wait()
    assert caught.value.task_id == task_id
    assert (done.result(), done.eta, done.state) == (clip, None, JobState.READY)
    assert [job.key for job in veo.jobs()] == [done.key, running.key]
    assert veo.account.knowledge().limit > 0


def test_close_wakes_waiters_in_other_threads(sim: Simulator, no_leaks: None) -> None:
    """They get `SessionClosed` with the id of the task."""
    veo = session(sim)
    job = veo.submit("Waited for in another thread [stuck]")
    job.accepted()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(job.wait)
        watching = pool.submit(lambda: list(job.events()))
        time.sleep(0.1)  # let both threads start to wait; the result is the same if they have not yet
        veo.close()
        with pytest.raises(SessionClosed) as caught:
            waiting.result()
        with pytest.raises(SessionClosed):
            watching.result()
    assert caught.value.task_id == job.task_id


def test_invalid_request_raises_and_the_session_continues(veo: VeoSession) -> None:
    """The session's error is raised unchanged, and the session stays usable."""
    with pytest.raises(InvalidRequest):
        veo.submit("A cat", seeds=1)
    assert veo.generate("A cat").urls


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_error_shows_the_frames_of_the_sessions_thread_only_in_debug_mode(
    veo: VeoSession, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    """The caller's own line says where it happened."""
    caplog.set_level(level, "veo_async")
    with pytest.raises(InvalidRequest) as caught:
        veo.submit("A cat", seeds=1)
    files = {frame.path.name if isinstance(frame.path, Path) else frame.path for frame in caught.traceback}
    assert ("validation.py" in files) == (level == logging.DEBUG)
    assert files >= {"test_sync.py", "sync.py"}


def test_calling_the_session_from_its_own_hook_raises_usage_error(sim: Simulator, no_leaks: None) -> None:
    """A hook runs in the session's thread; waiting there for the session would be a deadlock."""
    errors: list[Exception] = []

    def hook(event: object) -> None:
        for call in (veo.account.balance, veo.close):
            try:
                call()
            except UsageError as error:
                errors.append(error)

    with session(sim, on_event=hook) as veo:
        veo.generate("Watched")
    assert len(errors) >= 4
    assert "another thread" in str(errors[0])


def test_crash_raises_session_crashed_unless_the_block_raised(
    sim: Simulator, no_leaks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An internal error leaves the block as `SessionCrashed`, unless the caller's block raised another exception."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    def crash(error: Exception | None = None) -> None:
        with monkeypatch.context() as patch, session(sim) as veo:
            job = veo.submit("Hits an internal error")
            patch.setattr(Gate, "pace", broken)
            veo.account.resize(50)  # wakes the scheduler, without which the session cannot continue
            with pytest.raises(SessionCrashed):
                job.wait(timeout=5)
            with pytest.raises(SessionCrashed):
                veo.submit("Too late")
            if error:
                raise error

    with pytest.raises(SessionCrashed, match="ZeroDivisionError"):
        crash()
    with pytest.raises(LookupError):
        crash(LookupError())


# --- whole programs ---------------------------------------------------------------------------------------------------

#: What the programs below begin with.
_PRELUDE = """
    import os, sys
    from veo_async.errors import SessionClosed
    from veo_async.settings import Limits
    from veo_async.sync import VeoSession
    key, url = sys.argv[1:]
    limits = Limits(poll_every=0.05)
"""


def run_program(sim: Simulator, folder: Path, program: str, *, warnings: str = "error") -> tuple[str, str]:
    """Run a program until it exits, with exit code 0; return what it printed, and its errors.

    After its last line, which says that it ends, it may take three seconds, which is much more than it needs.
    """
    code = f"{textwrap.dedent(_PRELUDE)}\n{textwrap.dedent(program)}\nprint('ends', flush=True)"
    arguments = [sys.executable, "-c", code, sim.api_key, sim.url]
    environment = {**os.environ, "PYTHONWARNINGS": warnings}
    with subprocess.Popen(
        arguments, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = ""
        while (line := process.stdout.readline()) not in ("", "ends\n"):
            printed += line
        try:
            _, errors = process.communicate(timeout=3.0)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, errors
    return printed, errors


@pytest.mark.parametrize("ledger", [None, "jobs.db"])
def test_exit_without_close_lets_requests_finish(sim: Simulator, tmp_path: Path, ledger: str | None) -> None:
    """A script that forgets `close` exits cleanly, and a request that is being sent is not interrupted."""
    program = f"""
        veo = VeoSession(key, base_url=url, ledger={ledger!r}, limits=limits)
        print(veo.submit("Forgotten [stuck]", key="forgotten").accepted())
        veo.submit("Being sent")
    """
    printed, errors = run_program(sim, tmp_path, program)
    task_id = printed.strip()
    assert errors == ""
    assert task_id in sim.tasks
    if ledger is not None:
        with session(sim, ledger=tmp_path / ledger, account=None) as later:
            assert later.ledger.recovered.in_doubt == 0
            assert later.attach("forgotten").task_id == task_id


def test_exit_while_the_session_opens_is_not_delayed(sim: Simulator, tmp_path: Path) -> None:
    """A key provider that never answers holds up neither Ctrl-C nor the exit."""
    program = """
        import asyncio, signal, threading
        async def never():
            await asyncio.sleep(1000)
        veo = VeoSession(never, base_url=url, ledger="jobs.db")
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            veo.submit("Waits for the key")
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert run_program(sim, tmp_path, program) == ("interrupted\n", "")


def test_forked_child_gets_an_error_and_may_open_its_own_session(sim: Simulator, tmp_path: Path) -> None:
    """Every call fails at once, also those that wait already; the parent's session is not affected."""
    program = """
        def failure(call):
            try:
                call()
            except SessionClosed as error:
                return str(error)
            return "no error"
        veo = VeoSession(key, base_url=url, ledger="jobs.db", limits=limits)
        unused = VeoSession(key, base_url=url, ledger="other.db", limits=limits)
        job = veo.submit("A dog [stuck]")
        outcomes = veo.map(["A cat", "A bird [stuck]"])
        next(outcomes)
        calls = [lambda: veo.submit("A cow"), job.wait, veo.jobs, veo.statistics, veo.drain, lambda: next(outcomes)]
        if (child := os.fork()) == 0:
            for call in calls:
                print(failure(call))
            veo.close()
            print(len(unused.generate("A fish").urls))
            unused.close()
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        print(status, len(veo.generate("A fox").urls))
        veo.close()
    """
    printed, errors = run_program(sim, tmp_path, program, warnings="default")
    *in_child, urls, in_parent = printed.splitlines()
    error = "this session was opened before a fork. Open another one in the child process."
    assert in_child == [error] * 6, errors
    assert (urls, in_parent) == ("1", "0 1")


# --- sessions that cannot open --------------------------------------------------------------------------------------


async def _no_key() -> str:
    raise LookupError("the vault is sealed")


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"ledger": "missing/jobs.db"}, LedgerError, "missing"),
        ({"ledger": "."}, LedgerError, "."),
        ({"ledger": "jobs.db", "api_key": _no_key}, InvalidKey, "the key provider raised LookupError"),
    ],
    ids=["no folder", "a folder", "no key"],
)
def test_session_that_cannot_open_raises_the_error_from_every_call(
    sim: Simulator,
    no_leaks: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    kind: type[Exception],
    text: str,
) -> None:
    """From `with`, from the first call and from later ones; closing it does no harm."""
    monkeypatch.chdir(tmp_path)
    options = {"api_key": sim.api_key, "base_url": sim.url, **options}
    with pytest.raises(kind, match=text), VeoSession(**options):
        pass
    veo = VeoSession(**options)
    calls: list[Callable[[], object]] = [lambda: veo.submit("A dog"), veo.account.balance, lambda: next(veo.map(["x"]))]
    for call in calls:
        with pytest.raises(kind, match=text):
            call()
    veo.close()
    with pytest.raises(SessionClosed):
        veo.submit("A dog")


def test_closing_a_session_while_it_opens_ends_the_opening(sim: Simulator, no_leaks: None, tmp_path: Path) -> None:
    """The thread that waits for it gets `SessionClosed`."""
    asked = threading.Event()

    async def never() -> str:
        asked.set()
        await asyncio.sleep(1000)
        return ""

    veo = VeoSession(never, base_url=sim.url, ledger=tmp_path / "jobs.db")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(veo.submit, "A dog")
        assert asked.wait(5)
        veo.close()
        with pytest.raises(SessionClosed, match="while it was opened"):
            waiting.result()
