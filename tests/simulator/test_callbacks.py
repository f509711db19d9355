"""Callbacks: what is posted, signed how, tried how often, and what goes wrong with it."""

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


def ended(at: Bench, *prompts: str) -> list[CallbackRequest]:
    """The posts that fall due when tasks with these prompts have ended, one a second."""
    posts = []
    for prompt in prompts:
        at.generate(prompt, callBackUrl="http://127.0.0.1:1/done")
        at.pass_(1)
    at.pass_(59)
    for _ in prompts:
        posts += at.provider.due_callbacks(at.now)
    return posts


def test_success_is_told_in_the_callbacks_pages_form() -> None:
    """Arrays in ``data.info``, the request as JSON in ``promptJson``."""
    at = bench()
    (post,) = ended(at, "a dog")
    told = json.loads(post.body)
    assert (told["code"], told["msg"]) == (200, "Veo3.1 video generated successfully.")
    assert set(told["data"]) == {"taskId", "promptJson", "info", "fallbackFlag"}
    assert json.loads(told["data"]["promptJson"])["prompt"] == "a dog"
    assert told["data"]["info"]["resultUrls"] == list(at.provider.tasks[post.task_id].urls)


def test_failure_is_told_in_the_envelope() -> None:
    """Unlike in the record, code and sentence stand outside ``data``."""
    (post,) = ended(bench(), "[refuse-late]")
    told = json.loads(post.body)
    assert (told["code"], told["data"]) == (400, {"taskId": post.task_id, "fallbackFlag": False})
    assert parse_callback(post.body).failure is not None


@pytest.mark.parametrize("form", ["array", "json-string", "bracket"])
def test_every_form_of_the_url_list_is_understood(form: str) -> None:
    """What the simulator can write, our own reader reads alike."""
    at = bench(callback_form=form)
    (post,) = ended(at, "a dog")
    assert parse_callback(post.body).urls == at.provider.tasks[post.task_id].urls


def test_a_callback_is_signed_by_the_provider_s_rule() -> None:
    """Task id and wall-clock seconds, signed with the webhook's key."""
    (post,) = ended(bench(**SIGNED), "a dog")
    assert post.headers["X-Webhook-Timestamp"] == "1769670760"
    assert post.headers["X-Webhook-Signature"] == sign_callback(post.task_id, 1_769_670_760, "hmac-key")


def test_callbacks_are_unsigned_without_a_key() -> None:
    """As the provider's are until a key is made."""
    (post,) = ended(bench(), "a dog")
    assert set(post.headers) == {"Content-Type"}


def test_a_callback_can_be_lost_or_doubled() -> None:
    """The first is never posted, the second twice."""
    posts = ended(bench(faults=[lost_callback(on=1), duplicate_callback(on=2)]), "a", "b", "c")
    assert len(posts) == 3
    assert posts[0] == posts[1] != posts[2]


def test_a_callback_can_be_late() -> None:
    """It falls due when it was ordered to, and the deadline says so."""
    at = bench(faults=[late_callback(500)])
    assert ended(at, "a") == []
    assert at.provider.next_deadline(at.now) == at.now + 500
    at.pass_(500)
    assert len(at.provider.due_callbacks(at.now)) == 1


def test_callbacks_can_change_places() -> None:
    """The first goes out after the second."""
    at = bench(faults=[reordered_callbacks(on=1)])
    first, second = ended(at, "a", "b")
    prompts = [at.provider.tasks[post.task_id].request.prompt for post in (first, second)]
    assert prompts == ["b", "a"]


@pytest.mark.parametrize(("how", "shift_s"), [("key", 0), ("body", 0), ("stale", -3600), ("future", 3600)])
def test_a_callback_can_be_forged(how: str, shift_s: int) -> None:
    """Lying about the end: under another key, under a signature that covers no body, or out of time."""
    (post,) = ended(bench(**SIGNED, faults=[forged_callback(how)]), "a")
    stamp = 1_769_670_760 + shift_s
    is_well_signed = post.headers["X-Webhook-Signature"] == sign_callback(post.task_id, stamp, "hmac-key")
    assert int(post.headers["X-Webhook-Timestamp"]) == stamp
    assert is_well_signed == (how != "key")
    assert parse_callback(post.body).code == 400


def test_a_callback_can_lack_its_signature() -> None:
    """Although there is a key."""
    (post,) = ended(bench(**SIGNED, faults=[forged_callback("unsigned")]), "a")
    assert set(post.headers) == {"Content-Type"}


def test_a_callback_can_be_malformed() -> None:
    """Well signed, and of no known form."""
    (post,) = ended(bench(**SIGNED, faults=[malformed_callback()]), "a")
    assert post.headers["X-Webhook-Signature"] == sign_callback(post.task_id, 1_769_670_760, "hmac-key")
    with pytest.raises(MalformedResponse):
        parse_callback(post.body)


# --- delivered over sockets -------------------------------------------------------------------------------------


@attrs.define
class Receiver:
    """A receiver that answers with the statuses it is told, then with 200."""

    url: str
    statuses: list[int]
    got: list[tuple[float, dict[str, str], bytes]] = attrs.field(factory=list)
    arrived: asyncio.Event = attrs.field(factory=asyncio.Event)
    stalls_s: float = 0.0


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async def take(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        there.got.append((asyncio.get_running_loop().time(), dict(request.headers), body))
        there.arrived.set()
        await asyncio.sleep(there.stalls_s)
        return web.Response(status=there.statuses.pop(0) if there.statuses else 200)

    runner = web.ServerRunner(web.Server(take), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    there = Receiver(f"http://127.0.0.1:{runner.addresses[0][1]}/done", [])
    yield there
    await runner.cleanup()


async def order(sim: Simulator, callback_url: str) -> None:
    body = {"prompt": "x", "callBackUrl": callback_url}
    await raw_exchange(sim.url, post_bytes("/api/v1/veo/generate", sim.api_key, body))


async def test_a_callback_arrives_signed(receiver: Receiver) -> None:
    """At the end of the task, as JSON, with a signature that holds."""
    async with Simulator(duration_s=0.02, webhook_secret="hmac-key") as sim:
        await order(sim, receiver.url)
        await asyncio.wait_for(receiver.arrived.wait(), 5)
        _, headers, body = receiver.got[0]
        task_id = parse_callback(body).task_id
        stamp = int(headers["X-Webhook-Timestamp"])
        assert task_id in sim.tasks
        assert headers["X-Webhook-Signature"] == sign_callback(task_id, stamp, "hmac-key")
        assert headers["Content-Type"] == "application/json"


async def test_advancing_time_brings_the_callback(receiver: Receiver) -> None:
    """Nobody waits for a minute in a test."""
    async with Simulator(duration_s=60.0) as sim:
        await order(sim, receiver.url)
        sim.advance(60)
        await asyncio.wait_for(receiver.arrived.wait(), 5)


@pytest.mark.looptime
async def test_a_callback_is_tried_again_when_refused(receiver: Receiver) -> None:
    """Three retries after 1, 5 and 15 minutes, then it is given up; only 200 counts as received."""
    receiver.statuses = [500, 201, 404, 503]
    async with Simulator(duration_s=10.0) as sim:
        await order(sim, receiver.url)
        await asyncio.sleep(3600)
        times = [at for at, _, _ in receiver.got]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert gaps == pytest.approx([60, 300, 900], abs=0.1)
        assert [attempt.status for attempt in sim.callbacks] == [500, 201, 404, 503]
        assert len({body for _, _, body in receiver.got}) == 1


@pytest.mark.looptime
async def test_retries_end_with_a_200(receiver: Receiver) -> None:
    """The receiver said yes the second time, and hears no more."""
    receiver.statuses = [500]
    async with Simulator(duration_s=10.0, callback_retry_s=(1.0, 1.0, 1.0)) as sim:
        await order(sim, receiver.url)
        await asyncio.sleep(3600)
        assert [attempt.was_acknowledged for attempt in sim.callbacks] == [False, True]


@pytest.mark.looptime
async def test_a_slow_receiver_is_given_15_seconds(receiver: Receiver) -> None:
    """Then the attempt counts as failed and comes again."""
    receiver.stalls_s = 20.0
    async with Simulator(duration_s=10.0, callback_retry_s=(100.0,)) as sim:
        await order(sim, receiver.url)
        await asyncio.sleep(3600)
        assert [attempt.error for attempt in sim.callbacks] == ["timeout", "timeout"]
        assert sim.callbacks[1].at - sim.callbacks[0].at == pytest.approx(115, abs=0.1)


@pytest.mark.looptime
async def test_nobody_there(receiver: Receiver) -> None:
    """A refused connection is an attempt like any other."""
    async with Simulator(duration_s=10.0, callback_retry_s=(1.0,)) as sim:
        await order(sim, "http://127.0.0.1:1/done")
        await asyncio.sleep(3600)
        assert [attempt.error for attempt in sim.callbacks] == ["ClientConnectorError"] * 2


@pytest.mark.looptime
@pytest.mark.parametrize("url", ["http://example.com/done", "https://10.0.0.1/x", "not a url", "http://[::bad/"])
async def test_callbacks_stay_on_this_machine(url: str) -> None:
    """An address elsewhere, as in the sample programs, is noted and never called."""
    async with Simulator(duration_s=1.0) as sim:
        await order(sim, url)
        await asyncio.sleep(10)
        assert [(attempt.post.url, attempt.error) for attempt in sim.callbacks] == [(url, "withheld")]
