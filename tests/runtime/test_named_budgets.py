"""`Budget`: sessions that use one name on a ledger spend one budget together, across restarts."""

import asyncio
from typing import Any

import pytest

from veo_async import Done, InDoubt, Refused, VideoRequest, errors
from veo_async._ports import Ledger
from veo_async._rules.lifecycle import JobState
from veo_async.ledger import MemoryLedger
from veo_async.repair import LedgerRepair
from veo_async.settings import Budget
from veo_async.simulator import MemoryTransport, drop_after_accepting, refuse
from veo_async.types import BudgetUse

from .ledgers import session_with_ledger
from .support import memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time


def charged(sim: MemoryTransport) -> float:
    return sum(charge.credits for charge in sim.charges)


async def submitted(veo: Any, *prompts: str) -> int:
    """Submit *prompts* and return how many fitted the budget."""
    count = 0
    for prompt in prompts:
        try:
            await veo.submit(prompt)
            count += 1
        except errors.BudgetExceeded:
            pass
    return count


async def test_later_session_has_what_the_earlier_one_left(ledger: Ledger) -> None:
    """Spent, running and queued jobs of the earlier session count. A larger budget of the same name continues."""
    sim = memory()
    async with session_with_ledger(sim, ledger, budget=Budget(180.0, name="shoot"), max_in_flight=1) as veo:
        await veo.generate("A dog")
        assert await submitted(veo, "A cat", "A fox", "A hen") == 2
        assert await veo.account.budget_use() == BudgetUse(spent=60.0, reserved=120.0)
    async with session_with_ledger(sim, ledger, budget=Budget(180.0, name="shoot")) as veo:
        with pytest.raises(errors.BudgetExceeded, match="budget of 180 credits 60 are spent, 120 reserved and 0 left"):
            await veo.submit("A hen")
        await veo.drain()
        assert await veo.account.budget_use() == BudgetUse(spent=180.0)
    async with session_with_ledger(sim, ledger, budget=Budget(240.0, name="shoot")) as veo:
        assert await submitted(veo, "A dog", "A hen", "An owl") == 2
        await veo.drain()
    assert charged(sim) == 240.0


async def test_sessions_at_the_same_time_share_it_and_another_name_is_apart(ledger: Ledger) -> None:
    """Together they admit what fits, and the other budget is not touched."""
    sim = memory()
    one, two = (session_on(sim, ledger=ledger, budget=Budget(120.0, name="shoot")) for _ in range(2))
    other = session_on(sim, ledger=ledger, budget=Budget(60.0, name="trailer"))
    async with one, two, other:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(submitted(veo, f"{n} A", f"{n} B")) for n, veo in enumerate((one, two))]
        assert sum(task.result() for task in tasks) == 2
        assert await submitted(other, "G", "H") == 1


async def test_unlimited_budget_counts_for_a_later_limited_one(ledger: Ledger) -> None:
    """A name without a limit records what is spent."""
    sim = memory()
    prices = {"veo3_fast": {"720p": 60.0}}
    async with session_with_ledger(sim, ledger, budget=Budget(None, name="shoot"), prices=prices) as veo:
        await veo.generate("A dog")
        assert (await veo.submit("A large dog", resolution="4k")).credits is None
    async with session_with_ledger(sim, ledger, budget=Budget(100.0, name="shoot")) as veo:
        assert await submitted(veo, "A cat") == 0


async def test_queued_job_without_a_budget_joins_that_of_the_session_that_sends_it(ledger: Ledger) -> None:
    """It is sent anyway, leaves less for others, and counts from then on."""
    sim = memory()
    async with session_with_ledger(sim, ledger, max_in_flight=1) as veo:
        running, _ = await veo.submit("A dog"), await veo.submit("A cat")
        await running.accepted()
    for _ in range(2):
        async with session_with_ledger(sim, ledger, budget=Budget(100.0, name="shoot")) as veo:
            assert await submitted(veo, "A fox") == 0
            await veo.drain()
            assert await veo.account.budget_use() == BudgetUse(spent=60.0)
    assert charged(sim) == 120.0


async def test_refused_and_failed_jobs_give_their_credits_back(ledger: Ledger) -> None:
    """The next job fits."""
    sim = memory(faults=[refuse(422, on=1)])
    async with session_with_ledger(sim, ledger, budget=Budget(60.0, name="shoot")) as veo:
        assert isinstance(await (await veo.submit("A dog")).finished(), Refused)
        failed = await veo.submit("A dog [fail]")
        await failed.finished()
        assert failed.credits == 0.0
        assert isinstance(await (await veo.submit("A cat")).finished(), Done)
        assert await veo.account.budget_use() == BudgetUse(spent=60.0)


async def test_chain_that_does_not_fit_leaves_no_row_on_the_ledger(ledger: Ledger) -> None:
    """Neither the clip nor its upgrade is stored; a chain that fits is admitted and runs."""
    sim = memory()
    async with session_with_ledger(sim, ledger, budget=Budget(180.0, name="shoot")) as veo:
        with pytest.raises(errors.BudgetExceeded, match="costs 185 credits"):
            await veo.submit("A dog", key="dog", then=["1080p", "4k"])
        assert await veo.ledger.find("dog") is None
        job = await veo.submit("A dog", key="dog", then="4k")
        assert [known.key for known in veo.jobs()] == ["dog", "dog.4k"]
        assert (await job).urls
        assert await veo.account.budget_use() == BudgetUse(spent=180.0)


async def test_chain_with_a_used_key_or_without_a_place_leaves_no_row_on_the_ledger(ledger: Ledger) -> None:
    """Its follow-up is not stored before the clip is admitted."""
    sim = memory()
    options = {"budget": Budget(1000.0, name="shoot"), "max_in_flight": 1, "max_queued": 1}
    async with session_with_ledger(sim, ledger, **options) as veo:
        await (await veo.submit("A dog", key="dog")).accepted()
        with pytest.raises(errors.KeyReused):
            await veo.submit("A cat", key="dog", then="4k")
        await veo.submit("A fox")
        with pytest.raises(errors.QueueFull):
            await veo.submit("A hen", key="hen", then="4k")
        assert [await veo.ledger.find(key) for key in ("dog.4k", "hen", "hen.4k")] == [None] * 3
        assert await veo.account.budget_use() == BudgetUse(reserved=120.0)


async def test_upgrade_of_a_finished_clip_counts(ledger: Ledger) -> None:
    """It is another job under the same name."""
    sim = memory()
    async with session_with_ledger(sim, ledger, budget=Budget(65.0, name="shoot")) as veo:
        await veo.generate("A dog", key="dog")
        with pytest.raises(errors.BudgetExceeded):
            await veo.submit("A dog", key="dog", then="4k")
        assert (await (await veo.submit("A dog", key="dog", then="1080p"))).urls
        assert charged(sim) == 65.0


async def test_resubmission_counts_a_second_time_and_is_rejected_if_it_does_not_fit(ledger: Ledger) -> None:
    """The job stays in doubt, and a session with a larger budget may resubmit it."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with session_with_ledger(sim, ledger, budget=Budget(100.0, name="shoot")) as veo:
        job = await veo.submit("A dog", key="dog")
        assert isinstance(await job.finished(), InDoubt)
        with pytest.raises(errors.BudgetExceeded):
            await job.resubmit()
        assert job.state is JobState.IN_DOUBT
        assert await veo.account.budget_use() == BudgetUse(reserved=60.0)
    async with session_with_ledger(sim, ledger, budget=Budget(120.0, name="shoot")) as veo:
        job = await veo.attach("dog")
        await job.resubmit()
        await job
        assert job.credits == 120.0
        assert await veo.account.budget_use() == BudgetUse(spent=120.0)
    assert charged(sim) == 120.0


async def test_resubmission_of_a_job_without_a_budget_must_fit_that_of_the_session(ledger: Ledger) -> None:
    """It joins the budget with both of its requests."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with session_with_ledger(sim, ledger) as veo:
        await (await veo.submit("A dog", key="dog")).finished()
    async with session_with_ledger(sim, ledger, budget=Budget(100.0, name="shoot")) as veo:
        job = await veo.attach("dog")
        with pytest.raises(errors.BudgetExceeded):
            await job.resubmit()
        assert await veo.account.budget_use() == BudgetUse()
    async with session_with_ledger(sim, ledger, budget=Budget(120.0, name="shoot")) as veo:
        job = await veo.attach("dog")
        await job.resubmit()
        await job
        assert await veo.account.budget_use() == BudgetUse(spent=120.0)


async def test_resubmission_by_hand_counts_and_is_not_limited(ledger: Ledger) -> None:
    """`veo-async ledger resubmit` is an explicit decision; what it costs is missing in the budget afterwards."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with session_with_ledger(sim, ledger, budget=Budget(60.0, name="shoot")) as veo:
        await (await veo.submit("A dog", key="dog")).finished()
    by_hand = await ledger.open(None)
    assert (await LedgerRepair(by_hand, None, lambda: 1.75e9).resubmit("dog")).state is JobState.QUEUED
    assert await by_hand.budget_use("shoot") == BudgetUse(reserved=120.0)
    await by_hand.close()


async def test_abandoned_job_in_doubt_stays_spent(ledger: Ledger) -> None:
    """It may have been charged, also if the session died before the response."""
    sim = memory(faults=[drop_after_accepting(on=1)])
    async with session_with_ledger(sim, ledger, budget=Budget(60.0, name="shoot")) as veo:
        job = await veo.submit("A dog")
        await job.finished()
        await job.abandon()
        assert await veo.account.budget_use() == BudgetUse(spent=60.0)
        assert await submitted(veo, "A cat") == 0


async def test_session_without_a_ledger_has_the_budget_to_itself() -> None:
    """The error and the figures are those of a plain budget."""
    async with world(session={"budget": Budget(100.0, name="shoot")}) as (veo, sim):
        await veo.submit("A dog")
        with pytest.raises(errors.BudgetExceeded, match="60 credits of a budget of 100 are reserved"):
            await veo.submit("A cat")
        assert await veo.account.budget_use() == BudgetUse(reserved=60.0)
        await veo.drain()
        assert charged(sim) == 60.0


async def test_map_yields_jobs_over_a_named_budget_as_refused() -> None:
    """A cheaper request may still fit."""
    requests = [VideoRequest("A dog"), VideoRequest("A cat", model="veo3"), VideoRequest("A fox", model="veo3_lite")]
    session = {"budget": Budget(100.0, name="shoot"), "ledger": MemoryLedger()}
    async with world(session=session) as (veo, sim):
        dog, cat, fox = [outcome async for outcome in veo.map(requests, ordered=True)]
        assert isinstance(dog, Done)
        assert isinstance(cat, Refused)
        assert isinstance(cat.error, errors.BudgetExceeded)
        assert isinstance(fox, Done)
        assert charged(sim) == 90.0


async def test_cancelled_submit_of_a_chain_leaves_the_whole_chain_or_nothing() -> None:
    """Whatever the moment, no row is left that is never sent."""
    sim = memory()
    for turns in range(12):
        async with session_with_ledger(sim, MemoryLedger(), budget=Budget(1000.0, name="shoot")) as veo:
            submitting = asyncio.create_task(veo.submit("A dog", key="dog", then=["1080p", "4k"]))
            for _ in range(turns):
                await asyncio.sleep(0)
            submitting.cancel()
            await asyncio.wait([submitting])
            for _ in range(40):
                await asyncio.sleep(0)
            keys = [job.key for job in veo.jobs()]
            assert keys in ([], ["dog", "dog.1080p", "dog.1080p.4k"])
            use = await veo.account.budget_use()
            assert use.spent + use.reserved == (185.0 if keys else 0.0)


@pytest.mark.parametrize("arguments", [{"credits": -1.0}, {"credits": "much"}, {"credits": 1.0, "name": ""}])
def test_wrong_budget_is_rejected_when_it_is_made(arguments: dict[str, Any]) -> None:
    """The error names the argument."""
    with pytest.raises(errors.UsageError, match=r"credits=|name="):
        Budget(**{"name": "shoot", **arguments})
