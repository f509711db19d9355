"""Rows 1 to 14 of the fault matrix: errors from the provider and their effect on the jobs."""

import asyncio
import logging
from itertools import pairwise

import pytest

from tests.internals import engine_of, parts_of
from veo_async import errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.events import Paused, Queued, Ready, Running, Sent
from veo_async._runtime.job.outcome import Done, Failed, InDoubt, Refused
from veo_async.requests import ExtendRequest
from veo_async.simulator import blocked_1010, html_page, rate_limited, refuse, unreachable
from veo_async.types import RouteName

from .support import Clock, check_joints, let_run, world

pytestmark = pytest.mark.veo_virtual_time


def prompts(n: int) -> list[str]:
    return [f"A dog, number {i}" for i in range(n)]


# --- 429 --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_row_1_429_causes_one_pause_and_one_probe_with_the_same_job() -> None:
    """A 429 for the twentieth call pauses sending for a whole window, and the refused job is the probe.

    Nineteen calls are counted, which explains the refusal: a place is free when the first of them leaves the window.
    The window slides, so the pause lasts a window (and its margin, grown by one step) from the *first counted call*,
    not from the refusal; here both are the same moment.
    """
    async with world(faults=[rate_limited(on=20)], limiter="none", latency_s=0.1) as (veo, sim):
        outcomes = await veo.gather(*prompts(60))
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        posts = sim.requests_to()
        (refused,) = [number for number, seen in enumerate(posts) if seen.fault]
        counted, probe, after = posts[0], posts[refused + 1], posts[refused + 2]
        settings = parts_of(veo).rate_limiter.settings
        span_s = settings.window_s + settings.margin_s + settings.margin_step_s
        assert probe.at - counted.at == pytest.approx(span_s, abs=0.001)
        assert after.at - probe.at > 0.099  # nothing is sent until the response to the probe
        assert probe.body == posts[refused].body
        assert len(posts) == len(sim.charges) + 1 == 61


@pytest.mark.usefixtures("route")
async def test_row_1_unexplained_429_is_probed_early_twice_and_then_once_per_window() -> None:
    """100 jobs on an account that refuses its first ten calls: all complete, and few calls are wasted.

    No call had been counted, so the pause cannot end when one leaves the window. A token bucket would have a new token
    after one documented interval (0.5 s), or after three at a lower rate (1.5 s). Two single calls, which are free,
    tell a bucket from a window. From the third on, the pause is a whole window from the refusal, or longer.
    """
    async with world(faults=[rate_limited(times=10)], limiter="none") as (veo, sim):
        outcomes = await veo.gather(*prompts(100))
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert len(sim.charges) == 100
        refused = [seen.at for seen in sim.requests_to() if seen.fault]
        assert len(refused) == 10
        # First those that were sent together, then one at a time.
        pauses = [round(later - earlier, 3) for earlier, later in pairwise(refused)]
        assert pauses[:5] == [0.0, 0.5, 1.5, 10.06, 10.06]
        assert min(pauses[4:]) >= parts_of(veo).rate_limiter.settings.window_s


@pytest.mark.usefixtures("route")
async def test_row_2_retry_after_delays_all_jobs() -> None:
    """No job is sent within the server's seven seconds, and a single one is sent first."""
    async with world(faults=[rate_limited(on=1, form="http", retry_after=7)]) as (veo, sim):
        clock = Clock()
        jobs = [await veo.submit(prompt) for prompt in prompts(50)]
        await asyncio.sleep(6.9)
        assert len(sim.requests_to()) <= 4
        await jobs[0].accepted()
        assert 7.0 <= clock() < 7.5
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


@pytest.mark.usefixtures("route")
async def test_row_3_retry_after_may_be_a_date() -> None:
    """The delay is the difference between that date and the server's own Date header."""
    async with world(faults=[rate_limited(on=1, retry_after=9, retry_after_as="date")]) as (veo, _):
        clock = Clock()
        job = await veo.submit("A dog")
        await job.accepted()
        assert 8.0 <= clock() <= 10.5


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("retry_after", ["1000000", "1" + "0" * 30])
async def test_row_4_absurd_retry_after_is_bounded(retry_after: str) -> None:
    """Whatever the header says, the next request follows within two minutes."""
    async with world(faults=[rate_limited(on=1, retry_after=retry_after)]) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert 100.0 <= clock() <= 125.0


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("retry_after", ["-5", "1.5x", "", "inf", "nan", "soon"])
async def test_row_5_invalid_retry_after_is_ignored(retry_after: str) -> None:
    """The computed delay applies, which is about one window."""
    async with world(faults=[rate_limited(on=1, retry_after=retry_after)]) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert 0.0 < clock() <= 30.0


@pytest.mark.usefixtures("route")
async def test_row_6_429_in_the_body_is_a_429() -> None:
    """HTTP 200 with code 429 is obeyed like the status, Retry-After included."""
    async with world(faults=[rate_limited(on=1, form="body", retry_after=7)]) as (veo, sim):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert 7.0 <= clock() < 7.5
        assert len(sim.charges) == 1


@pytest.mark.usefixtures("route")
async def test_row_7_429_for_a_poll_slows_polls_only() -> None:
    """Polls wait as the server requested; submissions continue, and no task is given up."""
    faults = [rate_limited(endpoint="record-info", on=1, retry_after=30)]
    async with world(faults=faults, session={"poll_every": 2.0}) as (veo, sim):
        clock = Clock()
        first = await veo.submit("A dog")
        await asyncio.sleep(5)
        assert len(sim.requests_to("record-info")) == 1
        await (await veo.submit("A cat")).accepted()
        assert clock() == 5.0
        await asyncio.sleep(24)
        assert len(sim.requests_to("record-info")) == 1
        await veo.drain()
        assert first.state is JobState.READY


@pytest.mark.usefixtures("route")
async def test_row_8_burst_of_429s_is_one_closure() -> None:
    """A hundred queued jobs see several refusals as one event."""
    async with world(faults=[rate_limited(times=4)], limiter="none") as (veo, sim):
        await veo.gather(*prompts(100))
        assert veo.statistics().rate_limit.closures == 1
        assert len(sim.charges) == 100


@pytest.mark.usefixtures("route")
async def test_rate_limited_job_returns_to_the_head_of_its_queue() -> None:
    """The first submitted job is the first accepted one, although it was refused once."""
    async with world(faults=[rate_limited(on=1)], rate=(1, 10.0), session={"rate": (1, 10.0)}) as (veo, sim):
        await veo.gather(*prompts(3))
        assert [charge.body["prompt"] for charge in sim.charges] == prompts(3)


@pytest.mark.usefixtures("route")
async def test_rate_limited_job_occupies_no_slot_while_it_waits() -> None:
    """The only slot stays free during the pause."""
    async with world(faults=[rate_limited(on=1, retry_after=20)], session={"max_in_flight": 1}) as (veo, _):
        job = await veo.submit("A dog")
        await asyncio.sleep(10)
        assert veo.statistics().slots_in_use == 0
        assert job.state is JobState.QUEUED
        await job


async def test_429_is_visible_in_the_events() -> None:
    """The job is queued again and then sent again."""
    async with world(faults=[rate_limited(on=1)]) as (veo, _):
        job = await veo.submit("A dog")
        events = [type(event).__name__ async for event in job.events()]
        assert events == ["Queued", "Sent", "Queued", "Sent", "Running", "Ready"]


# --- the account ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("form", ["body", "http"])
async def test_row_9_maintenance_pauses_and_probes_and_fails_no_job(form: str) -> None:
    """455: one probe each after 60, 120 and 240 s; the first that is accepted ends the pause."""
    async with world(maintenance=((0.0, 200.0),), error_style=form) as (veo, sim):
        clock = Clock()
        jobs = [await veo.submit(prompt) for prompt in prompts(30)]
        await asyncio.sleep(1)
        assert veo.statistics().pause_reason == "maintenance"
        assert {job.state for job in jobs} == {JobState.QUEUED}
        sent = len(sim.requests_to())
        assert sent <= 4
        await jobs[0].accepted()
        assert clock() == 60.0 + 120.0 + 240.0
        assert len(sim.requests_to()) == sent + 3
        assert veo.statistics().pause_reason is None
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


@pytest.mark.usefixtures("route")
async def test_row_10_refused_key_stops_all_submissions() -> None:
    """401 within a batch: every waiter gets the error, nothing more is sent, and running tasks are still collected."""
    async with world(latency_s=0.2) as (veo, sim):
        running = await veo.submit("First")
        await running.accepted()
        sim.inject(refuse(401, endpoint="generate"))
        jobs = [await veo.submit(prompt) for prompt in prompts(50)]
        outcomes = [await job.finished() for job in jobs]
        sent = len(sim.requests_to())
        assert sent <= 1 + 5
        assert all(isinstance(outcome, Refused) for outcome in outcomes)
        assert all(isinstance(outcome.error, errors.Unauthorized) for outcome in outcomes)  # type: ignore[union-attr]
        keys = [outcome.error.job_key for outcome in outcomes]  # type: ignore[union-attr]
        assert keys == [job.key for job in jobs]
        with pytest.raises(errors.Unauthorized):
            await veo.submit("One more")
        await running
        await asyncio.sleep(3600)
        assert len(sim.requests_to()) == sent
        assert veo.statistics().pause_reason == "unauthorized"


@pytest.mark.usefixtures("route")
async def test_row_10_jobs_refused_after_the_lock_out_are_not_sent_again() -> None:
    """A job that gets another error after the lock-out ends as well, instead of being retried forever."""
    faults = [refuse(401, on=2), rate_limited(on=1), refuse(402, on=3)]
    async with world(faults=faults, latency_s=0.2) as (veo, sim):
        outcomes = await veo.gather(*prompts(8))
        await asyncio.sleep(600)
        assert {type(outcome) for outcome in outcomes} <= {Refused, Done}
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) >= 7
        assert len(sim.requests_to()) <= 4


@pytest.mark.usefixtures("route")
async def test_row_11_missing_credits_pause_submission_until_a_top_up() -> None:
    """402: running tasks are collected, the others wait; the next balance read after a top-up ends the pause."""
    async with world(credits=60.0 * 3) as (veo, sim):
        clock = Clock()
        jobs = [await veo.submit(prompt, model="veo3_fast") for prompt in prompts(20)]
        await asyncio.sleep(100)
        accepted = len(sim.charges)
        assert 0 < accepted < 20
        assert veo.statistics().pause_reason == "insufficient-credits"
        assert sum(job.state is JobState.READY for job in jobs) == accepted
        assert sum(job.state is JobState.QUEUED for job in jobs) == 20 - accepted
        posted = len(sim.requests_to())
        await asyncio.sleep(20)
        assert len(sim.requests_to()) == posted
        sim.account().credits += 100_000
        waiting = next(job for job in jobs if job.state is JobState.QUEUED)
        await waiting.accepted()
        assert 120.0 < clock() < 190.0  # balance reads at 0, 60 and 180 s
        assert veo.statistics().pause_reason is None
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


@pytest.mark.usefixtures("route")
async def test_row_11_balance_is_read_immediately_and_then_with_growing_delays() -> None:
    """0, 60, 180, 420 and 900 s after the 402, then every ten minutes, with a job as a probe now and then."""
    async with world(credits=0.0) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(1000)
        started_at = sim.requests_to()[0].at
        assert [round(seen.at - started_at, 3) for seen in sim.requests_to("credit")] == [
            0.0,
            60.0,
            180.0,
            420.0,
            900.0,
        ]
        assert len(sim.requests_to()) == 1
        assert job.state is JobState.QUEUED
        await asyncio.sleep(601)
        assert len(sim.requests_to()) == 2


@pytest.mark.usefixtures("route")
async def test_wrong_402_does_not_stop_the_session_for_good() -> None:
    """The balance never changes, because it was never empty: after some time a job is sent as a probe."""
    async with world(faults=[refuse(402, on=1)]) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 1500.0


@pytest.mark.usefixtures("route")
async def test_unreadable_balance_sends_a_job_as_a_probe() -> None:
    """If the balance cannot be read, another request shows whether the 402 still applies."""
    faults = [refuse(402, on=1), refuse(500, endpoint="credit")]
    async with world(faults=faults) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 60.0


@pytest.mark.usefixtures("route")
async def test_requests_in_flight_at_the_start_of_a_pause_do_not_move_it() -> None:
    """Four 402s in the same moment are one pause: its balance reads keep their times."""
    async with world(credits=0.0, latency_s=0.5, rate=(20, 10.0)) as (veo, sim):
        for prompt in prompts(10):
            await veo.submit(prompt)
        await asyncio.sleep(200)
        reads = [seen.at for seen in sim.requests_to("credit")]
        assert [round(read - reads[0], 3) for read in reads] == [0.0, 60.5, 181.0]
        assert len(sim.requests_to()) == 4


@pytest.mark.usefixtures("route")
async def test_key_limit_pauses_until_a_job_is_accepted() -> None:
    """433 is not about the balance, so a job is the probe."""
    async with world(faults=[refuse(433, times=5)]) as (veo, sim):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 60.0 + 120 + 240 + 480 + 600
        assert not sim.requests_to("credit")


@pytest.mark.usefixtures("route")
async def test_row_12_blocked_client_is_a_definite_refusal_and_a_pause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """403 with error code 1010: no job is in doubt, and one job at a time probes whether the block still applies.

    The log has `Blocked`, which names the User-Agent; the jobs wait.
    """
    events: list[object] = []
    async with world(faults=[blocked_1010(times=5)], session={"on_event": events.append}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(30)
        assert veo.statistics().pause_reason == "blocked"
        assert job.state is JobState.QUEUED
        assert Paused(job.key, "blocked") in events
        assert "User-Agent" in caplog.text
        await job.accepted()
        started_at = sim.requests_to()[0].at
        assert [round(seen.at - started_at, 3) for seen in sim.requests_to()] == [
            0.0,
            60.0,
            180.0,
            420.0,
            900.0,
            1500.0,
        ]
        assert veo.statistics().pause_reason is None


@pytest.mark.usefixtures("route")
async def test_refusal_of_a_probe_ends_the_block() -> None:
    """The provider itself refused the probe, so the client is not blocked any more: the others are sent immediately."""
    async with world(faults=[blocked_1010(on=1), refuse(422, on=2)]) as (veo, _):
        clock = Clock()
        first = await veo.submit("A dog")
        await asyncio.sleep(1)
        second = await veo.submit("A cat")
        assert isinstance(await first.finished(), Refused)
        await second.accepted()
        assert clock() == 60.0


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("prompt", ["A dog [refuse]", "A dog [refuse-late]"])
async def test_row_13_refused_prompt_affects_only_its_job(prompt: str) -> None:
    """Refused for its content, immediately or in the record; it is not sent again, and the others complete."""
    async with world() as (veo, sim):
        outcomes = await veo.gather("One", prompt, "Two")
        assert [type(outcome) for outcome in outcomes] == [Done, Refused, Done]
        assert isinstance(outcomes[1], Refused)
        assert isinstance(outcomes[1].error, errors.ContentRefused)
        assert outcomes[1].error.job_key == outcomes[1].key
        assert len(sim.requests_to()) == 3


@pytest.mark.usefixtures("route")
async def test_row_14_disabled_feature_refuses_its_job() -> None:
    """Code 505 is raised as `FeatureDisabled`."""
    async with world(disabled=frozenset({"veo3"})) as (veo, _):
        job = await veo.submit("A dog", model="veo3")
        with pytest.raises(errors.FeatureDisabled):
            await job
        assert job.state is JobState.REFUSED


# --- jobs in doubt and repeated errors --------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_repeated_server_errors_pause_submission() -> None:
    """Each failed submission may have been charged: after five in a row, one job at a time is tried."""
    async with world(faults=[refuse(500, times=7)], session={"rate": (1, 1.0)}, limiter="none") as (veo, sim):
        jobs = [await veo.submit(prompt) for prompt in prompts(40)]
        await asyncio.sleep(59)
        assert veo.statistics().pause_reason == "repeated-errors"
        assert 5 <= len(sim.requests_to()) <= 8
        await veo.drain()
        states = [job.state for job in jobs]
        assert states.count(JobState.IN_DOUBT) == 7
        assert states.count(JobState.READY) == 33


@pytest.mark.usefixtures("route")
async def test_job_in_doubt_is_never_sent_again() -> None:
    """Neither automatically nor by submitting the same key once more."""
    async with world(faults=[html_page(502, on=1)]) as (veo, sim):
        job = await veo.submit("A dog", key="k")
        outcome = await job.finished()
        assert isinstance(outcome, InDoubt)
        again = await veo.submit("A dog", key="k")
        assert await again.finished() is outcome
        with pytest.raises(errors.ServerError):
            await again
        await asyncio.sleep(3600)
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_refused_maintenance_probe_ends_the_pause() -> None:
    """The provider judged the request, so it works again."""
    async with world(faults=[refuse(455, on=1)]) as (veo, _):
        bad = await veo.submit("A dog [refuse]")
        good = await veo.submit("A cat")
        await veo.drain()
        assert bad.state is JobState.REFUSED
        assert good.state is JobState.READY
        assert veo.statistics().pause_reason is None


@pytest.mark.usefixtures("route")
async def test_refused_credit_probe_lets_the_next_job_try() -> None:
    """A 422 does not say whether the account has credits; the next job in the queue may."""
    async with world(faults=[refuse(433, on=1)]) as (veo, _):
        bad = await veo.submit("A dog [refuse]")
        good = await veo.submit("A cat")
        await veo.drain()
        assert [bad.state, good.state] == [JobState.REFUSED, JobState.READY]


# --- pauses are visible -----------------------------------------------------------------------------------------


async def test_pause_is_visible_in_statistics_events_and_log(caplog: pytest.LogCaptureFixture) -> None:
    """All three have the same reason under stable names, and the log reports the end of the pause."""
    hook_events: list[object] = []
    with caplog.at_level(logging.INFO, "veo_async"):
        async with world(faults=[refuse(455, on=1)], session={"on_event": hook_events.append}) as (veo, _):
            job = await veo.submit("A dog", key="k")
            subscription = job.events()
            await asyncio.sleep(1)
            assert veo.statistics().pause_reason == "maintenance"
            assert repr(engine_of(veo).scheduler).endswith("paused=maintenance>")
            await job
            job_events = [event async for event in subscription]
    assert Paused("k", "maintenance") in job_events
    assert Paused("k", "maintenance") in hook_events
    assert [type(event) for event in job_events] == [Queued, Sent, Paused, Sent, Running, Ready]
    by_action = {getattr(record, "action", None): record for record in caplog.records}
    assert by_action["paused"].reason == "maintenance"  # type: ignore[attr-defined]
    assert "resumed" in by_action
    assert by_action["complete"].job_key == "k"  # type: ignore[attr-defined]


# --- nothing could be sent --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_lost_network_is_one_pause_and_fails_few_jobs() -> None:
    """Five minutes without a network: sending is paused, and only jobs that were the probe too often fail."""
    async with world() as (veo, sim):
        sim.is_offline = True
        jobs = [await veo.submit(prompt) for prompt in prompts(100)]
        await asyncio.sleep(1.5)
        assert veo.statistics().pause_reason == "network"
        await asyncio.sleep(298)
        check_joints(veo)
        sim.is_offline = False
        await veo.drain()
        states = [job.state for job in jobs]
        assert states.count(JobState.FAILED) <= 4
        assert states.count(JobState.READY) == 100 - states.count(JobState.FAILED)
        assert len(sim.charges) == states.count(JobState.READY)


@pytest.mark.usefixtures("route")
async def test_unsendable_job_fails_soon_and_its_key_is_free_again() -> None:
    """Four attempts, 1, 2 and 4 s apart; nothing was sent."""
    async with world(faults=[unreachable(times=4)]) as (veo, sim):
        clock = Clock()
        job = await veo.submit("A dog", key="k")
        outcome = await job.finished()
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, errors.NotSent)
        assert clock() == 7.0
        await let_run()
        again = await veo.submit("A dog", key="k")
        await again
        assert len(sim.charges) == 1


@pytest.mark.usefixtures("route")
async def test_any_response_shows_that_the_network_is_back() -> None:
    """The probe is refused, but its request arrived, so the pause ends."""
    async with world(faults=[unreachable(on=1)]) as (veo, _):
        clock = Clock()
        bad = await veo.submit("A dog [refuse]")
        good = await veo.submit("A cat")
        await bad.finished()
        await good.accepted()
        assert clock() == 1.0


@pytest.mark.usefixtures("route")
async def test_rate_limited_probe_is_inconclusive() -> None:
    """The maintenance pause lasts until a later probe is accepted."""
    async with world(faults=[refuse(455, on=1), rate_limited(on=2)]) as (veo, sim):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 60.0 + 120.0
        assert len(sim.requests_to()) == 3


@pytest.mark.parametrize(
    "message", ["Task not found", "record is null.", "Temporarily supports records within 14 days."]
)
async def test_refused_extension_whose_source_has_no_record_costs_nothing(route: RouteName, message: str) -> None:
    """The same error of a poll leaves open what was charged; of a creating request it does not."""
    endpoint, number = {"veo": ("extend", 1), "jobs": ("create-task", 2)}[route]
    faults = [refuse(422, message, endpoint=endpoint, on=number)]
    async with world(faults=faults, session={"budget": 130.0}) as (veo, sim):
        clip = await veo.generate("A dog")
        refused = await veo.submit(ExtendRequest(clip.task_id, "It barks"), key="longer")
        assert isinstance(await refused.finished(), Refused)
        assert refused.was_not_charged
        again = await veo.submit(ExtendRequest(clip.task_id, "It barks"), key="longer")
        assert isinstance(await again.finished(), Done)
        assert len(sim.charges) == 2
