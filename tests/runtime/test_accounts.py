"""Several accounts on one ledger: a job stays on its account, and all of them are one object."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from veo_async import Done, ExtendRequest, InDoubt, Refused, errors
from veo_async._ports import Ledger
from veo_async.accounts import Accounts
from veo_async.ledger import MemoryLedger
from veo_async.settings import Budget
from veo_async.simulator import delay, drop_after_accepting

from .accounts import KEYS, charged, opened, provider, sessions_on
from .support import now, run_together
from .test_images import PNG

pytestmark = pytest.mark.veo_virtual_time

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
