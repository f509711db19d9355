"""Wall clocks that were wrong: what they wrote on a ledger delays no other session for long."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from veo_async import Done
from veo_async.ledger import SqliteLedger
from veo_async.session import VeoSession
from veo_async.simulator import MemoryTransport, rate_limited

from .ledgers import InlineExecutor, session_with_ledger
from .support import memory, now

pytestmark = pytest.mark.veo_virtual_time

YEAR_S, HOUR_S = 365 * 86_400.0, 3600.0
#: The start of the right clock.
TODAY = 1.75e9


def clock_ahead_by(seconds: float) -> type[VeoSession]:
    """Return a session whose wall clock was wrong by *seconds* when it opened."""

    class Session(VeoSession):
        def _wall_clock(self) -> float:
            return TODAY + now() + seconds

    return Session


def session(sim: MemoryTransport, path: Path, *, ahead_s: float = 0.0, **options: Any) -> VeoSession:
    ledger = SqliteLedger(path, executor=InlineExecutor())
    return session_with_ledger(sim, ledger, kind=clock_ahead_by(ahead_s), **options)


async def generate(veo: VeoSession, name: str, count: int) -> None:
    """Generate *count* clips."""
    jobs = [await veo.submit(f"{name} {n}", key=f"{name}-{n}") for n in range(count)]
    for job in jobs:
        assert isinstance(await job.finished(), Done)


async def test_requests_of_a_clock_that_was_a_year_ahead_do_not_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They would fill the window for a year. The log says that they are ignored."""
    path, sim = tmp_path / "veo.db", memory()
    async with session(sim, path, ahead_s=YEAR_S) as veo:
        await generate(veo, "early", 30)
    began_at = now()
    with caplog.at_level(logging.WARNING):
        async with session(sim, path) as veo:
            await generate(veo, "late", 30)
    assert now() - began_at < 300.0
    assert "times from the future" in caplog.text


async def test_429_of_a_clock_that_was_a_year_ahead_closes_nothing(tmp_path: Path) -> None:
    """Its end is a year in the future."""
    path, sim = tmp_path / "veo.db", memory(faults=[rate_limited(on=1, retry_after=60)])
    async with session(sim, path, ahead_s=YEAR_S) as veo:
        job = await veo.submit("A dog", key="dog")
        await asyncio.sleep(5.0)
        veo.stop_sending()
    began_at = now()
    async with session(sim, path) as veo:
        assert isinstance(await (await veo.attach(job.key)).finished(), Done)
    assert now() - began_at < 300.0


@pytest.mark.parametrize(("first_s", "second_s"), [(HOUR_S, 0.0), (0.0, HOUR_S), (YEAR_S, 0.0)])
async def test_sessions_whose_clocks_differ_do_not_block_each_other(
    tmp_path: Path, first_s: float, second_s: float
) -> None:
    """As when the machine's clock is set while one of them is open."""
    path, sim = tmp_path / "veo.db", memory()
    async with session(sim, path, ahead_s=first_s) as one, session(sim, path, ahead_s=second_s) as two:
        began_at = now()
        async with asyncio.TaskGroup() as group:
            group.create_task(generate(one, "one", 25))
            group.create_task(generate(two, "two", 25))
        assert now() - began_at < 300.0
    sim.assert_no_double_charge()


@pytest.mark.parametrize("first_s", [HOUR_S, -HOUR_S])
async def test_429_of_a_session_with_another_clock_closes_for_two_minutes_at_most(
    tmp_path: Path, first_s: float
) -> None:
    """The other session sends as soon as its own view of the limit allows."""
    path, sim = tmp_path / "veo.db", memory(faults=[rate_limited(on=1, retry_after=60)])
    async with session(sim, path, ahead_s=first_s) as one, session(sim, path) as two:
        waiting = await one.submit("A dog", key="dog")
        await asyncio.sleep(3.0)
        began_at = now()
        await generate(two, "two", 1)
        assert now() - began_at < 300.0
        assert isinstance(await waiting.finished(), Done)


async def test_closure_of_another_session_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A session that sends nothing says why."""
    caplog.set_level(logging.INFO)
    path, sim = tmp_path / "veo.db", memory(faults=[rate_limited(on=1, retry_after=60)])
    async with session(sim, path) as one, session(sim, path) as two:
        job = await one.submit("A dog", key="dog")
        await asyncio.sleep(3.0)
        other = await two.submit("A cat", key="cat")
        await asyncio.sleep(3.0)
        assert two.statistics().rate_limit.reason == "rate-limited"
        assert isinstance(await other.finished(), Done)
        assert isinstance(await job.finished(), Done)
    assert "rate limited by another session" in caplog.text
