"""Retries of reads: after a fault, within one shared quota and a time limit; charged calls are never retried."""

import asyncio
import logging
import random
from typing import Any

import pytest

from veo_async import VeoApi, errors
from veo_async._rules.retry import ERROR_COST, MAX_TOTAL_S, MAX_TRIES, QUOTA
from veo_async._runtime.retrying import Retrier
from veo_async.simulator import (
    MemoryTransport,
    corrupt_body,
    delay,
    html_page,
    rate_limited,
    refuse,
    reset_connection,
    truncate,
    unreachable,
)

from .support import Clock, memory, world

pytestmark = pytest.mark.veo_virtual_time


def client(*faults: Any) -> tuple[VeoApi, MemoryTransport, Retrier]:
    sim = memory(faults=faults)
    return VeoApi(sim.api_key, transport=sim), sim, Retrier(random.Random(1))


@pytest.mark.parametrize("status", [502, 503, 504, 520, 524])
async def test_row_16_get_with_a_gateway_error_is_retried_within_the_quota(status: int) -> None:
    """Two failures, then the balance: the successful retry returns its tokens, so only one failure's are spent."""
    api, sim, reads = client(html_page(status, endpoint="credit", times=2))
    assert (await reads.call("credit", api.credit)).balance > 0
    assert len(sim.requests_to("credit")) == 3
    assert reads.quota.tokens == QUOTA - ERROR_COST


@pytest.mark.parametrize("when", ["before", "after", "middle"])
async def test_row_26_get_with_a_reset_connection_is_retried(when: Any) -> None:
    """Wherever it broke: reading twice is harmless."""
    api, sim, reads = client(reset_connection(when, endpoint="credit", on=1))
    await reads.call("credit", api.credit)
    assert len(sim.requests_to("credit")) == 2


@pytest.mark.parametrize(
    "fault",
    [unreachable, truncate, corrupt_body, lambda **where: refuse(500, **where), lambda **where: rate_limited(**where)],
)
async def test_every_transient_fault_is_retried(fault: Any) -> None:
    """Not sent, truncated, unreadable, server error, rate limited: the next attempt succeeds."""
    api, sim, reads = client(fault(endpoint="credit", on=1))
    await reads.call("credit", api.credit)
    assert len(sim.requests_to("credit")) == 2


async def test_free_post_is_retried_too() -> None:
    """An upload and a download link are POSTs, but a second one costs nothing."""
    api, sim, reads = client(
        html_page(502, endpoint="file-base64-upload", on=1), html_page(502, endpoint="download-url", on=1)
    )
    upload = await reads.call("file-base64-upload", lambda: api.upload_base64(b"x" * 100, file_name="a.png"))
    assert upload.url
    with pytest.raises(errors.RequestRejected):  # the second attempt is refused: the URL is not one of its results
        await reads.call("download-url", lambda: api.download_url("https://elsewhere.invalid/a.mp4"))
    assert len(sim.requests_to("download-url")) == 2


async def test_error_is_raised_after_four_attempts() -> None:
    """The delays have full jitter: at most half a second, one and two seconds."""
    api, sim, reads = client(html_page(503, endpoint="credit"))
    clock = Clock()
    with pytest.raises(errors.ServerError) as caught:
        await reads.call("credit", api.credit)
    assert caught.value.http_status == 503
    assert len(sim.requests_to("credit")) == MAX_TRIES
    assert 0 < clock() <= 3.5


@pytest.mark.parametrize("code", [401, 402, 404, 422, 455])
async def test_definite_error_is_not_retried(code: int) -> None:
    """A refusal stays a refusal, and pauses are the scheduler's task."""
    api, sim, reads = client(refuse(code, endpoint="credit"))
    with pytest.raises(errors.ApiError):
        await reads.call("credit", api.credit)
    assert len(sim.requests_to("credit")) == 1


async def test_retry_after_is_obeyed() -> None:
    """The retry is never earlier, and hardly later."""
    api, _, reads = client(rate_limited(endpoint="credit", on=1, retry_after=7))
    clock = Clock()
    await reads.call("credit", api.credit)
    assert 7.0 <= clock() <= 7.5


async def test_no_attempt_starts_after_two_minutes() -> None:
    """Each hanging attempt takes 30 s, so a fifth is not started."""
    api, sim, reads = client(delay(1000.0, endpoint="credit"))
    clock = Clock()
    with pytest.raises(errors.ResponseLost):
        await reads.call("credit", api.credit)
    started_at = sim.requests_to("credit")[0].at
    assert all(seen.at - started_at <= MAX_TOTAL_S for seen in sim.requests_to("credit"))
    assert clock() <= MAX_TOTAL_S + 30.0


async def test_exhausted_quota_ends_all_retries() -> None:
    """When everything fails, all calls together make some 35 retries and then none."""
    api, sim, reads = client(html_page(502, endpoint="credit"))

    async def fail_once() -> None:
        with pytest.raises(errors.ServerError):
            await reads.call("credit", api.credit)

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(fail_once())
    assert len(sim.requests_to("credit")) == 100 + QUOTA // ERROR_COST


@pytest.mark.parametrize("endpoint", ["generate", "extend", "get-4k-video", "get-1080p-video", "create-task"])
async def test_charged_endpoint_is_never_called(endpoint: Any) -> None:
    """Passing a charged call is a bug in the caller, and retrying it could charge twice."""

    async def never() -> None:
        raise AssertionError("called")

    with pytest.raises(ValueError, match="credits"):
        await Retrier(random.Random(1)).call(endpoint, never)


async def test_cancellation_ends_the_delay_immediately() -> None:
    """A cancelled caller does not wait for the next attempt."""
    api, sim, reads = client(rate_limited(endpoint="credit", retry_after=60))
    reading = asyncio.create_task(reads.call("credit", api.credit))
    await asyncio.sleep(1)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert len(sim.requests_to("credit")) == 1


async def test_balance_read_of_a_session_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    """`veo.account.balance()` survives a short fault, and the log reports the retry."""
    async with world(faults=[html_page(502, endpoint="credit", on=1)]) as (veo, _):
        with caplog.at_level(logging.INFO, "veo_async"):
            assert await veo.account.balance() > 0
    records = [record.__dict__ for record in caplog.records]
    assert [record["reason"] for record in records if record.get("action") == "retry"] == ["broken"]
