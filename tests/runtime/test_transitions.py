"""Every transition of `lifecycle.TABLE`: recorded first, then acted on, then announced exactly once.

Each case runs on both ledgers, with a hook, a subscriber, a waiter and two `map`s. The job has a deadline and a
reserved price, and the slots are counted.
"""

import ast
import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from veo_async import _runtime, errors
from veo_async._ports import Ledger
from veo_async._rules.lifecycle import TABLE, Event, JobState
from veo_async._runtime.journal import CLOSE_TIMEOUT_S
from veo_async._wire import VideoRequest
from veo_async.ledger import MemoryLedger, SqliteLedger

from .ledgers import InlineExecutor
from .support import let_run
from .transition_case import (
    IN_DOUBT,
    PRICE,
    QUEUED,
    READY,
    RUNNING,
    SENDING,
    TASK,
    TRANSITIONS,
    Case,
    FaultyLedger,
    StateOnLedger,
    case,
    check_nothing_left,
    of_file,
    of_memory,
    trigger,
)

pytestmark = pytest.mark.veo_virtual_time

#: The event that announces each state.
ANNOUNCED = {
    QUEUED: "Queued",
    SENDING: "Sent",
    RUNNING: "Running",
    READY: "Ready",
    JobState.SAVED: "Ready",
    JobState.REFUSED: "Refused",
    JobState.FAILED: "Failed",
    JobState.EXPIRED: "Failed",
    JobState.ABANDONED: "Failed",
    IN_DOUBT: "InDoubt",
}
#: Transitions after which nothing was charged, so that the reservation is returned.
FREE = {
    (QUEUED, Event.REFUSE),
    (QUEUED, Event.ABANDON),
    (SENDING, Event.REFUSE),
    (SENDING, Event.FAIL),
    (RUNNING, Event.REFUSE),
    (RUNNING, Event.FAIL),
}
#: `begin_send` records this one, with the permit.
EXCEPT_SEND = [item for item in TRANSITIONS if item != (QUEUED, Event.SEND)]


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Ledger, StateOnLedger]:
    if request.param == "memory":
        memory_ledger = MemoryLedger()
        return memory_ledger, of_memory(memory_ledger)
    path = tmp_path / "veo.db"
    return SqliteLedger(path, executor=InlineExecutor()), of_file(path)


def options_for(state: JobState, event: Event) -> dict[str, Any]:
    """A target to save to, or a near deadline, where the transition needs one."""
    return {
        "save_to": "clips" if state is READY else None,
        "send_within": 30.0 if (state, event) == (QUEUED, Event.REFUSE) else 3600.0,
    }


def expected_reservation(current: Case, state: JobState, event: Event) -> float:
    own = 0 if (state, event) in FREE else 2 if event is Event.RESUBMIT else 1
    others = sum(
        live.state is not JobState.ABANDONED or live.task_id is not None
        for key, live in current.engine.registry.by_key.items()
        if key != "subject"
    )
    return PRICE * (own + others)


@pytest.mark.parametrize(("state", "event"), TRANSITIONS)
async def test_every_transition_is_recorded_then_acted_on_then_announced_once(
    monkeypatch: pytest.MonkeyPatch, ledger: Any, state: JobState, event: Event
) -> None:
    """The ledger has the new state before anyone is notified, everyone is notified once, and nothing is left over."""
    after = TABLE[state][event]
    async with case(monkeypatch, *ledger, state, **options_for(state, event)) as current:
        streamed: list[str] = []
        mapped: list[str] = []

        async def subscribe() -> None:
            async for item in current.job.events():
                streamed.append(type(item).__name__)  # noqa: PERF401  # it is cancelled

        async def collect(requests: list[Any], key: str) -> None:
            async for _ in current.veo.map(requests, key=lambda _: key):
                mapped.append(key)  # noqa: PERF401  # it is cancelled

        live = current.live
        waiting = asyncio.create_task(current.job.finished())
        changing = asyncio.create_task(live.wait_change()) if live.outcome is None else None
        followers = [
            asyncio.create_task(subscribe()),
            asyncio.create_task(collect([live.request], "subject")),
            asyncio.create_task(collect([VideoRequest("more")], "more")),
        ]
        await let_run()
        assert ("more" in current.engine.registry.by_key) is (state is not QUEUED)
        current.hook_events.clear()
        streamed.clear()

        await trigger(current, state, event)

        has_outcome = after in (READY, IN_DOUBT) or not TABLE[after]
        assert live.state is after
        assert current.state_on_ledger("subject") == after.value
        assert current.hook_events == [(ANNOUNCED[after], after.value)]
        if streamed or state is not IN_DOUBT:  # the stream of a job in doubt has ended
            assert streamed == [ANNOUNCED[after]]
        assert waiting.done() is (has_outcome or state is IN_DOUBT)
        if changing is not None:
            assert changing.done() is (has_outcome or after in (RUNNING, QUEUED))
        assert mapped.count("subject") == int(has_outcome or state is IN_DOUBT)
        assert "more" in current.engine.registry.by_key  # the subject no longer fills the queue
        assert current.reserved == expected_reservation(current, state, event)
        check_nothing_left(current)
        for task in (waiting, *followers, *([changing] if changing else ())):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize(("state", "event"), EXCEPT_SEND)
async def test_a_transition_that_the_ledger_rejects_follows_the_ledger(
    monkeypatch: pytest.MonkeyPatch, state: JobState, event: Event
) -> None:
    """Another session owns the job; this one keeps nothing of it and only follows it."""
    ledger = MemoryLedger()
    async with case(monkeypatch, ledger, of_memory(ledger), state, **options_for(state, event)) as current:
        other: Any = await ledger.open(current.engine.ledger.account)
        outcome = '{"error": {"error": "ResponseLost", "message": "elsewhere"}}'
        moved = {SENDING: "in_doubt", IN_DOUBT: "queued", QUEUED: "refused"}.get(state, "expired")
        # Without notice: the other session considered this one dead.
        ledger.jobs["subject"] = attrs.evolve(
            ledger.jobs["subject"],
            owner=other.session_id,
            state=moved,
            outcome=None if moved == "queued" else outcome,
        )
        current.hook_events.clear()
        waiting = asyncio.create_task(current.job.finished())
        with suppress(errors.UsageError):
            await trigger(current, state, event)
        await let_run()
        live, on_ledger = current.live, JobState(ledger.jobs["subject"].state)
        assert live.state is on_ledger
        assert live.is_remote
        if (state, event) == (SENDING, Event.ACCEPT):
            assert on_ledger is RUNNING  # this session knows the task, so the job is no longer in doubt
            assert ledger.jobs["subject"].task_id == TASK
        assert current.hook_names() in ([], [ANNOUNCED[on_ledger]], ["InDoubt"])
        assert current.engine.scheduler.slots.borrowed_tokens == 1  # of the other job
        assert current.veo.statistics().rate_limit.running == 1
        assert current.veo.statistics().watcher.tasks == 1
        await asyncio.sleep(20)  # several polls of the other job
        check_nothing_left(current)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await other.close()


@pytest.mark.parametrize(("state", "event"), EXCEPT_SEND)
async def test_a_transition_that_was_committed_despite_an_error_happens_once(
    monkeypatch: pytest.MonkeyPatch, state: JobState, event: Event
) -> None:
    """The write is retried, finds the committed transition, and everything happens once."""
    ledger = FaultyLedger()
    options = options_for(state, event)
    async with case(monkeypatch, ledger, of_memory(ledger), state, **options) as current:
        current.hook_events.clear()
        ledger.fails = True
        triggering = asyncio.create_task(trigger(current, state, event))
        await asyncio.sleep(32 if options["send_within"] == 30.0 else 1)
        ledger.fails = False
        await asyncio.sleep(120)
        await triggering
        after = TABLE[state][event]
        assert current.hook_names().count(ANNOUNCED[after]) == 1 or after is QUEUED
        assert current.live.state is after or after is QUEUED
        assert ledger.jobs["subject"].state == current.live.state
        if event is Event.REQUEUE:
            current.veo.statistics()  # raises if the session has crashed
        else:
            check_nothing_left(current)


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("first", [Event.BIND, Event.RESUBMIT, Event.ABANDON])
@pytest.mark.parametrize("second", [Event.BIND, Event.RESUBMIT, Event.ABANDON])
async def test_a_job_in_doubt_with_two_concurrent_actions_changes_once(
    monkeypatch: pytest.MonkeyPatch, first: Event, second: Event
) -> None:
    """The ledger accepts the first action; the second changes, announces and reserves nothing."""
    ledger = FaultyLedger()
    async with case(monkeypatch, ledger, of_memory(ledger), IN_DOUBT) as current:
        current.hook_events.clear()
        ledger.hold = asyncio.Event()
        tasks = [asyncio.create_task(trigger(current, IN_DOUBT, event)) for event in (first, second)]
        await let_run()
        ledger.hold.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)  # noqa: TID251  # both results are checked
        assert [type(result) for result in results if result is not None] in ([], [errors.UsageError])
        await let_run()
        after = TABLE[IN_DOUBT][first]
        assert current.live.state == ledger.jobs["subject"].state == after
        assert current.hook_names() == [ANNOUNCED[after]]
        assert current.reserved == PRICE * (3 if first is Event.RESUBMIT else 2)
        check_nothing_left(current)


@pytest.mark.parametrize("how", ["cancelled", "timed-out"])
@pytest.mark.parametrize(
    ("state", "event"),
    [(QUEUED, Event.ABANDON), (RUNNING, Event.ABANDON), *((IN_DOUBT, event) for event in TABLE[IN_DOUBT])],
)
async def test_an_action_whose_caller_gives_up_is_completed(
    monkeypatch: pytest.MonkeyPatch, state: JobState, event: Event, how: str
) -> None:
    """`abandon`, `resolve` and `resubmit` are completed although the caller is cancelled, or its timeout expires."""
    ledger = FaultyLedger()
    async with case(monkeypatch, ledger, of_memory(ledger), state) as current:
        waiting = asyncio.create_task(current.job.finished())
        current.hook_events.clear()
        ledger.hold = asyncio.Event()
        if how == "cancelled":
            acting = asyncio.create_task(trigger(current, state, event))
            await let_run()
            acting.cancel()
            await asyncio.wait([acting])
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await trigger(current, state, event)
        ledger.hold.set()
        await let_run()
        after = TABLE[state][event]
        assert current.live.state == ledger.jobs["subject"].state == after
        assert current.hook_names() == [ANNOUNCED[after]]
        assert waiting.done()
        await waiting
        assert current.reserved == PRICE * (3 if event is Event.RESUBMIT else 1 if state is QUEUED else 2)
        check_nothing_left(current)


@pytest.mark.parametrize(("state", "event"), EXCEPT_SEND)
async def test_a_session_closes_in_time_when_the_ledger_fails(
    monkeypatch: pytest.MonkeyPatch, state: JobState, event: Event
) -> None:
    """The ledger fails for good; the session closes within its timeout and its waiters get an error."""
    ledger = FaultyLedger()
    options = options_for(state, event)
    loop = asyncio.get_running_loop()
    async with case(monkeypatch, ledger, of_memory(ledger), state, **options) as current:
        waiting = asyncio.create_task(current.job.finished())
        ledger.fails = True
        triggering = asyncio.create_task(trigger(current, state, event))
        await asyncio.sleep(32 if options["send_within"] == 30.0 else 3)
        current.responses.put_nowait(errors.ResponseLost("the test has finished"))
        began = loop.time()
        await current.veo.close()
        assert loop.time() - began <= 2 * CLOSE_TIMEOUT_S + 1
        await asyncio.wait([waiting, triggering])
        for task in (waiting, triggering):
            if not task.cancelled() and (error := task.exception()) is not None:
                assert isinstance(error, errors.VeoError), repr(error)


def test_only_transitions_changes_the_state_of_a_job() -> None:
    """Read from the source of all stages: one module records transitions, changes states and sets outcomes."""
    package = Path(_runtime.__file__).parent
    callers: dict[str, set[str]] = {}
    files = [*package.rglob("*.py")]
    assert {file.parent.name for file in files} == {
        "_runtime",
        "job",
        "queued",
        "sending",
        "running",
        "ready",
        "in_doubt",
    }
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            name = ast.unparse(node.func).replace("self._", "") if isinstance(node, ast.Call) else ""
            if name in ("job.apply", "job.set_outcome", "journal.record", "update_from_row", "on_outcome"):
                callers.setdefault(name, set()).add(file.relative_to(package).as_posix())
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == "job.state" for target in node.targets):
                callers.setdefault("job.state = …", set()).add(file.relative_to(package).as_posix())
    assert callers == {
        "job.apply": {"transitions.py"},
        "journal.record": {"transitions.py"},
        "update_from_row": {"transitions.py"},
        "job.state = …": {"job/rows.py"},
        "job.set_outcome": {"announcer.py"},
        "on_outcome": {"transitions.py"},
    }
