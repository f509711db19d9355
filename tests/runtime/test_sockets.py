"""A session over real sockets: rows 28 to 32 and 59, and an hour of a batch within seconds."""

import asyncio
import datetime
import json
import ssl
import warnings
from typing import Any

import pytest
import trustme

from tests.edges.raw_server import Visit, http, raw_server
from veo_async import errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done, Failed, InDoubt
from veo_async.session import VeoSession
from veo_async.settings import Network
from veo_async.simulator import Simulator, drop_after_accepting, html_page, rate_limited, refuse, truncate

from .support import Clock, memory, session_on

KEY = "kie_canary_0123456789abcdef"


@pytest.mark.usefixtures("route")
@pytest.mark.veo_virtual_time
async def test_row_29_unresolvable_name_fails_the_job_after_four_attempts() -> None:
    """No byte was sent, so the key is free again; meanwhile sending is paused, and the statistics have the reason."""
    async with VeoSession(KEY, base_url="https://no-such-host.invalid") as veo:
        job = await veo.submit("A dog")
        while veo.statistics().pause_reason != "network":  # noqa: ASYNC110  # the resolver's thread signals no event
            await asyncio.sleep(0.1)
        outcome = await job.finished()
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, errors.NotSent)
        assert outcome.error.bytes_sent == 0
        assert veo.statistics().rate_limit.in_flight == 0


@pytest.mark.usefixtures("route")
@pytest.mark.veo_virtual_time
async def test_row_29_recovered_network_completes_all_jobs() -> None:
    """Connections are refused for two seconds and then work; no job fails."""
    sim = memory()
    sim.is_offline = True
    async with session_on(sim) as veo:
        jobs = [await veo.submit(f"Dog {i}") for i in range(20)]
        await asyncio.sleep(2)
        sim.is_offline = False
        await veo.drain()
        assert {job.state for job in jobs} == {JobState.READY}


@pytest.mark.usefixtures("route")
@pytest.mark.veo_virtual_time
@pytest.mark.parametrize("tls_kind", ["untrusted", "plain"])
async def test_row_30_untrusted_server_gets_no_request_and_few_connections(tls_kind: str) -> None:
    """An unknown certificate, or plain HTTP where TLS is expected: four attempts, no byte sent, a clear error."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    connections = 0

    async def behave(visit: Visit) -> None:
        nonlocal connections
        connections += 1
        await visit.send(http(b"hello"))

    async with raw_server(behave, tls=tls if tls_kind == "untrusted" else None) as server:  # noqa: SIM117  # too long a line
        async with VeoSession(KEY, base_url=f"https://127.0.0.1:{server.port}") as veo:
            outcome = await (await veo.submit("A dog")).finished()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, errors.NotSent)
    assert outcome.error.bytes_sent == 0
    assert connections <= 4


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_row_31_redirect_is_not_followed_and_puts_the_job_in_doubt(status: str) -> None:
    """The body is sent once, and the key is sent to no other server."""
    forwarded: list[bytes] = []

    async def elsewhere(visit: Visit) -> None:
        forwarded.append(await visit.read_request())

    async with raw_server(elsewhere) as other:

        async def behave(visit: Visit) -> None:
            first.append(await visit.read_request())
            await visit.send(http(b"", status=status, headers=(f"Location: {other.url}/",)))

        first: list[bytes] = []
        async with raw_server(behave) as server, VeoSession(KEY, base_url=server.url) as veo:
            outcome = await (await veo.submit("A dog")).finished()
    assert isinstance(outcome, InDoubt)
    assert isinstance(outcome.error, errors.MalformedResponse)
    assert len(first) == 1
    assert forwarded == []


@pytest.mark.usefixtures("route")
async def test_row_28_dead_kept_alive_connection_puts_the_job_in_doubt() -> None:
    """The server closes it when the request arrives: it may have read the request, so it is not sent again."""
    posted: list[bytes] = []

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        response = json.dumps({"code": 200, "msg": "success", "data": 100}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(response)}\r\n\r\n".encode()
        await visit.send(head + response)  # the connection stays open …
        posted.append(await visit.read_request())
        visit.reset()  # … until it is used again

    async with raw_server(behave) as server, VeoSession(KEY, base_url=server.url) as veo:
        assert await veo.account.balance() == 100
        outcome = await (await veo.submit("A dog")).finished()
    assert isinstance(outcome, InDoubt)
    assert isinstance(outcome.error, errors.ResponseLost)
    assert len(posted) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.veo_virtual_time
async def test_row_32_jump_of_the_wall_clock_changes_no_wait() -> None:
    """The machine's clock jumps by a day in both directions, and the server's Date is an hour off."""
    day = datetime.timedelta(days=1).total_seconds()
    wall = 1.75e9

    sim = memory(faults=[rate_limited(on=1, retry_after=9, retry_after_as="date")], wall_clock=lambda: wall + 3600.0)
    async with session_on(sim) as veo:
        clock = Clock()
        job = await veo.submit("A dog")
        await asyncio.sleep(1)
        wall += day
        await asyncio.sleep(1)
        wall -= 2 * day
        await job.accepted()
        assert 8.0 <= clock() <= 10.5
        await job
        assert 60.0 <= clock() <= 80.0


@pytest.mark.usefixtures("route")
@pytest.mark.veo_virtual_time
async def test_batch_with_every_kind_of_fault_accounts_for_all_clips() -> None:
    """100 clips over real sockets in virtual time: every outcome is reported, and none is charged twice."""
    faults = [
        drop_after_accepting(on={17, 60}),
        html_page(502, on=30),
        rate_limited(on=range(40, 44), retry_after=4),
        refuse(402, on=80),
        refuse(500, endpoint="record-info", probability=0.1, seed=5),
        truncate(endpoint="record-info", probability=0.02, seed=6),
    ]
    async with Simulator(faults=faults, seed=4, failure_rate=0.02, refusal_rate=0.02) as sim:
        started_at = asyncio.get_running_loop().time()
        async with VeoSession(sim.api_key, base_url=sim.url, network=Network(seed=1)) as veo:
            outcomes = [outcome async for outcome in veo.map(f"Dog {i}" for i in range(100))]
        assert len(outcomes) == 100
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds.count(InDoubt) == 3
        assert kinds.count(Done) > 85
        assert asyncio.get_running_loop().time() - started_at < 3 * 3600
        assert sum(charge.credits > 0 for charge in sim.charges) >= kinds.count(Done)
        sim.assert_no_double_charge()


@pytest.mark.usefixtures("route")
async def test_row_59_closing_with_running_jobs_emits_no_warning() -> None:
    """Over real sockets: no unclosed client, no pending task, no warning of any kind."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with Simulator(speed=10.0) as sim:
            async with VeoSession(sim.api_key, base_url=sim.url) as veo:
                jobs = [await veo.submit(f"Dog {i}") for i in range(10)]
                waiting: list[asyncio.Task[Any]] = [asyncio.create_task(job.result()) for job in jobs]
                await jobs[0].accepted()
            await asyncio.wait(waiting)
            assert all(isinstance(task.exception(), errors.SessionClosed) for task in waiting)
    assert not caught
