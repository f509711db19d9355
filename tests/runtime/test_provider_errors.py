"""Rows 1 to 14 of the fault matrix: what the provider refuses, and what becomes of the jobs."""

import asyncio
import logging
from itertools import pairwise

import pytest

from tests.internals import engine_of, parts_of
from veo_async import errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.events import Paused, Queued, Ready, Running, Sent
from veo_async._runtime.job.outcome import Done, Failed, InDoubt, Refused
from veo_async.simulator import blocked_1010, html_page, rate_limited, refuse, unreachable

from .support import Clock, check_joints, let_run, world

pytestmark = pytest.mark.veo_virtual_time


def prompts(n: int) -> list[str]:
    return [f"A dog, number {i}" for i in range(n)]


# --- 429 --------------------------------------------------------------------------------------------------------


async def test_row_1_a_429_is_one_pause_one_probe_and_the_same_job_again() -> None:
    """A 429 at the twentieth call: a pause of a whole window, and the job that was refused is the probe.

    Nineteen calls had been counted, which explains the refusal: room comes when the first of them leaves the window.
    The window slides, so the pause is a window (and its margin, grown by one step) from the *first call counted*, not
    from the refusal; here both are the same moment.
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
        assert after.at - probe.at > 0.099  # nobody leaves until the probe is answered
        assert probe.body == posts[refused].body
        assert len(posts) == len(sim.charges) + 1 == 61


async def test_row_1_a_429_that_no_count_explains_is_probed_sooner_and_then_a_whole_window_apart() -> None:
    """300 jobs against an account that refuses its first ten calls: all are made, and few calls were wasted.

    Nothing of ours had been counted, so there is no call whose leaving a pause could wait for. A bucket would have a
    token back after one documented gap (0.5 s), or three at a lower rate (1.5 s): two single calls, which cost
    nothing, tell this from a window. From the third on the pause is a whole window from the refusal, or longer.
    """
    async with world(faults=[rate_limited(times=10)], limiter="none") as (veo, sim):
        outcomes = await veo.gather(*prompts(300))
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert len(sim.charges) == 300
        refused = [seen.at for seen in sim.requests_to() if seen.fault]
        assert len(refused) == 10
        # Those that had left together, and after them one at a time.
        pauses = [round(later - earlier, 3) for earlier, later in pairwise(refused)]
        assert pauses[:5] == [0.0, 0.0, 0.5, 1.5, 10.06]
        assert min(pauses[4:]) >= parts_of(veo).rate_limiter.settings.window_s


async def test_row_2_retry_after_is_obeyed_by_everybody() -> None:
    """Nobody sends before the server's seven seconds are over, and then one goes first."""
    async with world(faults=[rate_limited(on=1, retry_after=7)]) as (veo, sim):
        clock = Clock()
        jobs = [await veo.submit(prompt) for prompt in prompts(50)]
        await asyncio.sleep(6.9)
        assert len(sim.requests_to()) <= 4
        await jobs[0].accepted()
        assert 7.0 <= clock() < 7.5
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


async def test_row_3_retry_after_as_a_date_is_as_good() -> None:
    """A date means the seconds between the server's own Date and it."""
    async with world(faults=[rate_limited(on=1, retry_after=9, retry_after_as="date")]) as (veo, _):
        clock = Clock()
        job = await veo.submit("A dog")
        await job.accepted()
        assert 8.0 <= clock() <= 10.5


@pytest.mark.parametrize("wish", ["1000000", "1" + "0" * 30])
async def test_row_4_an_absurd_retry_after_is_bounded(wish: str) -> None:
    """Whatever a mistaken header says, after two minutes we ask again."""
    async with world(faults=[rate_limited(on=1, retry_after=wish)]) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert 100.0 <= clock() <= 125.0


@pytest.mark.parametrize("wish", ["-5", "1.5x", "", "inf", "nan", "soon"])
async def test_row_5_a_nonsense_retry_after_is_ignored(wish: str) -> None:
    """Then our own wait counts, which is within a window or so."""
    async with world(faults=[rate_limited(on=1, retry_after=wish)]) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert 0.0 < clock() <= 30.0


async def test_row_6_a_429_in_the_body_is_a_429() -> None:
    """HTTP 200 with code 429 is obeyed like the status, wish and all."""
    async with world(faults=[rate_limited(on=1, form="body", retry_after=7)]) as (veo, sim):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert 7.0 <= clock() < 7.5
        assert len(sim.charges) == 1


async def test_row_7_a_429_for_a_look_slows_looks_and_no_creation() -> None:
    """Looks wait as the server wished; creations go on meanwhile and no task is given up."""
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


async def test_row_8_a_burst_of_429s_is_one_closing() -> None:
    """Two hundred who wait when refusals come are one event, not two hundred."""
    async with world(faults=[rate_limited(times=4)], limiter="none") as (veo, sim):
        await veo.gather(*prompts(200))
        assert veo.statistics().rate_limit.closures == 1
        assert len(sim.charges) == 200


async def test_a_refused_job_goes_back_to_the_head_of_its_queue() -> None:
    """The first that came is the first that is accepted, although it was refused once."""
    async with world(faults=[rate_limited(on=1)], rate=(1, 10.0), session={"rate": (1, 10.0)}) as (veo, sim):
        await veo.gather(*prompts(3))
        assert [charge.body["prompt"] for charge in sim.charges] == prompts(3)


async def test_a_refused_job_holds_no_slot_while_it_waits() -> None:
    """With one slot in all, the gate's wait keeps it free."""
    async with world(faults=[rate_limited(on=1, retry_after=20)], session={"max_in_flight": 1}) as (veo, _):
        job = await veo.submit("A dog")
        await asyncio.sleep(10)
        assert veo.statistics().slots_in_use == 0
        assert job.state is JobState.QUEUED
        await job


async def test_a_429_is_told_as_waiting_again() -> None:
    """Whoever listens sees that the job is queued again, then sent again."""
    async with world(faults=[rate_limited(on=1)]) as (veo, _):
        job = await veo.submit("A dog")
        told = [type(event).__name__ async for event in job.events()]
        assert told == ["Queued", "Sent", "Queued", "Sent", "Running", "Ready"]


# --- the account ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["body", "http"])
async def test_row_9_maintenance_pauses_and_probes_and_fails_nobody(form: str) -> None:
    """455: one probe after 60 s, 120 s, 240 s; the first that passes lifts the pause."""
    async with world(maintenance=((0.0, 200.0),), error_style=form) as (veo, sim):
        clock = Clock()
        jobs = [await veo.submit(prompt) for prompt in prompts(30)]
        await asyncio.sleep(1)
        assert veo.statistics().pause_reason == "maintenance"
        assert {job.state for job in jobs} == {JobState.QUEUED}
        under_way = len(sim.requests_to())
        assert under_way <= 4
        await jobs[0].accepted()
        assert clock() == 60.0 + 120.0 + 240.0
        assert len(sim.requests_to()) == under_way + 3
        assert veo.statistics().pause_reason is None
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


async def test_row_10_a_refused_key_stops_everything_once() -> None:
    """401 in mid-batch: whoever waits is told, no further POST leaves, and what runs is still collected."""
    async with world(latency_s=0.2) as (veo, sim):
        running = await veo.submit("First")
        await running.accepted()
        sim._provider.faults.add(refuse(401, endpoint="generate"))
        jobs = [await veo.submit(prompt) for prompt in prompts(50)]
        outcomes = [await job.finished() for job in jobs]
        sent = len(sim.requests_to())
        assert sent <= 1 + 5
        assert all(isinstance(outcome, Refused) for outcome in outcomes)
        assert all(isinstance(outcome.error, errors.Unauthorized) for outcome in outcomes)  # type: ignore[union-attr]
        told = [outcome.error.job_key for outcome in outcomes]  # type: ignore[union-attr]
        assert told == [job.key for job in jobs]
        with pytest.raises(errors.Unauthorized):
            await veo.submit("One more")
        await running
        await asyncio.sleep(3600)
        assert len(sim.requests_to()) == sent
        assert veo.statistics().pause_reason == "unauthorized"


async def test_row_10_stragglers_after_the_lock_out_are_not_sent_again() -> None:
    """A job that is refused for another reason after the lock-out ends too, instead of knocking for ever."""
    faults = [refuse(401, on=2), rate_limited(on=1), refuse(402, on=3)]
    async with world(faults=faults, latency_s=0.2) as (veo, sim):
        outcomes = await veo.gather(*prompts(8))
        await asyncio.sleep(600)
        assert {type(outcome) for outcome in outcomes} <= {Refused, Done}
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) >= 7
        assert len(sim.requests_to()) <= 4


async def test_row_11_no_credit_pauses_creation_and_lifts_after_a_top_up() -> None:
    """402: what runs is collected, the rest waits; the next look at the balance after a top-up lifts it."""
    async with world(credits=60.0 * 3) as (veo, sim):
        clock = Clock()
        jobs = [await veo.submit(prompt, model="veo3_fast") for prompt in prompts(20)]
        await asyncio.sleep(100)
        made = len(sim.charges)
        assert 0 < made < 20
        assert veo.statistics().pause_reason == "insufficient-credits"
        assert sum(job.state is JobState.READY for job in jobs) == made
        assert sum(job.state is JobState.QUEUED for job in jobs) == 20 - made
        posted = len(sim.requests_to())
        await asyncio.sleep(20)
        assert len(sim.requests_to()) == posted
        sim.account().credits += 100_000
        waiting = next(job for job in jobs if job.state is JobState.QUEUED)
        await waiting.accepted()
        assert 120.0 < clock() < 190.0  # looks at 0, 60 and 180 s
        assert veo.statistics().pause_reason is None
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


async def test_row_11_looks_at_the_balance_come_at_once_and_then_ever_later() -> None:
    """0, 60, 180, 420, 900 s after the 402, then every ten minutes, with a job let through now and then."""
    async with world(credits=0.0) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(1000)
        began = sim.requests_to()[0].at
        assert [round(seen.at - began, 3) for seen in sim.requests_to("credit")] == [0.0, 60.0, 180.0, 420.0, 900.0]
        assert len(sim.requests_to()) == 1
        assert job.state is JobState.QUEUED
        await asyncio.sleep(601)
        assert len(sim.requests_to()) == 2


async def test_a_402_that_was_wrong_does_not_stop_the_session_for_good() -> None:
    """The balance never moves, because it was never empty: after some time a job is let through all the same."""
    async with world(faults=[refuse(402, on=1)]) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 1500.0


async def test_a_balance_that_cannot_be_read_lets_a_job_try() -> None:
    """Where the look at the balance tells nothing, the 402 itself is asked."""
    faults = [refuse(402, on=1), refuse(500, endpoint="credit")]
    async with world(faults=faults) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 60.0


async def test_what_was_under_way_when_a_pause_began_does_not_move_it() -> None:
    """Four 402s at once are one pause: its looks at the balance keep their times."""
    async with world(credits=0.0, latency_s=0.5, rate=(20, 10.0)) as (veo, sim):
        for prompt in prompts(10):
            await veo.submit(prompt)
        await asyncio.sleep(200)
        looks = [seen.at for seen in sim.requests_to("credit")]
        assert [round(look - looks[0], 3) for look in looks] == [0.0, 60.5, 181.0]
        assert len(sim.requests_to()) == 4


async def test_a_key_limit_pauses_until_a_job_passes() -> None:
    """433 is not about the balance, so a job is the probe."""
    async with world(faults=[refuse(433, times=5)]) as (veo, sim):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 60.0 + 120 + 240 + 480 + 600
        assert not sim.requests_to("credit")


async def test_row_12_a_gate_in_front_of_the_api_is_a_definite_refusal_and_a_pause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """403 with error code 1010: nothing is in doubt, and one job at a time asks whether the gate still stands.

    Who is blocked is told why, `Blocked` naming the User-Agent, in the log; the jobs wait and lose nothing.
    """
    heard: list[object] = []
    async with world(faults=[blocked_1010(times=5)], session={"on_event": heard.append}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(30)
        assert veo.statistics().pause_reason == "blocked"
        assert job.state is JobState.QUEUED
        assert Paused(job.key, "blocked") in heard
        assert "User-Agent" in caplog.text
        await job.accepted()
        began = sim.requests_to()[0].at
        assert [round(seen.at - began, 3) for seen in sim.requests_to()] == [0.0, 60.0, 180.0, 420.0, 900.0, 1500.0]
        assert veo.statistics().pause_reason is None


async def test_a_gate_that_lets_a_refused_job_through_is_open() -> None:
    """The probe is refused for its own sake, by the provider itself: the others go on at once."""
    async with world(faults=[blocked_1010(on=1), refuse(422, on=2)]) as (veo, _):
        clock = Clock()
        first = await veo.submit("A dog")
        await asyncio.sleep(1)
        second = await veo.submit("A cat")
        assert isinstance(await first.finished(), Refused)
        await second.accepted()
        assert clock() == 60.0


@pytest.mark.parametrize("prompt", ["A dog [refuse]", "A dog [refuse-late]"])
async def test_row_13_a_refused_prompt_ends_alone_and_is_not_sent_again(prompt: str) -> None:
    """Refused for its content, at the door or in the record: the others go on."""
    async with world() as (veo, sim):
        outcomes = await veo.gather("One", prompt, "Two")
        assert [type(outcome) for outcome in outcomes] == [Done, Refused, Done]
        assert isinstance(outcomes[1], Refused)
        assert isinstance(outcomes[1].error, errors.ContentRefused)
        assert outcomes[1].error.job_key == outcomes[1].key
        assert len(sim.requests_to()) == 3


async def test_row_14_a_disabled_feature_ends_its_job_with_a_clear_error() -> None:
    """505: refused, told as FeatureDisabled."""
    async with world(disabled=frozenset({"veo3"})) as (veo, _):
        job = await veo.submit("A dog", model="veo3")
        with pytest.raises(errors.FeatureDisabled):
            await job
        assert job.state is JobState.REFUSED


# --- doubt and storms -------------------------------------------------------------------------------------------


async def test_a_storm_of_broken_answers_keeps_the_rest_back() -> None:
    """Each broken creation may have cost money: after five in a row the others wait, and one at a time is tried."""
    async with world(faults=[refuse(500, times=7)], session={"rate": (1, 1.0)}, limiter="none") as (veo, sim):
        jobs = [await veo.submit(prompt) for prompt in prompts(40)]
        await asyncio.sleep(59)
        assert veo.statistics().pause_reason == "repeated-errors"
        assert 5 <= len(sim.requests_to()) <= 8
        await veo.drain()
        states = [job.state for job in jobs]
        assert states.count(JobState.IN_DOUBT) == 7
        assert states.count(JobState.READY) == 33


async def test_a_doubtful_job_is_never_sent_again() -> None:
    """Neither by itself nor by asking for the same key once more."""
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


async def test_a_probe_that_is_refused_for_its_own_sake_does_not_stop_creation_for_good() -> None:
    """The provider judged the request, so it is at work again: the pause is over."""
    async with world(faults=[refuse(455, on=1)]) as (veo, _):
        bad = await veo.submit("A dog [refuse]")
        good = await veo.submit("A cat")
        await veo.drain()
        assert bad.state is JobState.REFUSED
        assert good.state is JobState.READY
        assert veo.statistics().pause_reason is None


async def test_a_probe_for_credit_that_is_refused_lets_the_next_job_try() -> None:
    """A 422 tells nothing of the account; the next in the queue may tell."""
    async with world(faults=[refuse(433, on=1)]) as (veo, _):
        bad = await veo.submit("A dog [refuse]")
        good = await veo.submit("A cat")
        await veo.drain()
        assert [bad.state, good.state] == [JobState.REFUSED, JobState.READY]


# --- pauses are seen --------------------------------------------------------------------------------------------


async def test_a_pause_is_seen_in_statistics_events_and_log(caplog: pytest.LogCaptureFixture) -> None:
    """The reason stands in all three, under stable names, and so does its end."""
    told: list[object] = []
    with caplog.at_level(logging.INFO, "veo_async"):
        async with world(faults=[refuse(455, on=1)], session={"on_event": told.append}) as (veo, _):
            job = await veo.submit("A dog", key="k")
            events = job.events()
            await asyncio.sleep(1)
            assert veo.statistics().pause_reason == "maintenance"
            assert repr(engine_of(veo).scheduler).endswith("paused=maintenance>")
            await job
            heard = [event async for event in events]
    assert Paused("k", "maintenance") in heard
    assert Paused("k", "maintenance") in told
    assert [type(event) for event in heard] == [Queued, Sent, Paused, Sent, Running, Ready]
    by_action = {getattr(record, "action", None): record for record in caplog.records}
    assert by_action["paused"].reason == "maintenance"  # type: ignore[attr-defined]
    assert "resumed" in by_action
    assert by_action["complete"].job_key == "k"  # type: ignore[attr-defined]


# --- nothing could leave ----------------------------------------------------------------------------------------


async def test_a_lost_network_is_one_pause_and_gives_up_few_jobs() -> None:
    """Five minutes without a network: creation pauses, and no more than those that were the probe too often fail."""
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


async def test_a_job_that_can_never_leave_is_given_up_soon_and_may_be_tried_again() -> None:
    """Four tries, 1, 2 and 4 s apart; the key is free again, because nothing was sent."""
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


async def test_any_answer_shows_that_the_network_is_back() -> None:
    """The probe is refused for its own sake: it was reached, so the pause is over."""
    async with world(faults=[unreachable(on=1)]) as (veo, _):
        clock = Clock()
        bad = await veo.submit("A dog [refuse]")
        good = await veo.submit("A cat")
        await bad.finished()
        await good.accepted()
        assert clock() == 1.0


async def test_a_probe_that_meets_a_429_tells_nothing() -> None:
    """Maintenance goes on until a later probe passes."""
    async with world(faults=[refuse(455, on=1), rate_limited(on=2)]) as (veo, sim):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 60.0 + 120.0
        assert len(sim.requests_to()) == 3
