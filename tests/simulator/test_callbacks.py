"""Callbacks: their content, their signatures, retries, and faults."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator

import attrs
import pytest
from aiohttp import web

from veo_async._wire import parse_callback, sign_callback
from veo_async.errors import MalformedResponse
from veo_async.simulator import (
    CallbackRequest,
    Simulator,
    duplicate_callback,
    forged_callback,
    late_callback,
    lost_callback,
    malformed_callback,
    reordered_callbacks,
)

from .support import Bench, bench, post_bytes, raw_exchange

SIGNED = {"webhook_secret": "hmac-key", "wall_clock": lambda: 1_769_670_760.9}


# --- what is posted, without sockets ----------------------------------------------------------------------------


def callbacks_of(sim: Bench, *prompts: str) -> list[CallbackRequest]:
    """Return the callbacks of tasks with these prompts, created and finished one second apart."""
    posts = []
    for prompt in prompts:
        sim.generate(prompt, callBackUrl="http://127.0.0.1:1/done")
        sim.advance(1)
    sim.advance(59)
    for _ in prompts:
        posts += sim.provider.due_callbacks(sim.now)
    return posts


def test_callback_of_success_has_documented_format() -> None:
    """The URLs are lists in ``data.info``; the request is JSON in ``promptJson``."""
    sim = bench()
    (post,) = callbacks_of(sim, "a dog")
    body = json.loads(post.body)
    assert (body["code"], body["msg"]) == (200, "Veo3.1 video generated successfully.")
    assert set(body["data"]) == {"taskId", "promptJson", "info", "fallbackFlag"}
    assert json.loads(body["data"]["promptJson"])["prompt"] == "a dog"
    assert body["data"]["info"]["resultUrls"] == list(sim.provider.tasks[post.task_id].urls)


@pytest.mark.parametrize("form", ["array", "json-string", "bracket"])
def test_callback_has_origin_urls_only_of_cropped_videos(form: str) -> None:
    """A 16:9 clip is not cropped, so there is no original."""
    sim = bench(callback_form=form)
    for ratio in ("16:9", "9:16"):
        sim.generate(aspect_ratio=ratio, callBackUrl="http://127.0.0.1:1/done")
    sim.advance(60)
    posts = sim.provider.due_callbacks(sim.now)
    assert ["originUrls" in json.loads(post.body)["data"]["info"] for post in posts] == [False, True]


def test_callback_of_failure_has_code_and_message_in_envelope() -> None:
    """Unlike in the record, the code and the message are outside ``data``."""
    (post,) = callbacks_of(bench(), "[refuse-late]")
    body = json.loads(post.body)
    assert (body["code"], body["data"]) == (400, {"taskId": post.task_id, "fallbackFlag": False})
    assert parse_callback(post.body).failure is not None


@pytest.mark.parametrize("form", ["array", "json-string", "bracket"])
def test_callback_url_list_is_parsed_in_every_format(form: str) -> None:
    """Our own parser reads every format that the simulator sends."""
    sim = bench(callback_form=form)
    (post,) = callbacks_of(sim, "a dog")
    assert parse_callback(post.body).urls == sim.provider.tasks[post.task_id].urls


def test_callback_with_secret_is_signed() -> None:
    """The signature covers the task id and the seconds of the wall clock."""
    (post,) = callbacks_of(bench(**SIGNED), "a dog")
    assert post.headers["X-Webhook-Timestamp"] == "1769670760"
    assert post.headers["X-Webhook-Signature"] == sign_callback(post.task_id, 1_769_670_760, "hmac-key")


def test_callback_without_secret_is_unsigned() -> None:
    """The provider does the same until a secret is created."""
    (post,) = callbacks_of(bench(), "a dog")
    assert set(post.headers) == {"Content-Type"}


def test_lost_and_duplicate_callback_faults() -> None:
    """The first callback is never sent, the second is sent twice."""
    posts = callbacks_of(bench(faults=[lost_callback(on=1), duplicate_callback(on=2)]), "a", "b", "c")
    assert len(posts) == 3
    assert posts[0] == posts[1] != posts[2]


def test_late_callback_is_due_after_its_delay() -> None:
    """`next_deadline` includes the delay."""
    sim = bench(faults=[late_callback(500)])
    assert callbacks_of(sim, "a") == []
    assert sim.provider.next_deadline(sim.now) == sim.now + 500
    sim.advance(500)
    assert len(sim.provider.due_callbacks(sim.now)) == 1


def test_reordered_callback_follows_the_next_one() -> None:
    """The first callback is sent after the second."""
    sim = bench(faults=[reordered_callbacks(on=1)])
    first, second = callbacks_of(sim, "a", "b")
    prompts = [sim.provider.tasks[post.task_id].request.prompt for post in (first, second)]
    assert prompts == ["b", "a"]


@pytest.mark.parametrize(("variant", "shift_s"), [("key", 0), ("body", 0), ("stale", -3600), ("future", 3600)])
def test_forged_callback_reports_failure(variant: str, shift_s: int) -> None:
    """It is signed with another key, correctly (which does not cover the body), or with a wrong timestamp."""
    (post,) = callbacks_of(bench(**SIGNED, faults=[forged_callback(variant)]), "a")
    stamp = 1_769_670_760 + shift_s
    is_signed_with_secret = post.headers["X-Webhook-Signature"] == sign_callback(post.task_id, stamp, "hmac-key")
    assert int(post.headers["X-Webhook-Timestamp"]) == stamp
    assert is_signed_with_secret == (variant != "key")
    assert parse_callback(post.body).code == 400


def test_forged_callback_can_be_unsigned() -> None:
    """It has no signature although there is a secret."""
    (post,) = callbacks_of(bench(**SIGNED, faults=[forged_callback("unsigned")]), "a")
    assert set(post.headers) == {"Content-Type"}


def test_malformed_callback_is_signed_and_unparsable() -> None:
    """The signature is correct; the body has an unknown format."""
    (post,) = callbacks_of(bench(**SIGNED, faults=[malformed_callback()]), "a")
    assert post.headers["X-Webhook-Signature"] == sign_callback(post.task_id, 1_769_670_760, "hmac-key")
    with pytest.raises(MalformedResponse):
        parse_callback(post.body)


# --- delivered over sockets -------------------------------------------------------------------------------------


@attrs.define
class Receiver:
    """A receiver that responds with *statuses* in order, then with 200."""

    url: str
    statuses: list[int]
    received: list[tuple[float, dict[str, str], bytes]] = attrs.field(factory=list)
    arrived: asyncio.Event = attrs.field(factory=asyncio.Event)
    stalls_s: float = 0.0


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async def receive(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        receiver.received.append((asyncio.get_running_loop().time(), dict(request.headers), body))
        receiver.arrived.set()
        await asyncio.sleep(receiver.stalls_s)
        return web.Response(status=receiver.statuses.pop(0) if receiver.statuses else 200)

    runner = web.ServerRunner(web.Server(receive), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver = Receiver(f"http://127.0.0.1:{runner.addresses[0][1]}/done", [])
    yield receiver
    await runner.cleanup()


async def order(sim: Simulator, callback_url: str) -> None:
    body = {"prompt": "x", "model": "veo3_fast", "callBackUrl": callback_url}
    await raw_exchange(sim.url, post_bytes("/api/v1/veo/generate", sim.api_key, body))


async def test_callback_is_posted_as_signed_json(receiver: Receiver) -> None:
    """It is sent when the task finishes."""
    async with Simulator(duration_s=0.02, webhook_secret="hmac-key") as sim:
        await order(sim, receiver.url)
        await asyncio.wait_for(receiver.arrived.wait(), 5)
        _, headers, body = receiver.received[0]
        task_id = parse_callback(body).task_id
        stamp = int(headers["X-Webhook-Timestamp"])
        assert task_id in sim.tasks
        assert headers["X-Webhook-Signature"] == sign_callback(task_id, stamp, "hmac-key")
        assert headers["Content-Type"] == "application/json"


async def test_advance_sends_due_callbacks(receiver: Receiver) -> None:
    """A test does not need to wait until a task finishes."""
    async with Simulator(duration_s=60.0) as sim:
        await order(sim, receiver.url)
        sim.advance(60)
        await asyncio.wait_for(receiver.arrived.wait(), 5)


@pytest.mark.looptime
async def test_callback_is_retried_until_retries_are_used_up(receiver: Receiver) -> None:
    """There are three retries, after 1, 5 and 15 minutes. Only status 200 ends them early."""
    receiver.statuses = [500, 201, 404, 503]
    async with Simulator(duration_s=10.0) as sim:
        await order(sim, receiver.url)
        await asyncio.sleep(3600)
        times = [at for at, _, _ in receiver.received]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert gaps == pytest.approx([60, 300, 900], abs=0.1)
        assert [attempt.status for attempt in sim.callbacks] == [500, 201, 404, 503]
        assert len({body for _, _, body in receiver.received}) == 1


@pytest.mark.looptime
async def test_callback_is_not_retried_after_200(receiver: Receiver) -> None:
    """The receiver accepts the second attempt and gets no third one."""
    receiver.statuses = [500]
    async with Simulator(duration_s=10.0, callback_retry_s=(1.0, 1.0, 1.0)) as sim:
        await order(sim, receiver.url)
        await asyncio.sleep(3600)
        assert [attempt.was_acknowledged for attempt in sim.callbacks] == [False, True]


@pytest.mark.looptime
async def test_callback_attempt_times_out_after_15_seconds(receiver: Receiver) -> None:
    """The attempt counts as failed and is retried."""
    receiver.stalls_s = 20.0
    async with Simulator(duration_s=10.0, callback_retry_s=(100.0,)) as sim:
        await order(sim, receiver.url)
        await asyncio.sleep(3600)
        assert [attempt.error for attempt in sim.callbacks] == ["timeout", "timeout"]
        assert sim.callbacks[1].at - sim.callbacks[0].at == pytest.approx(115, abs=0.1)


@pytest.mark.looptime
async def test_callback_is_retried_when_connection_is_refused(receiver: Receiver) -> None:
    """A refused connection is a failed attempt."""
    async with Simulator(duration_s=10.0, callback_retry_s=(1.0,)) as sim:
        await order(sim, "http://127.0.0.1:1/done")
        await asyncio.sleep(3600)
        assert [attempt.error for attempt in sim.callbacks] == ["ClientConnectorError"] * 2


@pytest.mark.looptime
@pytest.mark.parametrize("url", ["http://example.com/done", "https://10.0.0.1/x", "not a url", "http://[::bad/"])
async def test_callback_to_another_machine_is_withheld(url: str) -> None:
    """It is listed as withheld and never sent."""
    async with Simulator(duration_s=1.0) as sim:
        await order(sim, url)
        await asyncio.sleep(10)
        assert [(attempt.post.url, attempt.error) for attempt in sim.callbacks] == [(url, "withheld")]
