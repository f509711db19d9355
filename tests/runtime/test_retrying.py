"""Reads are made again after a fault, under one quota, within their time; what costs never is."""

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
async def test_row_16_a_get_that_meets_a_gateway_page_is_retried_under_the_quota(status: int) -> None:
    """Two broken answers, then the balance; the second retry passed, so only the first one's tokens are gone."""
    api, sim, reads = client(html_page(status, endpoint="credit", times=2))
    assert (await reads.call("credit", api.credit)).balance > 0
    assert len(sim.requests_to("credit")) == 3
    assert reads.quota.tokens == QUOTA - ERROR_COST


@pytest.mark.parametrize("when", ["before", "after", "middle"])
async def test_row_26_a_get_whose_connection_is_reset_is_retried(when: Any) -> None:
    """Wherever it broke: reading twice harms nobody."""
    api, sim, reads = client(reset_connection(when, endpoint="credit", on=1))
    await reads.call("credit", api.credit)
    assert len(sim.requests_to("credit")) == 2


@pytest.mark.parametrize(
    "fault",
    [unreachable, truncate, corrupt_body, lambda **where: refuse(500, **where), lambda **where: rate_limited(**where)],
)
async def test_every_fault_that_may_pass_is_tried_again(fault: Any) -> None:
    """Not sent, cut short, unreadable, broken, too many: the next attempt answers."""
    api, sim, reads = client(fault(endpoint="credit", on=1))
    await reads.call("credit", api.credit)
    assert len(sim.requests_to("credit")) == 2


async def test_a_post_that_is_free_is_tried_again_too() -> None:
    """An upload and a download link are POSTs, but a second one costs nothing."""
    api, sim, reads = client(
        html_page(502, endpoint="file-base64-upload", on=1), html_page(502, endpoint="download-url", on=1)
    )
    upload = await reads.call("file-base64-upload", lambda: api.upload_base64(b"x" * 100, file_name="a.png"))
    assert upload.url
    with pytest.raises(errors.RequestRejected):  # not one of its results, which the second attempt is told
        await reads.call("download-url", lambda: api.download_url("https://elsewhere.invalid/a.mp4"))
    assert len(sim.requests_to("download-url")) == 2


async def test_after_four_tries_the_error_is_raised_as_it_is() -> None:
    """An outage is not outlasted here; the pauses before were full jitter, at most half a second, one and two."""
    api, sim, reads = client(html_page(503, endpoint="credit"))
    clock = Clock()
    with pytest.raises(errors.ServerError) as caught:
        await reads.call("credit", api.credit)
    assert caught.value.http_status == 503
    assert len(sim.requests_to("credit")) == MAX_TRIES
    assert 0 < clock() <= 3.5


@pytest.mark.parametrize("code", [401, 402, 404, 422, 455])
async def test_an_answer_that_stands_is_not_asked_for_again(code: int) -> None:
    """A definite no, and a pause that is somebody else's business."""
    api, sim, reads = client(refuse(code, endpoint="credit"))
    with pytest.raises(errors.ApiError):
        await reads.call("credit", api.credit)
    assert len(sim.requests_to("credit")) == 1


async def test_retry_after_is_waited_for() -> None:
    """Never earlier than told, and hardly later."""
    api, _, reads = client(rate_limited(endpoint="credit", on=1, retry_after=7))
    clock = Clock()
    await reads.call("credit", api.credit)
    assert 7.0 <= clock() <= 7.5


async def test_no_attempt_begins_after_two_minutes() -> None:
    """Answers that hang use the time up: 30 s each; the fifth half-minute is not begun."""
    api, sim, reads = client(delay(1000.0, endpoint="credit"))
    clock = Clock()
    with pytest.raises(errors.ResponseLost):
        await reads.call("credit", api.credit)
    began = sim.requests_to("credit")[0].at
    assert all(seen.at - began <= MAX_TOTAL_S for seen in sim.requests_to("credit"))
    assert clock() <= MAX_TOTAL_S + 30.0


async def test_an_empty_quota_ends_the_retries_of_all() -> None:
    """When everything fails some 35 retries are made, whoever makes them, and then none."""
    api, sim, reads = client(html_page(502, endpoint="credit"))

    async def one() -> None:
        with pytest.raises(errors.ServerError):
            await reads.call("credit", api.credit)

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(one())
    assert len(sim.requests_to("credit")) == 100 + QUOTA // ERROR_COST


@pytest.mark.parametrize("endpoint", ["generate", "extend", "get-4k-video", "get-1080p-video"])
async def test_what_may_cost_is_never_called(endpoint: Any) -> None:
    """Not even once: whoever hands such a call in has a defect, and would pay for it."""

    async def never() -> None:
        raise AssertionError("called")

    with pytest.raises(ValueError, match="credits"):
        await Retrier(random.Random(1)).call(endpoint, never)


async def test_a_cancellation_ends_the_pause_at_once() -> None:
    """Nobody waits for a retry that nobody wants."""
    api, sim, reads = client(rate_limited(endpoint="credit", retry_after=60))
    reading = asyncio.create_task(reads.call("credit", api.credit))
    await asyncio.sleep(1)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert len(sim.requests_to("credit")) == 1


async def test_the_sessions_balance_is_read_patiently(caplog: pytest.LogCaptureFixture) -> None:
    """`VeoSession.credits` outlasts a short fault, and the log tells of it."""
    async with world(faults=[html_page(502, endpoint="credit", on=1)]) as (veo, _):
        with caplog.at_level(logging.INFO, "veo_async"):
            assert await veo.account.balance() > 0
    told = [record.__dict__ for record in caplog.records]
    assert [each["reason"] for each in told if each.get("action") == "retry"] == ["broken"]
