"""Jobs: keys, adoption, slots, tenants, status and key providers."""

import asyncio
from typing import Any

import pytest

from tests.internals import engine_of, live_job_of, parts_of, reopen
from veo_async import VideoRequest, errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done, Refused
from veo_async.ledger import MemoryLedger
from veo_async.simulator import drop_after_accepting, rate_limited, refuse

from .support import Clock, memory, run_together, session_on, world

pytestmark = pytest.mark.veo_virtual_time


async def test_same_key_and_request_is_the_same_job() -> None:
    """While it is queued, running and done: one request."""
    async with world() as (veo, sim):
        first = await veo.submit("A dog", key="k")
        assert live_job_of(await veo.submit("A dog", key="k")) is live_job_of(first)
        clip = await first
        assert await veo.generate("A dog", key="k") == clip
        assert len(sim.requests_to()) == 1


async def test_same_key_with_another_request_is_rejected() -> None:
    """Otherwise one of the two requests would be lost."""
    async with world() as (veo, _):
        await veo.submit("A dog", key="k")
        with pytest.raises(errors.KeyReused) as caught:
            await veo.submit("A cat", key="k")
        assert caught.value.job_key == "k"


async def test_default_key_is_derived_from_the_request_and_its_take() -> None:
    """The same prompt is the same job; a second take is a second clip."""
    async with world(may_double=True) as (veo, sim):
        one, same, other = [await veo.submit("A dog", take=take) for take in (1, 1, 2)]
        assert one.key == same.key != other.key
        await veo.drain()
        assert len(sim.requests_to()) == 2


async def test_same_prompt_of_two_tenants_is_two_jobs() -> None:
    """The automatic key contains the tenant, so each gets its own clip; the same tenant gets the same job."""
    async with world(may_double=True) as (veo, sim):
        anna, boris, again = [await veo.submit("A dog", tenant=tenant) for tenant in ("anna", "boris", "anna")]
        assert anna.key == again.key != boris.key
        assert (await anna).urls != (await boris).urls
        assert len(sim.charges) == 2


@pytest.mark.parametrize("ledger", [None, MemoryLedger])
async def test_key_of_another_tenant_is_rejected(ledger: Any) -> None:
    """The same explicit key would give one tenant the clip of the other, even if the requests are equal."""
    async with world(session={"ledger": ledger and ledger()}) as (veo, sim):
        await veo.submit("A dog", key="k", tenant="anna")
        with pytest.raises(errors.KeyReused, match="another tenant") as caught:
            await veo.submit("A dog", key="k", tenant="boris")
        assert "boris" in str(caught.value)
        assert "anna" not in str(caught.value)  # one tenant learns nothing of another
        results = await run_together(veo.submit("A cat", key="c", tenant=tenant) for tenant in ("anna", "boris"))
        assert [isinstance(result, errors.KeyReused) for result in results] == [False, True]
        await veo.drain()
        assert len(sim.charges) == 2


async def test_tenants_are_kept_apart_across_sessions() -> None:
    """A later session finds the tenant on the ledger."""
    sim, ledger = memory(), MemoryLedger()
    async with session_on(sim, ledger=ledger) as first:
        clip = await first.generate("A dog", key="k", tenant="anna")
    async with session_on(sim, ledger=ledger) as second:
        with pytest.raises(errors.KeyReused, match="another tenant"):
            await second.submit("A dog", key="k")
        assert await second.generate("A dog", key="k", tenant="anna") == clip


async def test_follow_up_of_a_tenants_clip_is_the_tenants_job() -> None:
    """So `upgrade` finds the job of an earlier ``then=``, and the tenant's share pays for a new one."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog", tenant="anna", priority="interactive")
        upgraded = await veo.upgrade(clip)
        assert live_job_of(veo.job(upgraded.key)).tenant == "anna"
        assert await veo.generate("A dog", tenant="anna", then="1080p") == upgraded
        assert len(sim.charges) == 2


async def test_key_of_a_refused_job_may_be_used_for_another_request() -> None:
    """Nothing was charged, so a reworded prompt may use the key; the old handle keeps its job."""
    async with world() as (veo, sim):
        old = await veo.submit("A dog [refuse]", key="k")
        assert isinstance(await old.finished(), Refused)
        new = await veo.submit("A nicer dog", key="k")
        assert (await new).urls
        assert old.state is JobState.REFUSED
        assert veo.job("k").state is JobState.READY
        assert len(sim.charges) == 1


async def test_invalid_request_is_rejected_before_it_is_queued() -> None:
    """The error names the field; with ``validate=False`` the provider decides."""
    async with world() as (veo, sim):
        with pytest.raises(errors.InvalidRequest) as caught:
            await veo.submit("A dog", seeds=1)
        assert caught.value.field == "seeds"
        assert veo.jobs() == []
        await (await veo.submit("A dog", seeds=1, validate=False)).finished()
        assert len(sim.requests_to()) == 1


async def test_adopted_task_is_polled_to_its_end() -> None:
    """It was created by another session; it occupies a slot while it runs."""
    sim = memory()
    async with session_on(sim) as first:
        task_id = await (await first.submit("A dog")).accepted()
    reopen(sim)
    async with session_on(sim) as veo:
        job = await veo.ledger.adopt(task_id)
        assert veo.statistics().slots_in_use == 1
        assert live_job_of(await veo.ledger.adopt(task_id)) is live_job_of(job)
        clip = await job
        assert (clip.task_id, clip.request) == (task_id, None)
        assert veo.statistics().slots_in_use == 0


async def test_adopted_task_without_a_record_fails_after_a_while_and_says_what_to_check() -> None:
    """A new record may be late, so the job waits first; after that, waiting longer would not help."""
    async with world() as (veo, sim):
        job = await veo.ledger.adopt("0" * 32)
        with pytest.raises(errors.StillRunning):
            await job.wait(timeout=60.0)
        with pytest.raises(errors.RecordNotFound) as caught:
            await job.wait(timeout=120.0)
        assert "the provider has no record of this task" in caught.value.message
        for check in ("task id", "API key", "14 days"):
            assert check in caught.value.remedy
        assert caught.value.task_id == "0" * 32
        assert job.state is JobState.FAILED
        assert not sim.charges


async def test_adopting_more_tasks_than_slots_polls_all_of_them() -> None:
    """Three tasks already run, whatever the number of slots; new jobs wait until a slot is free."""
    async with world(session={"max_in_flight": 1}) as (veo, sim):
        other = session_on(sim)
        async with other:
            ids = [await (await other.submit(f"Dog {i}")).accepted() for i in range(3)]
            other.api.close = _nothing  # type: ignore[method-assign]
        jobs = [await veo.ledger.adopt(task_id) for task_id in ids]
        mine = await veo.submit("A cat")
        await asyncio.sleep(30)
        assert mine.state is JobState.QUEUED
        await veo.drain()
        assert {job.state for job in (*jobs, mine)} == {JobState.READY}
        assert veo.statistics().slots_in_use == 0
        assert parts_of(veo).rate_limiter.statistics().running == 0


async def _nothing() -> None:
    pass


async def test_adopting_under_another_key_is_rejected() -> None:
    """A task belongs to one job, and a key to one task."""
    async with world() as (veo, _):
        job = await veo.submit("A dog", key="k")
        task_id = await job.accepted()
        assert live_job_of(await veo.ledger.adopt(task_id)) is live_job_of(job)
        assert live_job_of(await veo.ledger.adopt(task_id, key="k")) is live_job_of(job)
        with pytest.raises(errors.KeyReused):
            await veo.ledger.adopt(task_id, key="other")
        with pytest.raises(errors.KeyReused):
            await veo.ledger.adopt("another-task", key="k")
        with pytest.raises(errors.InvalidRequest):
            await veo.ledger.adopt("no task id")


async def test_slots_limit_running_tasks_and_can_be_resized() -> None:
    """Two tasks run in two slots; more slots are used immediately, and fewer take effect as tasks end."""
    async with world(session={"max_in_flight": 2}) as (veo, _):
        for i in range(12):
            await veo.submit(f"Dog {i}")
        await asyncio.sleep(1)
        assert veo.statistics().slots_in_use == 2
        veo.account.resize(6)
        await asyncio.sleep(1)
        assert veo.statistics().slots_in_use == 6
        veo.account.resize(1)
        await asyncio.sleep(1)
        assert (veo.statistics().slots_in_use, veo.statistics().max_in_flight) == (6, 1)
        await asyncio.sleep(70)
        assert veo.statistics().slots_in_use == 1
        veo.account.resize(6)
        await veo.drain()


async def test_tenants_share_by_weight_and_have_bounded_queues() -> None:
    """Three to one while both have queued jobs; a tenant with a full queue gets `QueueFull`."""
    async with world(session={"rate": (1, 1.0)}, limiter="none") as (veo, sim):
        veo.account.configure_tenant("a", weight=3.0)
        veo.account.configure_tenant("b", weight=1.0, max_queued=30)
        for i in range(30):
            await veo.submit(f"{i}", tenant="a")
            await veo.submit(f"{i} too", tenant="b")
        with pytest.raises(errors.QueueFull) as caught:
            await veo.submit("one too many", tenant="b")
        assert (caught.value.tenant, caught.value.limit) == ("b", 30)
        await asyncio.sleep(22)
        sent = [charge.body["prompt"] for charge in sim.charges][:20]
        assert 13 <= sum("too" not in prompt for prompt in sent) <= 17
        await veo.drain()


async def test_interactive_job_overtakes_a_queued_batch() -> None:
    """A single interactive job is sent before the jobs that were queued earlier."""
    async with world(session={"rate": (1, 5.0)}, rate=(1, 5.0)) as (veo, sim):
        for i in range(10):
            await veo.submit(f"Dog {i}")
        await asyncio.sleep(7)
        await veo.submit("Now", priority="interactive")
        await veo.drain()
        assert [charge.body["prompt"] for charge in sim.charges].index("Now") <= 3


async def test_handle_shows_the_status_of_its_job() -> None:
    """State, position, ETA, task id, metadata, and an HTML card for notebooks."""
    async with world(session={"rate": (1, 10.0)}, rate=(1, 10.0)) as (veo, _):
        jobs = [await veo.submit(f"<b>Dog</b> {i}", key=f"k{i}", metadata={"chat": i}) for i in range(3)]
        last = jobs[2]
        assert [job.queue_position for job in jobs] == [0, 1, 2]
        assert last.eta is not None
        assert jobs[0].eta is not None
        assert last.eta.p50 == jobs[0].eta.p50 + 20.0
        assert (last.task_id, last.outcome, last.metadata) == (None, None, {"chat": 2})
        assert repr(last) == "<Job 'k2' queued>"
        await jobs[0].accepted()
        assert jobs[0].queue_position is None
        assert jobs[0].task_id in repr(jobs[0])
        card = jobs[0]._repr_html_()
        assert "<i>running</i>" in card
        assert "&lt;b&gt;Dog" in card
        await veo.drain()
        assert last.eta is None
        assert isinstance(last.outcome, Done)
        assert "<video" in last._repr_html_()
        assert [job.key for job in veo.jobs("ready")] == ["k0", "k1", "k2"]
        assert veo.jobs(JobState.QUEUED) == []
        with pytest.raises(errors.UsageError, match="no job"):
            veo.job("missing")


async def test_clip_has_its_request_and_times() -> None:
    """Request, key, task id and the provider's timestamps."""
    async with world() as (veo, _):
        request = VideoRequest("A dog", model="veo3_fast")
        clip = await veo.generate(request, key="k", aspect_ratio="9:16")
        assert clip.key == "k"
        assert clip.request == VideoRequest("A dog", model="veo3_fast", aspect_ratio="9:16")
        assert clip.created_at is not None
        assert clip.completed_at is not None
        assert (clip.completed_at - clip.created_at).total_seconds() == 60.0
        assert Done(clip).key == "k"


async def test_statistics_show_jobs_slots_rate_limit_and_watcher() -> None:
    """Before anything was submitted and while a task runs."""
    async with world() as (veo, sim):
        assert veo.statistics().jobs == {}
        await veo.submit("A dog")
        await veo.submit("A cat [refuse]")
        await asyncio.sleep(1)
        statistics = veo.statistics()
        assert statistics.jobs == {JobState.RUNNING: 1, JobState.REFUSED: 1}
        assert (statistics.slots_in_use, statistics.max_in_flight, statistics.pause_reason) == (1, 100, None)
        assert (statistics.rate_limit.running, statistics.watcher.tasks) == (1, 1)
        assert await veo.account.balance() == sim.account().credits
        assert veo.account.knowledge().limit == 20
        assert "jobs=2" in repr(veo)
        assert repr(engine_of(veo).watcher).startswith("<Watcher running=1")


async def test_retried_job_needs_no_remembered_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is requeued after its place was forgotten goes to the end of the queue, and still completes."""
    monkeypatch.setattr("veo_async._rules.queue.fair_queue.MAX_REMEMBERED_GRANTS", 1)
    async with world(faults=[rate_limited(on={1, 2})], latency_s=1.0) as (veo, sim):
        outcomes = await veo.gather(*[f"Dog {i}" for i in range(8)])
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert len(sim.charges) == 8


async def test_requeued_job_ignores_the_queue_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place was forgotten and the queue is full again: the job was admitted once, so it is requeued anyway."""
    monkeypatch.setattr("veo_async._rules.queue.fair_queue.MAX_REMEMBERED_GRANTS", 0)
    async with world(faults=[rate_limited(on=1)], latency_s=1.0, session={"max_queued": 1}) as (veo, _):
        first = await veo.submit("A dog")
        await asyncio.sleep(0.5)
        veo.account.resize(1)
        second = await veo.submit("A cat")
        assert (await first).urls
        assert (await second).urls


# --- key providers ----------------------------------------------------------------------------------------------


class KeySource:
    """A key provider that counts its calls."""

    def __init__(self, *keys: Any) -> None:
        self.keys, self.calls = list(keys), 0

    async def __call__(self) -> str:
        self.calls += 1
        await asyncio.sleep(0.5)
        key = self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]
        if isinstance(key, Exception):
            raise key
        return str(key)


@pytest.mark.usefixtures("route")
async def test_row_89_rotated_key_is_requested_once() -> None:
    """Several requests in flight are refused: one call of the provider function, one new key, no job fails."""
    sim = memory(latency_s=0.2)
    source = KeySource(sim.api_key, "sim-second-key-0123456789")
    async with session_on(sim, api_key=source) as veo:
        await veo.generate("First")
        sim.revoke_key(sim.api_key)
        sim.add_key("sim-second-key-0123456789")
        jobs = [await veo.submit(f"Dog {i}") for i in range(30)]
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}
        assert source.calls == 2
        refused = [seen for seen in sim.requests_to() if not seen.account]
        assert len(refused) <= 6
    sim.assert_no_double_charge()


@pytest.mark.usefixtures("route")
async def test_row_89_key_rotated_while_jobs_only_run_is_requested_too() -> None:
    """Only polls are refused: the key is requested once, and the clips are collected."""
    sim = memory()
    source = KeySource(sim.api_key, "sim-second-key-0123456789")
    async with session_on(sim, api_key=source) as veo:
        jobs = [await veo.submit(f"Dog {i}") for i in range(5)]
        await asyncio.sleep(20)
        sim.revoke_key(sim.api_key)
        sim.add_key("sim-second-key-0123456789")
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}
        assert source.calls == 2


@pytest.mark.usefixtures("route")
async def test_row_89_key_provider_without_a_new_key_is_called_once() -> None:
    """It returns the old key: nothing more is sent, and every refused job reports it without another call."""
    sim = memory(latency_s=0.2)
    source = KeySource(sim.api_key)
    async with session_on(sim, api_key=source) as veo:
        running = await veo.submit("First")
        await running.accepted()
        sim.revoke_key(sim.api_key)
        outcomes = await veo.gather(*[f"Dog {i}" for i in range(30)])
        assert {type(outcome) for outcome in outcomes} == {Refused}
        await asyncio.sleep(300)
        assert source.calls == 2
        assert running.state is JobState.RUNNING
        sim.add_key(sim.api_key)
        await running


@pytest.mark.parametrize("key", [OSError("source is down"), "", "a key with spaces"])
async def test_failing_key_provider_is_an_invalid_key(key: Any) -> None:
    """The user's function raises or returns nonsense: no crash, nothing in doubt, every job reports it."""
    sim = memory()
    async with session_on(sim, api_key=KeySource(key)) as veo:
        outcome = await (await veo.submit("A dog")).finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.InvalidKey)
        assert not sim.requests_to()
        with pytest.raises(errors.InvalidKey):
            await veo.submit("A cat")


async def test_hanging_key_provider_times_out_and_does_not_block_closing() -> None:
    """After half a minute the key counts as unavailable."""

    async def hang() -> str:
        await asyncio.sleep(1e6)
        return ""

    sim = memory()
    async with session_on(sim, api_key=hang) as veo:
        clock = Clock()
        await veo.submit("A dog")
        await asyncio.sleep(1)
    assert clock() == 30.0


async def test_key_provider_that_fails_later_locks_the_session_out() -> None:
    """The second call fails, so the jobs report the 401 that caused it."""
    sim = memory()
    async with session_on(sim, api_key=KeySource(sim.api_key, OSError("down"))) as veo:
        await veo.generate("First")
        sim.revoke_key(sim.api_key)
        outcome = await (await veo.submit("A dog")).finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.Unauthorized)


async def test_probe_refused_for_its_key_is_repeated_with_the_new_key() -> None:
    """Maintenance ends just when the key has changed: neither stops submission for good."""
    sim = memory(faults=[refuse(455, on=1)])
    source = KeySource(sim.api_key, "sim-second-key-0123456789")
    async with session_on(sim, api_key=source) as veo:
        job = await veo.submit("A dog")
        await asyncio.sleep(10)
        sim.revoke_key(sim.api_key)
        sim.add_key("sim-second-key-0123456789")
        assert (await job).urls
        assert source.calls == 2


async def test_lost_response_stays_in_doubt_when_the_key_is_refused() -> None:
    """The lock-out refuses only the jobs that were not sent yet."""
    faults = [drop_after_accepting(on=1), refuse(401, on=2)]
    async with world(faults=faults, latency_s=0.2) as (veo, _):
        outcomes = await veo.gather("A dog", "A cat", "A cow", "A pig", "A hen", "An emu")
        names = [type(outcome).__name__ for outcome in outcomes]
        assert names[:2] == ["InDoubt", "Refused"]
        assert set(names[2:]) <= {"Done", "Refused"}
