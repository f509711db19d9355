"""Row 83 of the fault matrix: prices, budget, minimum balance, and what was really spent."""

import asyncio
import logging
import math
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from veo_async import Done, ExtendRequest, InDoubt, Refused, VideoRequest, errors
from veo_async._ports import Ledger
from veo_async._rules.credits.min_balance import READ_EVERY_S
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.events import Paused
from veo_async.ledger import MemoryLedger
from veo_async.simulator import (
    MemoryTransport,
    delay,
    drop_after_accepting,
    drop_before_accepting,
    rate_limited,
    refuse,
)

from .ledgers import session_with_ledger
from .support import Clock, let_run, memory, run_together, session_on, world

pytestmark = pytest.mark.veo_virtual_time


def prompts(n: int) -> list[str]:
    return [f"A dog, number {i}" for i in range(n)]


def charged(sim: MemoryTransport) -> float:
    """Return the sum of all charges."""
    return sum(charge.credits for charge in sim.charges)


#: A table without a price for the other resolutions.
ONLY_720P = {"veo3_fast": {"720p": 60.0}}


# --- estimates --------------------------------------------------------------------------------------------------


async def test_estimate_covers_the_whole_chain() -> None:
    """Estimating sends nothing; one unknown price makes the sum unknown."""
    async with world() as (veo, sim):
        assert veo.account.estimate("A dog") == 60.0
        assert veo.account.estimate("A dog", model="veo3", resolution="1080p") == 255.0
        chain = [ExtendRequest(prompt="It sits"), "4k"]
        assert veo.account.estimate(VideoRequest("A dog", model="veo3_lite"), then=chain) == 30.0 + 30.0 + 120.0
        assert veo.account.estimate("A dog", duration=4, then="1080p") == 65.0
        assert not sim.requests_to()
    async with world(session={"prices": ONLY_720P}) as (veo, _):
        assert veo.account.estimate("A dog", then="1080p") is None


async def test_custom_price_table_replaces_the_built_in_one() -> None:
    """Prices that it does not list are unknown."""
    async with world(session={"prices": {"veo3_fast": {"720p": 50.0}}}) as (veo, _):
        assert veo.account.estimate("A dog") == 50.0
        assert veo.account.estimate("A dog", then="1080p") is None


@pytest.mark.parametrize("options", [{"prices": {"veo3": 5.0}}, {"budget": -1.0}, {"min_balance": "much"}])
async def test_invalid_credit_settings_are_rejected_by_the_constructor(options: dict[str, Any]) -> None:
    """The caller gets a `UsageError` before the session is opened."""
    with pytest.raises(errors.UsageError):
        session_on(memory(), **options)


# --- a budget ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("ledger", [None, MemoryLedger])
async def test_row_83_budget_holds_for_fifty_concurrent_submissions(ledger: Any) -> None:
    """Five fit. The others are rejected before they are queued or sent, and their errors have the figures."""
    async with world(session={"budget": 300.0, "ledger": ledger and ledger()}) as (veo, sim):
        results = await run_together(veo.submit(prompt) for prompt in prompts(50))
        refusals = [result for result in results if isinstance(result, errors.BudgetExceeded)]
        assert len(refusals) == 45
        assert {(error.cost, error.reserved, error.budget) for error in refusals} == {(60.0, 300.0, 300.0)}
        assert "costs 60 credits, but 300 credits of a budget of 300 are reserved" in str(refusals[0])
        assert len(veo.jobs()) == 5
        await veo.drain()
        assert charged(sim) == 300.0
        with pytest.raises(errors.BudgetExceeded):
            await veo.generate("One more")


@pytest.mark.usefixtures("route")
async def test_row_83_map_yields_jobs_over_budget_as_refused() -> None:
    """The map continues: a cheaper request may still fit."""
    requests = [VideoRequest("A dog"), VideoRequest("A cat", model="veo3"), VideoRequest("A fox", model="veo3_lite")]
    async with world(session={"budget": 100.0}) as (veo, sim):
        dog, cat, fox = [outcome async for outcome in veo.map(requests, ordered=True)]
        assert isinstance(dog, Done)
        assert isinstance(cat, Refused)
        assert isinstance(cat.error, errors.BudgetExceeded)
        assert isinstance(fox, Done)
        assert charged(sim) == 90.0


async def test_chain_reserves_all_its_steps_together() -> None:
    """Without its follow-ups the clip would be useless to the caller."""
    async with world(session={"budget": 180.0}) as (veo, sim):
        with pytest.raises(errors.BudgetExceeded, match="costs 185 credits"):
            await veo.submit("A dog", then=["1080p", "4k"])
        assert veo.jobs() == []
        job = await veo.submit("A dog", then="4k")
        with pytest.raises(errors.BudgetExceeded):
            await veo.submit("A cat", model="veo3_lite")
        assert (await job).urls
        assert charged(sim) == 180.0


async def test_job_without_a_charge_releases_its_reservation() -> None:
    """A refusal by the provider, a failed task, and the follow-ups of either."""
    faults = [refuse(422, on=2)]
    async with world(session={"budget": 180.0}, faults=faults) as (veo, _):
        chain = await veo.submit("A dog [fail]", then="4k")
        assert veo.statistics().credits.reserved == 180.0
        await chain.finished()
        await veo.drain()
        assert veo.statistics().credits.reserved == 0.0
        await (await veo.submit("A cat")).finished()
        assert veo.statistics().credits.reserved == 0.0
        await veo.generate("A fox", then="4k")
        assert veo.statistics().credits.reserved == 180.0


async def test_abandoned_job_releases_its_reservation_only_if_never_sent() -> None:
    """A task that runs at the provider is charged, polled or not."""
    async with world(session={"budget": 120.0, "max_in_flight": 1}) as (veo, _):
        running, waiting = [await veo.submit(prompt) for prompt in prompts(2)]
        await running.accepted()
        await running.abandon()
        assert veo.statistics().credits.reserved == 120.0
    async with world(session={"budget": 120.0, "max_in_flight": 1}) as (veo, _):
        running, waiting = [await veo.submit(prompt) for prompt in prompts(2)]
        await running.accepted()
        await waiting.abandon()
        assert veo.statistics().credits.reserved == 60.0
        await running


async def test_job_in_doubt_keeps_its_reservation() -> None:
    """It may be charged. Resubmitting it reserves a second time, and is rejected if that does not fit."""
    session = {"budget": 120.0}
    async with world(session=session, faults=[drop_after_accepting(on=1)], may_double=True) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), InDoubt)
        assert veo.statistics().credits.reserved == 60.0
        other = await veo.submit("A cat")
        with pytest.raises(errors.BudgetExceeded):
            await job.resubmit()
        assert job.state is JobState.IN_DOUBT
        await other
    async with world(session=session, faults=[drop_after_accepting(on=1)], may_double=True) as (veo, sim):
        job = await veo.submit("A dog")
        await job.finished()
        await job.resubmit()
        await job
        assert veo.statistics().credits.reserved == charged(sim) == 120.0


async def test_on_doubt_resubmit_stays_within_the_budget() -> None:
    """If the budget has no room for another request, the job is held and reported as in doubt."""
    session = {"budget": 60.0, "on_doubt": "resubmit"}
    async with world(session=session, faults=[drop_before_accepting(on=1)]) as (veo, sim):
        assert isinstance(await (await veo.submit("A dog")).finished(), InDoubt)
        assert len(sim.requests_to()) == 1


async def test_resolved_job_is_reserved_and_estimated_once() -> None:
    """A job in doubt counts as accepted once its task is found."""
    async with world(session={"budget": 60.0}, faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await veo.submit("A dog")
        await job.finished()
        assert veo.statistics().credits.estimated == 0.0
        await job.resolve(sim.charges[0].task_id)
        await job
        spent = veo.statistics().credits
        assert (spent.reserved, spent.estimated) == (60.0, 60.0)


async def test_attaching_reserves_nothing() -> None:
    """The same request again, concurrently or later, and a task that was created outside this session."""
    async with world(session={"budget": 60.0}) as (veo, sim):
        jobs = await run_together(veo.submit("A dog", key="dog") for _ in range(10))
        assert len({job.key for job in jobs}) == 1
        await veo.generate("A dog", key="dog")
        with pytest.raises(errors.KeyReused):
            await veo.submit("A cat", key="dog")
        created = await veo.api.generate("A fox")
        await (await veo.ledger.adopt(created.task_id))
        assert veo.statistics().credits.reserved == 60.0
        assert charged(sim) == 120.0


async def test_remedy_of_an_exceeded_budget_fits_the_case() -> None:
    """A price that is missing is not found by raising the budget."""
    async with world(session={"budget": 50.0, "prices": ONLY_720P}) as (veo, _):
        with pytest.raises(errors.BudgetExceeded) as known:
            await veo.submit("A dog")
        with pytest.raises(errors.BudgetExceeded) as unknown:
            await veo.submit("A dog", resolution="4k")
    assert known.value.remedy == "Raise budget=."
    assert "prices=" in unknown.value.remedy
    assert "Raise" not in unknown.value.remedy


async def test_unknown_price_is_rejected_if_there_is_a_budget() -> None:
    """Otherwise the budget could be exceeded; a price table that lists the request helps."""
    async with world(session={"budget": 1000.0, "prices": ONLY_720P}) as (veo, _):
        with pytest.raises(errors.BudgetExceeded, match=r"the price of this request is unknown.*prices="):
            await veo.submit("A dog", resolution="4k")
    async with world(session={"budget": 1000.0, "prices": {"veo3_fast": {"4k": 180.0}}}) as (veo, _):
        await veo.generate("A dog", resolution="4k")


async def test_cancelled_submit_leaves_no_reservation_without_a_job() -> None:
    """Cancelled while its chain is being stored: stored jobs stay reserved, the rest is released."""
    for turns in range(12):
        async with world(session={"budget": 1000.0, "ledger": MemoryLedger()}) as (veo, _):
            submitting = asyncio.create_task(veo.submit("A dog", key="dog", then=["1080p", "4k"]))
            await let_run(turns)
            submitting.cancel()
            await asyncio.wait([submitting])
            await let_run(40)
            costs = {"dog": 60.0, "dog.1080p": 5.0, "dog.1080p.4k": 120.0}
            assert veo.statistics().credits.reserved == sum(costs[job.key] for job in veo.jobs())


@pytest.mark.parametrize("budget", [100.0, None])
async def test_later_session_reserves_queued_jobs_but_not_finished_ones(ledger: Ledger, budget: float | None) -> None:
    """Two jobs were charged, one is queued: the next session's budget counts only the queued one."""
    sim = memory()
    async with session_with_ledger(sim, ledger, budget=180.0, max_in_flight=2) as veo:
        jobs = [await veo.submit(prompt) for prompt in prompts(3)]
        await jobs[1].accepted()
        with pytest.raises(errors.BudgetExceeded):
            await veo.submit("A cat")
    async with session_with_ledger(sim, ledger, budget=budget) as veo:
        assert veo.ledger.recovered.queued == 1
        assert veo.statistics().credits.reserved == 60.0
        for prompt in prompts(3):
            await veo.submit(prompt)
        if budget is not None:
            with pytest.raises(errors.BudgetExceeded, match="60 credits of a budget of 100 are reserved"):
                await veo.submit("A cat")
        await veo.drain()
        spent = veo.statistics().credits
        assert (spent.reserved, spent.estimated) == (60.0, 60.0)
    sim.assert_no_double_charge()
    assert charged(sim) == 180.0


# --- minimum balance ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_row_83_sending_pauses_at_the_minimum_balance_and_resumes_after_a_top_up() -> None:
    """1000 credits with a minimum of 500: eight jobs are sent and collected, and the others wait for a top-up.

    Eight, because 520 credits remain then. The balance is read only once: the cost of each job sent since then is
    subtracted.
    """
    async with world(credits=1000.0, session={"min_balance": 500.0}) as (veo, sim):
        jobs = [await veo.submit(prompt) for prompt in prompts(15)]
        pauses: list[str] = []
        listening = asyncio.create_task(_collect_pauses(veo, jobs[-1].key, pauses))
        await asyncio.sleep(20)
        assert veo.statistics().pause_reason == "min-balance"
        assert len(sim.charges) == 8
        assert sim.count("credit") == 1
        await asyncio.sleep(200)
        states = [job.state for job in jobs]
        assert (states.count(JobState.READY), states.count(JobState.QUEUED)) == (8, 7)
        assert veo.statistics().pause_reason == "min-balance"
        sim.account().credits += 10_000
        clock = Clock()
        await jobs[-1].accepted()
        assert clock() <= 600.0
        assert veo.statistics().pause_reason is None
        await veo.drain()
        await listening
        assert pauses == ["min-balance"]
        assert {job.state for job in jobs} == {JobState.READY}


async def _collect_pauses(veo: Any, key: str, reasons: list[str]) -> None:
    reasons.extend([event.reason async for event in veo.job(key).events() if isinstance(event, Paused)])


async def test_balance_reads_back_off_while_it_is_low() -> None:
    """30 s after the first read, which precedes the first job; then 1, 2, 4, 8 and 10 minutes apart."""
    async with world(credits=10.0, session={"min_balance": 50.0}) as (veo, sim):
        await veo.submit("A dog")
        await asyncio.sleep(3600)
        reads = [request.at for request in sim.requests_to("credit")]
        assert [round(read - reads[0]) for read in reads][:6] == [0, 30, 90, 210, 450, 930]
        assert not sim.charges
        veo.stop_sending()


async def test_balance_below_the_minimum_sends_nothing() -> None:
    """The first job waits for the first balance read, however slow it is."""
    async with world(credits=10.0, latency_s=2.0, session={"min_balance": 50.0}) as (veo, sim):
        await veo.submit("A dog")
        await asyncio.sleep(100)
        assert not sim.requests_to()
        veo.stop_sending()


async def test_balance_read_by_the_user_ends_the_pause() -> None:
    """After a top-up, calling `veo.account.balance()` resumes sending immediately."""
    async with world(credits=10.0, session={"min_balance": 50.0}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(100)
        sim.account().credits += 1000
        assert await veo.account.balance() == 1010.0
        clock = Clock()
        await job.accepted()
        assert clock() == 0.0


async def test_unreadable_balance_pauses_nothing() -> None:
    """A failed balance read does not mean that the account is empty."""
    async with world(session={"min_balance": 50.0}, faults=[refuse(500, endpoint="credit")]) as (veo, sim):
        clock = Clock()
        jobs = [await veo.submit(prompt) for prompt in prompts(5)]
        for job in jobs:
            await job.accepted()
        assert clock() < 10.0
        await veo.drain()
        assert sim.count("credit") >= 1


async def test_hanging_balance_read_delays_the_first_job_by_ten_seconds() -> None:
    """It delays no other job."""
    async with world(session={"min_balance": 50.0}, faults=[delay(25.0, endpoint="credit")]) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 10.0
        await (await veo.submit("A cat")).accepted()
        assert clock() == 10.0


async def test_hanging_balance_read_does_not_delay_closing() -> None:
    """The read is free, so it is cancelled; the job that waited for it was not sent."""
    async with world(session={"min_balance": 50.0}, faults=[delay(25.0, endpoint="credit")]) as (veo, sim):
        await veo.submit("A dog")
        await asyncio.sleep(1.0)
        clock = Clock()
    assert clock() == 0.0
    assert not sim.charges


async def test_balance_is_read_every_half_minute_while_sending() -> None:
    """120 jobs are sent in five minutes; the reads are never closer together than `READ_EVERY_S`."""
    rate = (4, 10.0)
    async with world(rate=rate, session={"min_balance": 50.0, "rate": rate}) as (veo, sim):
        clock = Clock()
        await veo.gather(*prompts(120))
        reads = [seen.at for seen in sim.requests_to("credit")]
        assert 5 <= len(reads) <= clock() / READ_EVERY_S + 1
        assert min(later - earlier for earlier, later in pairwise(reads)) >= READ_EVERY_S


async def test_charges_by_other_clients_are_noticed() -> None:
    """The session's estimates do not include them; the next balance read shows them."""
    async with world(credits=10_000.0, rate=(1, 10.0), session={"min_balance": 5000.0, "rate": (1, 10.0)}) as (
        veo,
        sim,
    ):
        jobs = [await veo.submit(prompt) for prompt in prompts(20)]
        await jobs[0].accepted()
        sim.account().credits -= 6000
        await asyncio.sleep(300)
        assert veo.statistics().pause_reason == "min-balance"
        assert 3 <= len(sim.charges) <= 5
        veo.stop_sending()


async def test_rate_limited_requests_are_added_back_to_the_balance() -> None:
    """Requests in flight are subtracted because they may be charged; a 429 undoes that and ends the pause."""
    session = {"min_balance": 900.0}
    async with world(credits=1000.0, latency_s=0.5, faults=[rate_limited(on=1)], session=session) as (veo, sim):
        first, second = [await veo.submit(prompt) for prompt in prompts(2)]
        await asyncio.sleep(0.7)
        assert veo.statistics().pause_reason == "min-balance"
        await asyncio.sleep(0.7)
        assert veo.statistics().pause_reason is None
        await first
        assert second.state is JobState.QUEUED
        assert len(sim.charges) == 1
        veo.stop_sending()


async def test_pause_for_low_balance_is_logged_with_its_figures(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the estimated balance and the minimum."""
    caplog.set_level(logging.WARNING, "veo_async")
    async with world(credits=10.0, session={"min_balance": 50.0}) as (veo, _):
        await veo.submit("A dog")
        await asyncio.sleep(5)
        veo.stop_sending()
    expected = "submission paused (min-balance): about 10 credits left, the next job costs 60; min_balance is 50"
    assert expected in caplog.text


async def test_job_that_would_leave_less_than_the_minimum_is_not_sent() -> None:
    """400 credits with a minimum of 350: a job of 250 waits, and a job of 30 behind it waits, too."""
    async with world(credits=400.0, session={"min_balance": 350.0}) as (veo, sim):
        expensive = await veo.submit("A dog", model="veo3")
        cheap = await veo.submit("A cat", model="veo3_lite")
        await asyncio.sleep(100)
        assert veo.statistics().pause_reason == "min-balance"
        assert (expensive.state, cheap.state) == (JobState.QUEUED, JobState.QUEUED)
        assert not sim.requests_to()
        sim.account().credits += 230.0
        await veo.drain()
        assert sim.account().credits == 350.0


async def test_job_ahead_that_is_abandoned_frees_the_cheaper_one_behind_it() -> None:
    """The pause is about the next job, so another next job ends it without a new balance."""
    async with world(credits=400.0, session={"min_balance": 350.0}) as (veo, sim):
        expensive = await veo.submit("A dog", model="veo3")
        cheap = await veo.submit("A cat", model="veo3_lite")
        await asyncio.sleep(5)
        assert veo.statistics().pause_reason == "min-balance"
        await expensive.abandon()
        clock = Clock()
        await cheap.accepted()
        assert clock() == 0.0
        assert sim.account().credits == 370.0


async def test_cheaper_interactive_job_goes_ahead_of_a_batch_job_that_waits_for_credits() -> None:
    """It is the next job, and it leaves the minimum."""
    async with world(credits=400.0, session={"min_balance": 350.0}) as (veo, sim):
        await veo.submit("A dog", model="veo3")
        await asyncio.sleep(5)
        await veo.generate("A cat", model="veo3_lite", priority="interactive")
        assert sim.account().credits == 370.0
        veo.stop_sending()


@pytest.mark.parametrize("seed", range(5))
async def test_balance_stays_above_the_minimum_for_jobs_of_any_price(seed: int) -> None:
    """Prices from 30 to 370, some jobs that fail and are refunded, 429s and top-ups: the minimum is never broken."""
    random = Random(seed)
    models, faults = ["veo3", "veo3_fast", "veo3_lite"], [rate_limited(on=3), refuse(422, on=5), rate_limited(on=9)]
    minimum, lowest = 500.0, math.inf
    async with world(credits=1500.0, faults=faults, session={"min_balance": minimum}) as (veo, sim):
        for number in range(40):
            suffix = random.choice(["", "", " [fail]"])
            await veo.submit(f"A dog, number {number}{suffix}", model=random.choice(models))
        for _ in range(600):
            await asyncio.sleep(random.uniform(0, 5))
            lowest = min(lowest, sim.account().credits)
            sim.account().credits += random.choice([0.0, 0.0, 0.0, 100.0])
        assert len(sim.charges) > 5
        assert lowest >= minimum
        veo.stop_sending()


# --- credits spent ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_row_83_estimated_and_measured_credits_are_separate() -> None:
    """The provider charges 60 where the table says 50: both figures are reported, and neither corrects the other."""
    prices = {"veo3_fast": {"720p": 50.0}}
    async with world(credits=1000.0, session={"prices": prices}) as (veo, sim):
        spent = veo.statistics().credits
        assert (spent.first_balance, spent.last_balance, spent.measured) == (None, None, None)
        await veo.account.balance()
        await veo.gather(*prompts(3), "A fox [fail]")
        await veo.account.balance()
        spent = veo.statistics().credits
        assert (spent.estimated, spent.jobs_without_price) == (150.0, 0)
        assert (spent.first_balance, spent.last_balance, spent.measured) == (1000.0, 820.0, 180.0)
        assert charged(sim) - 60.0 == spent.measured


@pytest.mark.usefixtures("route")
async def test_row_83_balance_reads_correct_a_price_table_that_is_too_low() -> None:
    """The minimum is enforced by balance reads; the estimates only bridge the time between two of them."""
    prices = {"veo3_fast": {"720p": 1.0}}
    session = {"prices": prices, "min_balance": 5000.0, "rate": (1, 10.0)}
    async with world(credits=6000.0, rate=(1, 10.0), session=session) as (veo, sim):
        for prompt in prompts(60):
            await veo.submit(prompt)
        await asyncio.sleep(1500)
        assert veo.statistics().pause_reason == "min-balance"
        assert sim.account().credits >= 5000.0 - 60.0 * (READ_EVERY_S / 10.0 + 1)
        assert sim.account().credits < 5000.0
        veo.stop_sending()


async def test_jobs_without_a_price_are_counted_separately() -> None:
    """A sum that ignored them silently would be too small."""
    async with world(session={"prices": ONLY_720P}) as (veo, _):
        await veo.generate("A dog")
        await veo.generate("A dog", resolution="4k")
        spent = veo.statistics().credits
        assert (spent.estimated, spent.jobs_without_price) == (60.0, 1)
