"""Which account a new job goes to: the rules, and accounts that cannot send."""

import asyncio
from collections import Counter

import pytest

from veo_async import Done, Refused, VideoRequest, errors
from veo_async._ports import Ledger
from veo_async.accounts import Submission
from veo_async.ledger import MemoryLedger

from .accounts import KEYS, charged, opened, provider
from .support import now, run_together

pytestmark = pytest.mark.veo_virtual_time

# --- which account ----------------------------------------------------------------------------------------------


async def test_accounts_take_turns_by_default(ledger: Ledger) -> None:
    """Each pays for half of the clips."""
    sim = provider()
    async with opened(sim, ledger) as veo:
        outcomes = await veo.gather(*[f"Dog {n}" for n in range(10)])
    assert {type(outcome) for outcome in outcomes} == {Done}
    assert Counter(charged(sim).values()) == {"a": 5, "b": 5}


async def test_each_account_has_its_own_rate_limit() -> None:
    """Two accounts send twice as fast as one, and neither sends more than its own limit allows."""
    sim = provider(rate=(20, 10.0))
    async with opened(sim, rate=(20, 10.0)) as veo:
        began = now()
        outcomes = [outcome async for outcome in veo.map(f"Dog {n}" for n in range(160))]
        assert now() - began < 100.0  # one account needs 70 s to send them, two need 30 s; a clip takes 60 s
    assert [type(outcome) for outcome in outcomes] == [Done] * 160
    assert sim.count("generate") == len(sim.charges)  # no 429
    for name in KEYS:
        at = [charge.at for charge in sim.charges if charge.account == name]
        assert len(at) == 80
        assert all(later - at[n] >= 10.0 for n, later in enumerate(at[20:]))


async def test_function_decides_with_the_request_and_its_options() -> None:
    """It may be plain or async."""
    seen: list[Submission] = []

    async def rule(submission: Submission) -> str:
        await asyncio.sleep(0.1)
        seen.append(submission)
        return "b" if submission.options.get("model") == "veo3" else "a"

    sim = provider()
    async with opened(sim, rule=rule) as veo:
        await veo.generate("A dog", model="veo3", key="dog", tenant="anna", metadata=7)
        await veo.generate(VideoRequest("A cat"))
        assert seen[1].key == await veo.sessions["a"].ledger.key_of(VideoRequest("A cat"))
    assert charged(sim) == {"A dog": "b", "A cat": "a"}
    [dog, _] = seen
    assert (dog.request, dog.key, dog.tenant, dog.options["metadata"]) == ("A dog", "dog", "anna", 7)
    assert dog.accounts == ["a", "b"]


async def test_function_that_names_no_account_is_an_error_before_anything_is_sent() -> None:
    """The error lists the accounts; in `map` only that request is refused."""
    sim = provider()
    async with opened(sim, rule=lambda submission: "c" if "cat" in str(submission.request) else "a") as veo:
        with pytest.raises(errors.UsageError, match=r"the result of rule='c': must be one of 'a', 'b'"):
            await veo.submit("A cat")
        cat, dog = await veo.gather("A cat", "A dog")
        assert isinstance(cat, Refused)
        assert isinstance(cat.error, errors.UsageError)
        assert isinstance(dog, Done)
    assert charged(sim) == {"A dog": "a"}


async def test_tenants_are_assigned_to_accounts() -> None:
    """The account of a tenant pays even while it sends nothing: another account must not pay."""
    sim = provider()
    async with opened(sim, rule={"anna": "a", "bert": "b"}) as veo:
        sim.account("a").credits = 0
        waiting = await veo.submit("First of Anna", tenant="anna")
        await asyncio.sleep(10.0)
        again = await veo.submit("Second of Anna", tenant="anna")
        await veo.generate("A dog of Bert", tenant="bert")
        assert charged(sim) == {"A dog of Bert": "b"}
        with pytest.raises(errors.UsageError, match="no account is assigned to the tenant ''"):
            await veo.submit("A dog without a tenant")
        sim.account("a").credits = 1000
        assert (await waiting).urls
        assert (await again).urls
    assert charged(sim)["Second of Anna"] == "a"


async def test_each_tenant_gets_one_account_by_its_name() -> None:
    """All its jobs go there, in every process; the tenants are spread over the accounts."""
    sim, ledger = provider(), MemoryLedger()
    for run in range(2):
        async with opened(sim, ledger, rule="tenant") as veo:
            await run_together(veo.generate(f"Dog {n} {run}", tenant=f"tenant-{n}") for n in range(20))
    paid = charged(sim)
    assert all(paid[f"Dog {n} 0"] == paid[f"Dog {n} 1"] for n in range(20))
    assert set(paid.values()) == {"a", "b"}


async def test_account_with_the_most_credits_is_chosen_and_balances_are_read_once_a_minute() -> None:
    """What was submitted since the balance was read counts, by the price table."""
    sim = provider()
    sim.account("a").credits, sim.account("b").credits = 1000.0, 700.0
    async with opened(sim, rule="balance") as veo:
        price = veo.sessions["a"].account.estimate("A dog")
        assert price == 60.0
        outcomes = await veo.gather(*[f"Dog {n}" for n in range(15)])
        assert {type(outcome) for outcome in outcomes} == {Done}
        assert Counter(charged(sim).values()) == {"a": 10, "b": 5}
        assert sim.count("credit") == 2
        sim.account("b").credits = 5000.0
        await asyncio.sleep(60.0)
        await veo.generate("A cat")
        assert charged(sim)["A cat"] == "b"
        assert sim.count("credit") == 4


async def test_account_whose_balance_cannot_be_read_is_chosen_last(caplog: pytest.LogCaptureFixture) -> None:
    """The rule does not fail with it."""
    sim = provider()
    async with opened(sim, rule="balance") as veo:
        sim.revoke_key(KEYS["a"])
        await veo.generate("A dog")
    assert charged(sim) == {"A dog": "b"}
    assert "the balance of the account 'a' cannot be read" in caplog.text


# --- an account that cannot send --------------------------------------------------------------------------------


async def test_account_without_credits_gets_no_new_jobs_and_keeps_its_own(ledger: Ledger) -> None:
    """Its unsent jobs wait for a top-up; new ones go to the other account."""
    sim = provider()
    sim.account("b").credits = 0
    async with opened(sim, ledger) as veo:
        first = [await veo.submit(f"Dog {n}") for n in range(6)]
        await asyncio.sleep(10.0)
        assert veo.statistics()["b"].pause_reason == "insufficient-credits"
        waiting = [job for job in first if await veo.session_of(job.key) is veo.sessions["b"]]
        assert waiting
        for n in range(6):
            await veo.generate(f"Cat {n}")
        assert Counter(charged(sim).values()) == {"a": 12 - len(waiting)}
        sim.account("b").credits = 1000
        assert all([(await job).urls for job in first])
    assert Counter(charged(sim).values()) == {"a": 12 - len(waiting), "b": len(waiting)}


async def test_account_whose_key_is_refused_gets_no_new_jobs() -> None:
    """The other one continues; a job that ran before still belongs to the first."""
    sim = provider()
    async with opened(sim) as veo:
        running = [await veo.submit(f"Dog {n}") for n in range(2)]
        for job in running:
            await job.accepted()
        sim.revoke_key(KEYS["b"])
        refused = await veo.gather("Cat 0", "Cat 1")
        assert [type(outcome) for outcome in refused].count(Refused) == 1
        for n in range(4):
            await veo.generate(f"Bird {n}")
    paid = charged(sim)
    assert {paid[f"Bird {n}"] for n in range(4)} == {"a"}


async def test_job_waits_if_no_account_can_send() -> None:
    """The rule chooses among all of them then."""
    sim = provider()
    sim.account("a").credits = sim.account("b").credits = 0
    async with opened(sim) as veo:
        for n in range(2):
            await veo.submit(f"Dog {n}")
        await asyncio.sleep(10.0)
        job = await veo.submit("A cat")
        sim.account("a").credits = sim.account("b").credits = 1000
        assert (await job).urls
