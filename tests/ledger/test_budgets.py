"""A named budget on a ledger: the jobs of all sessions together never exceed it, on every kind of ledger."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_async._ports import BudgetUse, JobRow, Ledger, LedgerSession, NewJob
from veo_async.errors import BudgetExceeded
from veo_async.ledger import MemoryLedger, SqliteLedger

from .conftest import Sessions
from .support import ROOMY, Inline, job, sending, transition

NAME = "summer"


def planned(key: str = "dog", price: float | None = 60.0, **columns: Any) -> JobRow:
    """Return a job that was submitted under the budget."""
    return job(key, **({"budget": NAME, "price": price, "credits": price} | columns))


async def test_jobs_of_several_sessions_share_one_budget(sessions: Sessions) -> None:
    """The job that does not fit is not stored, and the error says what is spent, reserved and left."""
    one, two = await sessions.open(), await sessions.open()
    await one.insert(planned(), budget_limit=150.0)
    await two.insert(planned("cat"), budget_limit=150.0)
    with pytest.raises(BudgetExceeded, match="costs 60 credits, but 120 credits of a budget of 150") as caught:
        await one.insert(planned("fox"), budget_limit=150.0)
    assert (caught.value.spent, caught.value.reserved, caught.value.budget) == (0.0, 120.0, 150.0)
    assert await two.get("fox") is None
    assert await two.transitions("fox") == []
    assert await two.budget_use(NAME) == BudgetUse(reserved=120.0)


async def test_existing_job_costs_nothing_anew(sessions: Sessions) -> None:
    """Another session may submit it again although the budget is used up."""
    one, two = await sessions.open(), await sessions.open()
    stored = await one.insert(planned(), budget_limit=60.0)
    assert await two.insert(planned(), budget_limit=60.0) == stored
    assert await two.budget_use(NAME) == BudgetUse(reserved=60.0)


async def test_chain_is_stored_as_a_whole_or_not_at_all(sessions: Sessions) -> None:
    """Its jobs fit together, or none of them is on the ledger."""
    session = await sessions.open()
    chain = [NewJob(row=planned()), NewJob(row=planned("dog.4k", 120.0))]
    with pytest.raises(BudgetExceeded, match="costs 180 credits"):
        await session.insert_all(chain, budget_limit=179.0)
    assert await session.jobs() == []
    assert [row.key for row in await session.insert_all(chain, budget_limit=180.0)] == ["dog", "dog.4k"]


async def test_unknown_price_does_not_fit_a_limited_budget(sessions: Sessions) -> None:
    """Without a limit it is stored."""
    session = await sessions.open()
    with pytest.raises(BudgetExceeded, match="the price of this request is unknown"):
        await session.insert(planned(price=None), budget_limit=1000.0)
    await session.insert(planned(price=None))
    assert await session.budget_use(NAME) == BudgetUse()


async def test_ended_job_is_spent_and_a_free_one_returns_its_credits(sessions: Sessions) -> None:
    """Reserved until the job has ended; what is known to be free counts nothing."""
    session = await sessions.open()
    for key in ("dog", "cat"):
        await session.insert(planned(key), budget_limit=120.0)
        await session.begin_send(sending(key), ROOMY)
        await session.apply(transition("accept", key, task_id=f"task-{key}"))
    await session.apply(transition("complete", "dog", ended_at=102.0))
    assert await session.budget_use(NAME) == BudgetUse(spent=60.0, reserved=60.0)
    await session.apply(transition("fail", "cat", ended_at=102.0, credits=0.0))
    assert await session.budget_use(NAME) == BudgetUse(spent=60.0)
    with pytest.raises(BudgetExceeded, match="of a budget of 100 credits 60 are spent, 0 reserved and 40 left"):
        await session.insert(planned("fox"), budget_limit=100.0)


async def test_new_job_under_a_free_key_counts_once(sessions: Sessions) -> None:
    """The first one cost nothing."""
    session = await sessions.open()
    await session.insert(planned())
    await session.apply(transition("abandon", ended_at=101.0, credits=0.0))
    ended = await session.get("dog")
    await session.insert(planned(submitted_at=200.0), replaces=ended, budget_limit=60.0)
    assert await session.budget_use(NAME) == BudgetUse(reserved=60.0)


async def test_second_request_of_a_job_in_doubt_must_fit(sessions: Sessions) -> None:
    """It counts in addition. If it does not fit, the job stays in doubt."""
    session = await sessions.open()
    await session.insert(planned())
    await session.begin_send(sending("dog"), ROOMY)
    await session.apply(transition("lose"))
    again = transition("resubmit", price=60.0, credits=120.0)
    with pytest.raises(BudgetExceeded):
        await session.apply(again, budget_limit=119.0)
    row = await session.get("dog")
    assert row is not None
    assert (row.state, row.credits) == ("in_doubt", 60.0)
    assert await session.apply(again, budget_limit=120.0)
    assert await session.budget_use(NAME) == BudgetUse(reserved=120.0)


async def test_pruned_jobs_stay_spent(sessions: Sessions) -> None:
    """Deleting finished jobs gives nothing back."""
    session = await sessions.open()
    await session.insert(planned(state="saved", ended_at=100.0))
    assert await session.prune(200.0) == 1
    assert await session.budget_use(NAME) == BudgetUse(spent=60.0)


async def test_job_of_a_dead_sender_stays_reserved(sessions: Sessions) -> None:
    """It may have been charged, and its attempt counts."""
    one = await sessions.open()
    await one.insert(planned())
    await one.begin_send(transition("send", token="t", sent_at=101.0), ROOMY)
    await one.close()
    two = await sessions.open()
    [row] = (await two.changes(200.0)).taken_over
    assert (row.state, row.attempts, row.credits) == ("in_doubt", 1, 60.0)
    assert await two.budget_use(NAME) == BudgetUse(reserved=60.0)


# --- any order ----------------------------------------------------------------------------------------------------

LIMIT = 200.0
KEYS = ("a", "b", "c", "d", "e")
PRICES = {"a": 60.0, "b": 120.0, "c": 30.0, "d": 0.1, "e": 60.0}
ACTIONS = ("submit", "chain", "send", "accept", "lose", "resubmit", "finish", "fail", "take_over")


class Model:
    """What the provider may have charged, apart from the ledger's own sums."""

    def __init__(self) -> None:
        self.charged: dict[str, float] = dict.fromkeys(KEYS, 0.0)

    @property
    def total(self) -> float:
        return sum(self.charged.values())


async def act(session: LedgerSession, model: Model, action: str, key: str, at: float) -> None:
    """Do *action* as a session would, if the job's state allows it."""
    row, price = await session.get(key), PRICES[key]
    state = None if row is None else row.state
    if action in ("submit", "chain"):
        keys = [key] if action == "submit" else [key, KEYS[(KEYS.index(key) + 1) % len(KEYS)]]
        before = [await session.get(name) for name in keys]
        new = [
            NewJob(row=planned(name, PRICES[name], submitted_at=at), replaces=known)
            for name, known in zip(keys, before, strict=True)
            if known is None or known.state == "failed"
        ]
        await session.insert_all(new, budget_limit=LIMIT)
        for item in new:
            model.charged[item.row.key] += PRICES[item.row.key]
    elif action == "send" and state == "queued":
        await session.begin_send(sending(key, f"{key}-{at}", at), ROOMY)
    elif action == "accept" and state == "sending":
        await session.apply(transition("accept", key, at, task_id=f"{key}-{at}"))
    elif action == "lose" and state == "sending":
        await session.apply(transition("lose", key, at))
    elif action == "resubmit" and state == "in_doubt" and row is not None:
        credits = (row.credits or 0.0) + price
        if await session.apply(transition("resubmit", key, at, price=price, credits=credits), budget_limit=LIMIT):
            model.charged[key] += price
    elif action == "finish" and state == "running":
        await session.apply(transition("complete", key, at, ended_at=at))
    elif action == "fail" and state == "running" and row is not None:
        ended = transition("fail", key, at, ended_at=at, credits=(row.credits or 0.0) - price)
        model.charged[key] -= price if await session.apply(ended) else 0.0


def sqlite_ledger(folder: Path) -> Ledger:
    return SqliteLedger(folder / "ledger.db", executor=Inline())


@pytest.mark.parametrize("make", [lambda _: MemoryLedger(), sqlite_ledger], ids=["memory", "sqlite"])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(KEYS), st.integers(0, 2)), max_size=40))
def test_budget_is_never_exceeded_in_any_order(
    make: Callable[[Path], Ledger], steps: list[tuple[str, str, int]]
) -> None:
    """Three sessions submit, send, lose, resubmit and end jobs; one of them may die and be replaced."""

    async def run(folder: Path) -> None:
        ledger, model = make(folder), Model()
        sessions = [await ledger.open("account") for _ in range(3)]
        for at, (action, key, number) in enumerate(steps, 100):
            if action == "take_over":
                await sessions[number].close()
                sessions[number] = await ledger.open("account")
                await sessions[number].changes(float(at))
            with contextlib.suppress(BudgetExceeded):
                await act(sessions[number], model, action, key, float(at))
            use = await sessions[number].budget_use(NAME)
            assert use.spent + use.reserved == pytest.approx(model.total)
            assert model.total <= LIMIT + 1e-6
        for session in sessions:
            await session.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
