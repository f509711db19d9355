"""The caller closes the HTTP session that he passed while the VeoSession still uses it."""

import asyncio
import logging
from pathlib import Path

import aiohttp
import pytest

from tests.internals import crash_of
from veo_async import VeoSession, errors
from veo_async._rules.lifecycle import JobState
from veo_async.ledger import SqliteLedger
from veo_async.settings import Limits, Network
from veo_async.simulator import Simulator

from .support import assert_at_rest


def _session(sim: Simulator, http: aiohttp.ClientSession | None, ledger: object, max_in_flight: int = 10) -> VeoSession:
    return VeoSession(
        sim.api_key,
        base_url=sim.url,
        ledger=ledger,  # type: ignore[arg-type]
        max_in_flight=max_in_flight,
        limits=Limits(explore=False, poll_every=0.1),
        network=Network(http=http),
    )


async def test_closed_http_session_ends_waiting_and_leaves_jobs_on_the_ledger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiters and later calls get `ClientClosed`; unsent jobs are queued, and running tasks stay running."""
    async with Simulator(duration_s=1.0) as sim:
        async with aiohttp.ClientSession() as http:
            async with _session(sim, http, SqliteLedger(tmp_path / "veo.db"), 2) as veo:
                jobs = [await veo.submit(f"Dog {i}", key=f"dog-{i}") for i in range(5)]
                for job in jobs[:2]:
                    await job.accepted()
                waiting = [asyncio.create_task(job.result()) for job in jobs]
                await http.close()
                await asyncio.wait(waiting)
                for task in waiting:
                    error = task.exception()
                    assert isinstance(error, errors.ClientClosed)
                    assert "closed while it was in use" in str(error)
                for call in (veo.submit("A cat"), veo.account.balance()):
                    with pytest.raises(errors.ClientClosed):
                        await call
            assert crash_of(veo) is None
        assert_at_rest(veo)
        assert sum(getattr(record, "action", "") == "client-closed" for record in caplog.records) == 1
        assert not [record for record in caplog.records if record.levelno >= logging.CRITICAL]
        async with _session(sim, None, SqliteLedger(tmp_path / "veo.db")) as veo:
            recovered = veo.jobs()
            assert JobState.IN_DOUBT not in {job.state for job in recovered}
            await veo.drain()
            assert veo.statistics().jobs == {JobState.READY: 5}
            assert {job.state for job in recovered} <= {JobState.READY}
        sim.assert_no_double_charge()


async def test_http_session_that_is_closed_before_sending_leaves_the_job_queued(tmp_path: Path) -> None:
    """Not a byte was sent, so the job is not in doubt, and nothing is refused."""
    async with Simulator(duration_s=0.1) as sim:
        http = aiohttp.ClientSession()
        async with _session(sim, http, SqliteLedger(tmp_path / "veo.db")) as veo:
            await http.close()
            job = await veo.submit("A dog", key="dog")
            with pytest.raises(errors.ClientClosed, match="http="):
                await job
            assert job.state is JobState.QUEUED
        assert not sim.charges
        async with _session(sim, None, SqliteLedger(tmp_path / "veo.db")) as veo:
            await veo.drain()
            assert (await veo.attach("dog")).state is JobState.READY


async def test_http_session_that_is_closed_while_a_request_waits_for_a_connection_leaves_the_job_queued() -> None:
    """The first request was sent; the second waits for the only connection, and no byte of it was sent."""
    async with Simulator(latency_s=0.5) as sim:
        http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
        async with _session(sim, http, None) as veo:
            first, second = await veo.submit("A dog"), await veo.submit("A cat")
            await asyncio.sleep(0.2)
            await http.close()
            with pytest.raises(errors.VeoError):
                await second
            while first.state is JobState.SENDING:  # noqa: ASYNC110  # there is no event for the end of an attempt
                await asyncio.sleep(0.01)
            assert (first.state, second.state) == (JobState.IN_DOUBT, JobState.QUEUED)
        assert_at_rest(veo)
        await asyncio.sleep(0.5)  # the simulator still prepares its response
