"""Row 83 of the fault matrix: prices, a budget, what is to be kept, and what was really spent."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from veo_async import Done, ExtendRequest, InDoubt, Refused, VideoRequest, errors
from veo_async._ports import Ledger
from veo_async._rules.credits.min_balance import READ_EVERY_S
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.events import Paused
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.simulator import (
    MemoryTransport,
    delay,
    drop_after_accepting,
    drop_before_accepting,
    rate_limited,
    refuse,
)

from .support import Clock, let_run, memory, session_on, world
from .test_resume import InlineExecutor, on

pytestmark = pytest.mark.veo_virtual_time


def prompts(n: int) -> list[str]:
    return [f"A dog, number {i}" for i in range(n)]


async def together(works: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What each returns or raises, when all have been begun at once."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.wait(tasks)
    return [task.exception() or task.result() for task in tasks]


def charged(sim: MemoryTransport) -> float:
    return sum(charge.credits for charge in sim.charges)


# --- what it will cost ------------------------------------------------------------------------------------------


async def test_an_estimate_is_of_the_whole_chain() -> None:
    """Nothing is sent for it, and what nobody knows makes the sum unknown."""
    async with world() as (veo, sim):
        assert veo.account.estimate("A dog") == 60.0
        assert veo.account.estimate("A dog", model="veo3", resolution="1080p") == 255.0
        chain = [ExtendRequest(prompt="It sits"), "4k"]
        assert veo.account.estimate(VideoRequest("A dog", model="veo3_lite"), then=chain) == 30.0 + 60.0 + 120.0
        assert veo.account.estimate("A dog", duration=4, then="1080p") is None
        assert not sim.requests_to()


async def test_a_table_of_ones_own_replaces_the_built_in_one() -> None:
    """Wholly: what it does not name is not known."""
    async with world(session={"prices": {"veo3_fast": {"720p": 50.0}}}) as (veo, _):
        assert veo.account.estimate("A dog") == 50.0
        assert veo.account.estimate("A dog", then="1080p") is None


@pytest.mark.parametrize("options", [{"prices": {"veo3": 5.0}}, {"budget": -1.0}, {"min_balance": "much"}])
async def test_nonsense_is_told_when_the_session_is_made(options: dict[str, Any]) -> None:
    """Not in the middle of a night."""
    with pytest.raises(errors.UsageError):
        session_on(memory(), **options)


# --- a budget ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ledger", [None, MemoryLedger])
async def test_row_83_a_budget_holds_under_fifty_at_once(ledger: Any) -> None:
    """Five fit. The others are refused before anything of them is queued or sent, and are told why."""
    async with world(session={"budget": 300.0, "ledger": ledger and ledger()}) as (veo, sim):
        told = await together(veo.submit(prompt) for prompt in prompts(50))
        refusals = [each for each in told if isinstance(each, errors.BudgetExceeded)]
        assert len(refusals) == 45
        assert {(each.cost, each.reserved, each.budget) for each in refusals} == {(60.0, 300.0, 300.0)}
        assert "costs 60 credits, but 300 credits of a budget of 300 are reserved" in str(refusals[0])
        assert len(veo.jobs()) == 5
        await veo.drain()
        assert charged(sim) == 300.0
        with pytest.raises(errors.BudgetExceeded):
            await veo.generate("One more")


async def test_row_83_map_gives_what_does_not_fit_as_a_value() -> None:
    """And goes on: what costs less may fit still."""
    wanted = [VideoRequest("A dog"), VideoRequest("A cat", model="veo3"), VideoRequest("A fox", model="veo3_lite")]
    async with world(session={"budget": 100.0}) as (veo, sim):
        dog, cat, fox = [outcome async for outcome in veo.map(wanted, ordered=True)]
        assert isinstance(dog, Done)
        assert isinstance(cat, Refused)
        assert isinstance(cat.error, errors.BudgetExceeded)
        assert isinstance(fox, Done)
        assert charged(sim) == 90.0


async def test_a_chain_reserves_all_its_steps_at_once() -> None:
    """A clip without the steps it was wanted for would be paid for in vain."""
    async with world(session={"budget": 180.0}) as (veo, sim):
        with pytest.raises(errors.BudgetExceeded, match="costs 185 credits"):
            await veo.submit("A dog", then=["1080p", "4k"])
        assert veo.jobs() == []
        job = await veo.submit("A dog", then="4k")
        with pytest.raises(errors.BudgetExceeded):
            await veo.submit("A cat", model="veo3_lite")
        assert (await job).urls
        assert charged(sim) == 180.0


async def test_what_ends_without_a_charge_gives_its_reservation_back() -> None:
    """A refusal by the provider, a task that failed, and the steps that would have followed it."""
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


async def test_an_abandoned_job_gives_back_only_what_was_never_sent() -> None:
    """What runs at the provider is paid, watched or not."""
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


async def test_a_job_in_doubt_stays_reserved() -> None:
    """It may be paid. Another request for it is reserved beside the first, and refused where that does not fit."""
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


async def test_a_policy_that_resubmits_stays_within_the_budget() -> None:
    """Where there is nothing left for another request, the doubt is held, and who waits is told."""
    session = {"budget": 60.0, "on_doubt": "resubmit"}
    async with world(session=session, faults=[drop_before_accepting(on=1)]) as (veo, sim):
        assert isinstance(await (await veo.submit("A dog")).finished(), InDoubt)
        assert len(sim.requests_to()) == 1


async def test_a_doubt_that_finds_its_task_counts_as_accepted() -> None:
    """Reserved once, estimated once."""
    async with world(session={"budget": 60.0}, faults=[drop_after_accepting(on=1)]) as (veo, sim):
        job = await veo.submit("A dog")
        await job.finished()
        assert veo.statistics().credits.estimated == 0.0
        await job.resolve(sim.charges[0].task_id)
        await job
        spent = veo.statistics().credits
        assert (spent.reserved, spent.estimated) == (60.0, 60.0)


async def test_attaching_costs_nothing() -> None:
    """The same request again, at once or later, with others or alone; and a task that was made elsewhere."""
    async with world(session={"budget": 60.0}) as (veo, sim):
        jobs = await together(veo.submit("A dog", key="dog") for _ in range(10))
        assert len({job.key for job in jobs}) == 1
        await veo.generate("A dog", key="dog")
        with pytest.raises(errors.KeyReused):
            await veo.submit("A cat", key="dog")
        made = await veo.api.generate("A fox")
        await (await veo.ledger.adopt(made.task_id))
        assert veo.statistics().credits.reserved == 60.0
        assert charged(sim) == 120.0


async def test_what_nobody_knows_is_refused_where_there_is_a_budget() -> None:
    """A bound that the unknown slips under would be none; a table that knows it helps."""
    async with world(session={"budget": 1000.0}) as (veo, _):
        with pytest.raises(errors.BudgetExceeded, match=r"the price of this request is unknown.*prices="):
            await veo.submit("A dog", duration=4)
    async with world(session={"budget": 1000.0, "prices": {"veo3_fast": {"720p 4s": 60.0}}}) as (veo, _):
        await veo.generate("A dog", duration=4)


async def test_a_submit_that_is_cancelled_leaves_no_reservation_without_a_job() -> None:
    """Cancelled while its chain is being written down: what was written stays reserved, the rest comes back."""
    for turns in range(12):
        async with world(session={"budget": 1000.0, "ledger": MemoryLedger()}) as (veo, _):
            submitting = asyncio.create_task(veo.submit("A dog", key="dog", then=["1080p", "4k"]))
            await let_run(turns)
            submitting.cancel()
            await asyncio.wait([submitting])
            await let_run(40)
            costs = {"dog": 60.0, "dog.1080p": 5.0, "dog.1080p.4k": 120.0}
            assert veo.statistics().credits.reserved == sum(costs[job.key] for job in veo.jobs())


@pytest.fixture(params=["memory", "disk"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "veo.db", executor=InlineExecutor())


@pytest.mark.parametrize("budget", [100.0, None])
async def test_over_a_restart_what_was_paid_costs_nothing_and_what_waits_counts(
    ledger: Ledger, budget: float | None
) -> None:
    """Two are paid, one still waits: the next session has room for what its budget leaves beside that one."""
    sim = memory()
    async with on(sim, ledger, budget=180.0, max_in_flight=2) as veo:
        jobs = [await veo.submit(prompt) for prompt in prompts(3)]
        await jobs[1].accepted()
        with pytest.raises(errors.BudgetExceeded):
            await veo.submit("A cat")
    async with on(sim, ledger, budget=budget) as veo:
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


# --- what is to be kept -------------------------------------------------------------------------------------------


async def test_row_83_creation_pauses_before_the_mark_and_goes_on_after_a_top_up() -> None:
    """1000 credits of which 500 are kept: nine jobs leave, they are collected, and the rest waits for a top-up.

    Nine, because the eighth leaves 520, and what the ninth would cost is not asked before. No reading was needed for
    that but the first: what left since is subtracted.
    """
    async with world(credits=1000.0, session={"min_balance": 500.0}) as (veo, sim):
        jobs = [await veo.submit(prompt) for prompt in prompts(15)]
        told: list[str] = []
        listening = asyncio.create_task(_pauses_of(veo, jobs[-1].key, told))
        await asyncio.sleep(20)
        assert veo.statistics().pause_reason == "min-balance"
        assert len(sim.charges) == 9
        assert sim.count("credit") == 1
        await asyncio.sleep(200)
        states = [job.state for job in jobs]
        assert (states.count(JobState.READY), states.count(JobState.QUEUED)) == (9, 6)
        assert veo.statistics().pause_reason == "min-balance"
        sim.account().credits += 10_000
        clock = Clock()
        await jobs[-1].accepted()
        assert clock() <= 600.0
        assert veo.statistics().pause_reason is None
        await veo.drain()
        await listening
        assert told == ["min-balance"]
        assert {job.state for job in jobs} == {JobState.READY}


async def _pauses_of(veo: Any, key: str, told: list[str]) -> None:
    told.extend([event.reason async for event in veo.job(key).events() if isinstance(event, Paused)])


async def test_looks_at_the_balance_while_low_come_ever_later() -> None:
    """30 s after the first, which was for the first job; then a minute, two, four, eight, ten apart."""
    async with world(credits=10.0, session={"min_balance": 50.0}) as (veo, sim):
        await veo.submit("A dog")
        await asyncio.sleep(3600)
        looks = [seen.at for seen in sim.requests_to("credit")]
        assert [round(later - looks[0]) for later in looks][:6] == [0, 30, 90, 210, 450, 930]
        assert not sim.charges
        veo.stop_sending()


async def test_a_balance_below_the_mark_lets_nothing_leave_at_all() -> None:
    """The first job waits for the first look, however slow that is."""
    async with world(credits=10.0, latency_s=2.0, session={"min_balance": 50.0}) as (veo, sim):
        await veo.submit("A dog")
        await asyncio.sleep(100)
        assert not sim.requests_to()
        veo.stop_sending()


async def test_the_users_own_look_ends_the_pause_too() -> None:
    """Who has just topped up and asks sees the session go on at once."""
    async with world(credits=10.0, session={"min_balance": 50.0}) as (veo, sim):
        job = await veo.submit("A dog")
        await asyncio.sleep(100)
        sim.account().credits += 1000
        assert await veo.account.balance() == 1010.0
        clock = Clock()
        await job.accepted()
        assert clock() == 0.0


async def test_a_balance_that_cannot_be_read_stops_nothing() -> None:
    """A fault of the look is no sign of an empty account."""
    async with world(session={"min_balance": 50.0}, faults=[refuse(500, endpoint="credit")]) as (veo, sim):
        clock = Clock()
        jobs = [await veo.submit(prompt) for prompt in prompts(5)]
        for job in jobs:
            await job.accepted()
        assert clock() < 10.0
        await veo.drain()
        assert sim.count("credit") >= 1


async def test_a_look_that_hangs_holds_the_first_job_up_for_ten_seconds() -> None:
    """And no other."""
    async with world(session={"min_balance": 50.0}, faults=[delay(25.0, endpoint="credit")]) as (veo, _):
        clock = Clock()
        await (await veo.submit("A dog")).accepted()
        assert clock() == 10.0
        await (await veo.submit("A cat")).accepted()
        assert clock() == 10.0


async def test_a_look_that_hangs_does_not_keep_the_session_open() -> None:
    """It costs nothing, so it is cut off; the job that waited for it was not sent."""
    async with world(session={"min_balance": 50.0}, faults=[delay(25.0, endpoint="credit")]) as (veo, sim):
        await veo.submit("A dog")
        await asyncio.sleep(1.0)
        clock = Clock()
    assert clock() == 0.0
    assert not sim.charges


async def test_while_sending_the_balance_is_read_every_half_minute() -> None:
    """600 jobs leave in five minutes; the looks are as far apart as they must be, and fewer than that at most."""
    async with world(session={"min_balance": 50.0}) as (veo, sim):
        clock = Clock()
        await veo.gather(*prompts(600))
        looks = [seen.at for seen in sim.requests_to("credit")]
        assert 5 <= len(looks) <= clock() / READ_EVERY_S + 1
        assert min(later - earlier for earlier, later in pairwise(looks)) >= READ_EVERY_S


async def test_others_who_spend_from_the_account_are_seen() -> None:
    """Their charges are in no estimate of ours; the next look shows them."""
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


async def test_refusals_under_way_end_a_pause_that_they_had_begun() -> None:
    """Subtracted while they might have been paid, they are not when a 429 has come back for them."""
    session = {"min_balance": 900.0}
    async with world(credits=1000.0, latency_s=0.5, faults=[rate_limited(on=1)], session=session) as (veo, sim):
        await veo.gather(*prompts(2))
        assert len(sim.charges) == 2


async def test_a_pause_for_want_of_credit_is_logged_with_its_figures(caplog: pytest.LogCaptureFixture) -> None:
    """What there is believed to be, and what is to be kept."""
    caplog.set_level(logging.WARNING, "veo_async")
    async with world(credits=10.0, session={"min_balance": 50.0}) as (veo, _):
        await veo.submit("A dog")
        await asyncio.sleep(5)
        veo.stop_sending()
    assert "submission paused (min-balance): about 10 credits left; min_balance is 50" in caplog.text


# --- what was really spent ----------------------------------------------------------------------------------------


async def test_row_83_estimates_and_the_balance_are_told_apart() -> None:
    """The provider takes 60 where the table says 50: both figures are there, and neither mends the other."""
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


async def test_row_83_a_table_that_is_too_low_is_put_right_by_the_looks() -> None:
    """The mark is kept by what is read: the estimates only bridge the time between two looks."""
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


async def test_jobs_without_a_price_are_counted_beside_the_sum() -> None:
    """A sum that passed them over in silence would be too small."""
    async with world() as (veo, _):
        await veo.generate("A dog")
        await veo.generate("A dog", duration=4)
        spent = veo.statistics().credits
        assert (spent.estimated, spent.jobs_without_price) == (60.0, 1)
