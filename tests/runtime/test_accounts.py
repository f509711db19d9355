"""Several accounts on one ledger: which one a job goes to, and that it stays there."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from veo_async import Done, ExtendRequest, InDoubt, Refused, VeoSession, VideoRequest, errors
from veo_async._ports import Ledger
from veo_async.accounts import Accounts, Submission
from veo_async.ledger import MemoryLedger
from veo_async.settings import Budget
from veo_async.simulator import MemoryTransport, delay, drop_after_accepting

from .ledgers import session_with_ledger
from .support import VirtualSession, memory, now, run_together
from .test_images import PNG

pytestmark = pytest.mark.veo_virtual_time

KEYS = {"a": "sim-key-of-account-a", "b": "sim-key-of-account-b"}


def provider(**options: Any) -> MemoryTransport:
    """Return a provider with two accounts."""
    return memory(api_keys={key: name for name, key in KEYS.items()}, **options)


def sessions_on(sim: MemoryTransport, ledger: Any, **options: Any) -> dict[str, VeoSession]:
    kind = {"kind": VirtualSession, **options}
    return {name: session_with_ledger(sim, ledger, api_key=key, **kind) for name, key in KEYS.items()}


@asynccontextmanager
async def opened(
    sim: MemoryTransport, ledger: Any = None, *, rule: Any = "round-robin", **options: Any
) -> AsyncIterator[Accounts]:
    """Open both accounts; finally check that no request was charged twice, not even on two accounts."""
    async with Accounts(sessions_on(sim, ledger or MemoryLedger(), **options), rule=rule) as veo:
        yield veo
    sim.assert_no_double_charge(lambda charge: charge.body.get("prompt", charge.task_id))


def charged(sim: MemoryTransport) -> dict[str, str]:
    """Return the account that paid for each prompt."""
    return {charge.body["prompt"]: charge.account for charge in sim.charges}


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


# --- a job stays on its account ---------------------------------------------------------------------------------


async def test_rerun_with_another_rule_keeps_each_job_on_its_account(ledger: Ledger) -> None:
    """Whether it was sent by then or not, and whether it has a key or not."""
    sim = provider(rate=(2, 10.0))
    prompts = [f"Dog {n}" for n in range(12)]
    async with opened(sim, ledger, rate=(2, 10.0)) as veo:
        jobs = [await veo.submit(prompt) for prompt in prompts]
        named = [await veo.submit(f"Cat {n}", key=f"cat-{n}") for n in range(4)]
        await jobs[0].accepted()
        owners = {job.key: name for job in (*jobs, *named) for name in KEYS if await in_session(veo, name, job.key)}
    assert 0 < len(sim.charges) < 16
    assert Counter(owners.values()) == {"a": 8, "b": 8}
    async with opened(sim, ledger, rule=lambda submission: "b", rate=(2, 10.0)) as veo:
        for n in range(4):
            await veo.submit(f"Cat {n}", key=f"cat-{n}")
        assert {type(outcome) async for outcome in veo.map(prompts)} == {Done}
        assert [(await (await veo.submit(f"Cat {n}", key=f"cat-{n}"))).key for n in range(4)]
    assert len(sim.charges) == 16
    assert Counter(charged(sim).values()) == {"a": 8, "b": 8}


async def in_session(veo: Accounts, name: str, key: str) -> bool:
    return await veo.session_of(key) is veo.sessions[name]


async def test_same_request_twice_at_the_same_moment_is_one_job(ledger: Ledger) -> None:
    """The rule is asked twice and chooses both accounts; the ledger takes one."""
    sim = provider()
    async with opened(sim, ledger) as veo:
        first, second = await run_together(veo.generate("A dog") for _ in range(2))
        assert first.task_id == second.task_id
        outcomes = await veo.gather("A cat", "A cat")
        assert {type(outcome) for outcome in outcomes} == {Done}
    assert len(sim.charges) == 2


async def test_two_processes_with_different_rules_agree_on_each_job() -> None:
    """Each of them gets every clip."""
    sim, ledger = provider(), MemoryLedger()
    prompts = [f"Dog {n}" for n in range(20)]
    async with (
        opened(sim, ledger, rule=lambda submission: "a") as one,
        opened(sim, ledger, rule=lambda submission: "b") as other,
    ):
        for outcomes in await run_together(veo.gather(*prompts) for veo in (one, other)):
            assert {type(outcome) for outcome in outcomes} == {Done}
    assert len(sim.charges) == 20


async def test_key_with_another_request_is_refused_on_the_account_that_has_it() -> None:
    """As with one account."""
    sim = provider()
    async with opened(sim) as veo:
        await veo.generate("A dog", key="pet")
        with pytest.raises(errors.KeyReused, match="already used for a different request"):
            await veo.submit("A cat", key="pet")


async def test_finished_job_is_found_although_the_other_account_has_no_budget() -> None:
    """The key is looked up before the rule and its budget are asked."""
    sim, ledger = provider(), MemoryLedger()
    async with opened(sim, ledger, rule=lambda submission: "a") as veo:
        await veo.generate("A dog")
    async with opened(sim, ledger, rule=lambda submission: "b", budget=10.0) as veo:
        assert (await veo.generate("A dog")).urls
        [outcome] = await veo.gather("A dog")
        assert isinstance(outcome, Done)
        with pytest.raises(errors.BudgetExceeded):
            await veo.generate("A cat")
    assert len(sim.charges) == 1


async def test_job_in_doubt_stays_in_doubt_under_another_rule() -> None:
    """The lost response may have been paid by the first account, so the second must not send the request again."""
    sim, ledger = provider(faults=[drop_after_accepting(on=1)]), MemoryLedger()
    for name in KEYS:
        async with opened(sim, ledger, rule=lambda submission, name=name: name) as veo:
            [outcome] = await veo.gather("A dog")
            assert isinstance(outcome, InDoubt)
            assert len(await veo.sessions["a"].ledger.in_doubt()) == 1
            assert await veo.sessions["b"].ledger.in_doubt() == []
    assert charged(sim) == {"A dog": "a"}


async def test_image_is_uploaded_once_and_to_the_account_of_its_job() -> None:
    """Its key depends on its content, however it is passed."""
    sim = provider()
    async with opened(sim) as veo:
        first = await veo.generate("The cat wakes up", image=PNG)
        again = await veo.generate("The cat wakes up", image=PNG)
        assert first.task_id == again.task_id
    assert sim.count("file-stream-upload") == 1


# --- follow-ups -------------------------------------------------------------------------------------------------


async def test_follow_ups_go_to_the_account_of_their_source() -> None:
    """Only that account has the task."""
    sim, rest = provider(), iter("ab" * 10)
    async with opened(sim, rule=lambda submission: next(rest)) as veo:
        await veo.generate("A dog", key="dog", then="1080p")
        await veo.generate("A cat", key="cat")
        job = await veo.submit(ExtendRequest(after_key="cat", prompt="It sleeps"))
        extended = await job
        assert await in_session(veo, "b", job.key)
        assert (await veo.generate(ExtendRequest(after_key="cat", prompt="It sleeps"))).task_id == extended.task_id
    assert Counter((charge.account, charge.endpoint) for charge in sim.charges if charge.credits)[("b", "extend")] == 1


async def test_request_with_a_task_id_needs_the_session_of_its_account() -> None:
    """Nothing says to which account a task belongs; the session of the job does."""
    sim = provider()
    async with opened(sim) as veo:
        clip = await veo.generate("A dog", key="dog")
        with pytest.raises(errors.UsageError, match="a request with a task id needs the account of that task"):
            await veo.submit(ExtendRequest(clip.task_id, "It sleeps"))
        session = await veo.session_of("dog")
        assert session is not None
        assert (await session.extend(clip, "It sleeps")).urls


async def test_chain_whose_first_job_is_on_another_account_is_not_stored_in_part() -> None:
    """With a shared budget all jobs of a chain are stored together, so a key of another account refuses all of them."""
    sim, ledger = provider(), MemoryLedger()
    sessions = sessions_on(sim, ledger, budget=Budget(10_000, name="all"))
    async with sessions["a"] as one, sessions["b"] as other:
        await one.generate("A dog", key="dog")
        with pytest.raises(errors.KeyReused, match="belongs to a job of another account"):
            await other.submit("A dog", key="dog", then="4k")
        assert await other.ledger.counts() == {}


# --- one object -------------------------------------------------------------------------------------------------


async def test_map_is_ordered_numbered_and_reports_progress(tmp_path: Path) -> None:
    """As with one account: `{n}` counts the requests of the whole list."""
    sim, ledger, texts = provider(), MemoryLedger(), list[str]()
    async with opened(sim, ledger) as veo:
        outcomes = veo.map(
            [f"Dog {n}" for n in range(4)],
            ordered=True,
            key=lambda request: request.prompt.replace(" ", "-"),  # type: ignore[union-attr]  # all are prompts
            save_to=f"{tmp_path}/{{n:03}}-{{key}}.mp4",
            progress=lambda progress: texts.append(progress.text),
        )
        assert [outcome.key async for outcome in outcomes] == [f"Dog-{n}" for n in range(4)]
    targets = {row.key: row.save_to for row in ledger.jobs.values()}
    assert targets == {f"Dog-{n}": f"{tmp_path}/00{n + 1}-Dog-{n}.mp4" for n in range(4)}
    assert texts[-1] == "4 of 4 finished: 4 failed"  # this provider has no videos to download


async def test_map_refuses_wrong_arguments_when_called_and_wrong_requests_as_values() -> None:
    """Before anything is read or sent."""
    sim = provider()
    async with opened(sim) as veo:
        with pytest.raises(errors.UsageError, match="requests='A dog'"):
            veo.map("A dog")
        with pytest.raises(errors.InvalidRequest, match="resolutoin"):
            veo.map(["A dog"], resolutoin="4k")  # type: ignore[call-arg]  # the misspelling is the point
        with pytest.raises(errors.UsageError, match="buffersize=0"):
            veo.map(["A dog"], buffersize=0)
        outcomes = await veo.gather("", "A dog")
        assert [type(outcome) for outcome in outcomes] == [Refused, Done]


async def test_map_reads_lazily_and_can_be_left_early() -> None:
    """The jobs that were submitted by then continue."""
    sim, read = provider(), 0

    async def prompts() -> AsyncIterator[str]:
        nonlocal read
        for read in range(1, 1000):
            yield f"Dog {read}"

    async with opened(sim) as veo:
        outcomes = veo.map(prompts(), buffersize=4)
        assert isinstance(await anext(outcomes), Done)
        await outcomes.aclose()
        assert 4 <= read <= 6
        for session in veo.sessions.values():
            await session.drain()
    assert 4 <= len(sim.charges) <= 6


async def test_jobs_and_statistics_are_found_for_all_accounts() -> None:
    """One call for all; a key that no account has is None."""
    sim = provider()
    async with opened(sim) as veo:
        for n in range(2):
            await veo.generate(f"Dog {n}", key=f"dog-{n}")
            job = await veo.find(f"dog-{n}")
            assert job is not None
            assert (await job).key == f"dog-{n}"
        assert await veo.find("cat") is None
        assert {name: sum(own.jobs.values()) for name, own in veo.statistics().items()} == {"a": 1, "b": 1}
        assert repr(veo) == "<Accounts a, b>"


async def test_leaving_the_block_closes_all_sessions_and_keeps_the_callers_error() -> None:
    """Sessions that are open already are closed by `close`."""
    sim, ledger = provider(), MemoryLedger()
    accounts = Accounts(sessions_on(sim, ledger))
    with pytest.raises(ZeroDivisionError):
        async with accounts:
            raise ZeroDivisionError
    for session in accounts.sessions.values():
        with pytest.raises(errors.SessionClosed):
            await session.submit("A dog")
    with pytest.raises(errors.SessionClosed):
        await accounts.submit("A dog")
    sessions = sessions_on(sim, ledger)
    async with sessions["a"], sessions["b"]:
        accounts = Accounts(sessions)
        await accounts.generate("A dog")
        await accounts.close()
        with pytest.raises(errors.SessionClosed):
            await accounts.generate("A cat")


async def test_no_account_sends_while_another_one_closes() -> None:
    """The last one waits for its request in flight; the first one stops at the same moment."""
    sim = provider(rate=(1, 10.0), faults=[delay(25.0, on=2)])
    async with opened(sim, rate=(1, 10.0)) as veo:
        for n in range(6):
            await veo.submit(f"Dog {n}")
        await asyncio.sleep(5.0)
        began = now()
    assert now() - began > 15.0
    assert sim.count("generate") == 2


async def test_closing_ends_a_stream_that_is_still_read() -> None:
    """As with one session, and no task is left."""
    sim = provider()

    async def prompts() -> AsyncIterator[str]:
        yield "A dog"
        await asyncio.sleep(10_000.0)

    async def consume(stream: Any) -> list[Any]:
        return [outcome async for outcome in stream]

    async with opened(sim) as veo:
        slow = asyncio.create_task(consume(veo.map(prompts())))
        busy = asyncio.create_task(consume(veo.map(f"Cat {n}" for n in range(3))))
        left = veo.map(["A bird", "A fish"], buffersize=1)
        assert isinstance(await anext(left), Done)
        await asyncio.sleep(1.0)
        assert not slow.done()
        assert busy.done()
        busy = asyncio.create_task(consume(veo.map(f"Cow {n}" for n in range(3))))
        await asyncio.sleep(1.0)
    for task in (slow, busy):
        with pytest.raises(errors.SessionClosed):
            await task
    await left.aclose()


async def test_sessions_on_different_ledgers_are_refused_before_anything_is_sent() -> None:
    """Nothing would stop two accounts from paying for the same key."""
    sim = provider()
    one, other = sessions_on(sim, None), sessions_on(sim, MemoryLedger())
    for sessions in (one, {"a": sessions_on(sim, MemoryLedger())["a"], "b": other["b"]}):
        async with Accounts(sessions) as veo:
            with pytest.raises(errors.UsageError, match="the sessions 'a', 'b' are on different ledgers"):
                await veo.submit("A dog")
    assert sim.charges == ()


def test_wrong_arguments_are_refused_with_their_names() -> None:
    """When they are given."""
    sessions = sessions_on(provider(), MemoryLedger())
    with pytest.raises(errors.UsageError, match=r"sessions={}: must be the sessions by name"):
        Accounts({})
    with pytest.raises(errors.UsageError, match=r"rule='balanse'.*did you mean 'balance'"):
        Accounts(sessions, rule="balanse")  # type: ignore[arg-type]  # the misspelling is the point
    with pytest.raises(errors.UsageError, match=r"rule\['anna'\]='c': must be one of 'a', 'b'"):
        Accounts(sessions, rule={"anna": "c"})
