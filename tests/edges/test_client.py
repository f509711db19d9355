"""`VeoApi` against the simulator: every endpoint, and every fault that a server can cause."""

import asyncio
from pathlib import Path

import attrs
import pytest

from tests.routes import CREATE
from veo_async import ExtendRequest, TaskState, VeoApi, VideoRequest, errors
from veo_async._api import create
from veo_async._wire import APIKLEY, KIE, route_named
from veo_async.simulator import (
    Fault,
    Simulator,
    blocked_1010,
    byte_order_mark,
    corrupt_body,
    deep_nesting,
    delay,
    drop_after_accepting,
    drop_before_accepting,
    duplicate_keys,
    empty_body,
    endless_body,
    gzip_bomb,
    html_page,
    huge_body,
    huge_integer,
    many_headers,
    not_a_number,
    rate_limited,
    redirect,
    refuse,
    reset_connection,
    slow_body,
    truncate,
    unknown_code,
    wrong_types,
)
from veo_async.types import RouteName

# --- every endpoint ---------------------------------------------------------------------------------------------


async def test_generate_sends_the_request_once_and_its_record_succeeds(sim: Simulator, api: VeoApi) -> None:
    """The request has the provider's spelling; the record changes from running to succeeded."""
    request = VideoRequest("A dog", aspect_ratio="9:16", seeds=12345, watermark="Mine", enable_translation=False)
    task = await api.generate(request)
    (post,) = sim.requests_to("generate")
    assert post.body == {
        "prompt": "A dog",
        "model": "veo3_fast",
        "aspect_ratio": "9:16",
        "seeds": 12345,
        "enableTranslation": False,
        "watermark": "Mine",
    }
    assert (await api.record_info(task.task_id)).state is TaskState.GENERATING
    sim.advance(60)
    record = await api.record_info(task.task_id)
    assert record.state is TaskState.SUCCEEDED
    assert record.urls[0].startswith(sim.url)
    assert record.seeds == (12345,)
    assert record.params["prompt"] == "A dog"
    assert record.created_at is not None
    assert record.completed_at is not None
    assert 0 <= (record.completed_at - record.created_at).total_seconds() <= 1  # 60 ms by the client's clock


async def test_prompt_with_options_sends_the_same_request(sim: Simulator, api: VeoApi) -> None:
    """Both forms of the call are equal."""
    await api.generate("A dog", duration=4, resolution="1080p")
    await api.generate(VideoRequest("A dog", duration=4, resolution="1080p"))
    first, second = sim.requests_to("generate")
    assert first.body == second.body


async def test_extension_is_a_new_task_with_the_whole_video(sim: Simulator, api: VeoApi) -> None:
    """Its record has the URL of the complete video."""
    source = await api.generate("A dog")
    sim.advance(60)
    longer = await api.extend(source.task_id, "it swims ashore", model="quality")
    again = await api.extend(ExtendRequest(source.task_id, "it swims ashore", model="quality"))
    sim.advance(600)
    record = await api.record_info(longer.task_id)
    assert longer.task_id not in (source.task_id, again.task_id)
    assert record.full_urls


async def test_1080p_is_not_ready_first_and_then_has_a_url(sim: Simulator, api: VeoApi) -> None:
    """ "Not ready" is a state, and safe to repeat."""
    task = await api.generate("A dog")
    sim.advance(60)
    with pytest.raises(errors.NotReady) as caught:
        await api.get_1080p_video(task.task_id, index=0)
    assert caught.value.retryable
    sim.advance(600)
    assert (await api.get_1080p_video(task.task_id, index=0)).url.endswith(".mp4")


async def test_4k_is_accepted_then_not_ready_then_done(sim: Simulator, api: VeoApi) -> None:
    """Three different responses, one of them a 422 with the result, and no failure."""
    task = await api.generate("A dog")
    sim.advance(60)
    assert not (await api.get_4k_video(task.task_id)).is_ready
    with pytest.raises(errors.NotReady):
        await api.get_4k_video(task.task_id)
    sim.advance(3600)
    done = await api.get_4k_video(task.task_id)
    assert done.is_ready
    assert done.image_urls


async def test_balance_decreases_by_the_price(api: VeoApi) -> None:
    """A fast clip in 720p costs 60 credits."""
    before = (await api.credit()).balance
    await api.generate("A dog")
    assert (await api.credit()).balance == before - 60


async def test_download_url_works_for_results_only(sim: Simulator, api: VeoApi) -> None:
    """A result of the provider gets a link, any other URL is rejected."""
    task = await api.generate("A dog")
    sim.advance(60)
    (url,) = (await api.record_info(task.task_id)).urls
    assert (await api.download_url(url)).url.startswith(sim.url)
    with pytest.raises(errors.RequestRejected):
        await api.download_url("https://example.com/a.mp4")


async def test_uploads_return_their_own_urls(sim: Simulator, api: VeoApi, tmp_path: Path) -> None:
    """Bytes, a file and a URL can be uploaded; each upload gets its own URL."""
    (tmp_path / 'a "cat".png').write_bytes(b"\x89PNG cat")
    encoded = await api.upload_base64(b"\x89PNG dog", file_name="dog.png")
    streamed = await api.upload_file(tmp_path / 'a "cat".png', folder="pets/cats")
    named = await api.upload_file(b"\x89PNG", file_name="bird.png")
    fetched = await api.upload_from_url(encoded.url, file_name="again.png")
    assert encoded.size == 8
    assert streamed.size == 8
    assert named.file_name == "bird.png"
    assert len({encoded.url, streamed.url, named.url, fetched.url}) == 4


async def test_upload_of_a_missing_file_is_an_error(api: VeoApi, tmp_path: Path) -> None:
    """It is raised before anything is sent."""
    with pytest.raises(errors.InvalidRequest, match="No such file"):
        await api.upload_file(tmp_path / "none.png")


# --- before anything is sent ------------------------------------------------------------------------------------


async def test_invalid_request_is_never_sent(sim: Simulator, api: VeoApi) -> None:
    """Each method checks its arguments first."""
    with pytest.raises(errors.InvalidRequest, match="duration=5"):
        await api.generate("A dog", duration=5)
    with pytest.raises(errors.InvalidRequest, match="seeds"):
        await api.generate("A dog", seeds="x")  # type: ignore[typeddict-item]  # on purpose
    with pytest.raises(errors.InvalidRequest, match="Put them into the request"):
        await api.generate(VideoRequest("A dog"), duration=4)
    with pytest.raises(errors.InvalidRequest, match="model"):
        await api.extend("task", "more", model="veo3")
    for call in (api.record_info, api.get_1080p_video, api.get_4k_video):
        with pytest.raises(errors.InvalidRequest, match="task_id"):
            await call("")
    with pytest.raises(errors.InvalidRequest, match="callback_url"):
        await api.get_4k_video("task", callback_url="nowhere")
    for fetch in (api.download_url, api.upload_from_url):
        with pytest.raises(errors.InvalidRequest, match="url"):
            await fetch("/tmp/x")  # noqa: S108  # not a file, a bad URL
    with pytest.raises(errors.InvalidRequest, match="folder"):
        await api.upload_file(b"x", folder="/abs/")
    assert sim.requests == ()


async def test_newer_values_are_sent_without_validation(sim: Simulator, api: VeoApi) -> None:
    """With validate=False the provider decides."""
    with pytest.raises(errors.RequestRejected):
        await api.generate("A dog", model="veo4_turbo", validate=False)
    assert sim.requests_to("generate")[0].body["model"] == "veo4_turbo"


async def test_undocumented_endpoint_is_never_called(sim: Simulator) -> None:
    """Apikley documents no 1080p, so calling it could cost money; it has no upload host either."""
    async with VeoApi(sim.api_key, provider="apikley", base_url=sim.url) as api:
        with pytest.raises(errors.UnsupportedByProvider, match="get-1080p-video"):
            await api.get_1080p_video("task")
        with pytest.raises(errors.UnsupportedByProvider, match="duration"):
            await api.generate("A dog", duration=4, validate=False)
    variant = APIKLEY.variant("all-endpoints", endpoints=KIE.endpoints)
    async with VeoApi(sim.api_key, provider=variant) as api:
        with pytest.raises(errors.UnsupportedByProvider, match="upload_url"):
            await api.upload_file(b"x")
    assert sim.requests == ()


async def test_apikley_gets_its_own_spelling() -> None:
    """It accepts camel case only."""
    async with Simulator(dialect="apikley", speed=1000.0) as sim:
        async with VeoApi(sim.api_key, provider="apikley", base_url=sim.url) as api:
            await api.generate("A dog", aspect_ratio="9:16")
        assert sim.requests_to("generate")[0].body["aspectRatio"] == "9:16"


async def test_wrong_key_is_unauthorized(sim: Simulator) -> None:
    """The code 401 comes as HTTP 200."""
    async with VeoApi("another-key", base_url=sim.url) as api:
        with pytest.raises(errors.Unauthorized) as caught:
            await api.credit()
    assert (caught.value.http_status, caught.value.body_code) == (200, 401)


async def test_user_agent_and_accept_are_sent(sim: Simulator, api: VeoApi) -> None:
    """A firewall in front of the API blocks clients without a User-Agent."""
    await api.credit()
    headers = {name.lower(): value for name, value in sim.requests[0].headers.items()}
    assert headers["user-agent"].startswith("veo-async/")
    assert headers["accept"] == "application/json"


# --- every fault ------------------------------------------------------------------------------------------------

FAULTS: list[tuple[Fault, type[errors.VeoError], bool]] = [
    (rate_limited(form="http"), errors.RateLimited, True),
    (rate_limited(form="body"), errors.RateLimited, True),
    (refuse(401), errors.Unauthorized, False),
    (refuse(402), errors.InsufficientCredits, False),
    (refuse(433), errors.KeyLimitReached, False),
    (refuse(422, "prompt is missing"), errors.RequestRejected, False),
    (refuse(455), errors.Maintenance, True),
    (refuse(455, form="http"), errors.Maintenance, True),
    (refuse(505), errors.FeatureDisabled, False),
    (refuse(500, form="http"), errors.ServerError, False),
    (refuse(501), errors.ServerError, False),
    (unknown_code(599), errors.ServerError, False),
    (html_page(502), errors.ServerError, False),
    (html_page(200), errors.MalformedResponse, False),
    (blocked_1010(), errors.Blocked, False),
    (redirect(307), errors.MalformedResponse, False),
    (drop_before_accepting(), errors.ResponseLost, False),
    (drop_after_accepting(), errors.ResponseLost, False),
    (reset_connection("before"), errors.ResponseLost, False),
    (reset_connection("after"), errors.ResponseLost, False),
    (reset_connection("middle"), errors.ResponseLost, False),
    (truncate(), errors.ResponseLost, False),
    (slow_body(seconds=600.0), errors.ResponseLost, False),
    (delay(900.0), errors.ResponseLost, False),
    (delay(900.0, before=False), errors.ResponseLost, False),
    (corrupt_body("utf-8"), errors.MalformedResponse, False),
    (corrupt_body("gzip"), errors.ResponseLost, False),
    (empty_body(), errors.MalformedResponse, False),
    (wrong_types("number for taskId"), errors.MalformedResponse, False),
    (duplicate_keys(), errors.MalformedResponse, False),
    (not_a_number(), errors.MalformedResponse, False),
    (deep_nesting(50_000), errors.MalformedResponse, False),
    (huge_integer(500_000), errors.MalformedResponse, False),
    (huge_body(2_000_000), errors.MalformedResponse, False),
    (endless_body(), errors.MalformedResponse, False),
    (gzip_bomb(64_000_000), errors.MalformedResponse, False),
    (many_headers(10_000), errors.MalformedResponse, False),
]


@pytest.mark.parametrize(("fault", "kind", "retryable"), FAULTS, ids=[f"{f.kind}-{k.__name__}" for f, k, _ in FAULTS])
async def test_fault_on_a_creating_request_is_sent_once(
    fault: Fault, kind: type[errors.VeoError], retryable: bool, route: RouteName
) -> None:
    """One POST; it is retryable only if nothing can have been charged, and the text says if it may have been."""
    timeout = 0.5 if kind is errors.ResponseLost else 30.0  # only delays need to run into it
    async with Simulator(speed=1000.0, faults=[fault]) as sim:
        async with VeoApi(sim.api_key, base_url=sim.url, timeout=timeout) as api:
            with pytest.raises(errors.VeoError) as caught:
                await create(api, VideoRequest("A dog"), route_named(route))
        assert type(caught.value) is kind, caught.value
        assert caught.value.retryable is retryable
        charged = kind in (errors.ResponseLost, errors.MalformedResponse, errors.ServerError)
        assert ("may have been charged" in str(caught.value)) is charged
        assert caught.value.endpoint == CREATE[route]
        assert len(sim.requests_to("generate")) == 1
        assert retryable is False or sim.charges == ()


async def test_byte_order_mark_is_accepted(route: RouteName) -> None:
    """It does not change the meaning, and the task id after it is charged."""
    async with Simulator(faults=[byte_order_mark()]) as sim, VeoApi(sim.api_key, base_url=sim.url) as api:
        task = await create(api, VideoRequest("A dog"), route_named(route))
        assert task.task_id == sim.charges[0].task_id


async def test_fault_on_a_read_is_retryable(route: RouteName) -> None:
    """After a broken or lost response to a read the next poll succeeds."""
    kinds = [html_page(502, on=1), html_page(200, on=2), drop_after_accepting(on=3), truncate(on=4), corrupt_body(on=5)]
    faults = [fault_on_reads(fault) for fault in kinds]
    async with Simulator(speed=1000.0, faults=faults) as sim, VeoApi(sim.api_key, base_url=sim.url) as api:
        task = await create(api, VideoRequest("A dog"), route_named(route))
        for _ in kinds:
            with pytest.raises(errors.VeoError) as caught:
                await api.record_info(task.task_id, route=route)
            assert caught.value.retryable
            assert caught.value.task_id == task.task_id
        assert (await api.record_info(task.task_id, route=route)).task_id == task.task_id


def fault_on_reads(fault: Fault) -> Fault:
    """Return *fault*, limited to reads of records."""
    return attrs.evolve(fault, endpoint="record-info")


async def test_retry_after_is_in_the_error(route: RouteName) -> None:
    """In seconds, whether it was sent as seconds or as a date."""
    faults = [rate_limited(on=1, retry_after=7.0), rate_limited(on=2, retry_after=30.0, retry_after_as="date")]
    async with Simulator(faults=faults) as sim, VeoApi(sim.api_key, base_url=sim.url) as api:
        delays = []
        for _ in faults:
            with pytest.raises(errors.RateLimited) as caught:
                await create(api, VideoRequest("A dog"), route_named(route))
            delays.append(caught.value.retry_after)
    assert delays[0] == 7.0
    assert delays[1] == pytest.approx(30.0, abs=1.5)


async def test_concurrent_requests_share_connections(sim: Simulator, api: VeoApi) -> None:
    """A hundred concurrent requests get a hundred responses."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(api.credit()) for _ in range(100)]
    assert {task.result().balance for task in tasks} == {1_000_000.0}
    assert len(sim.requests) == 100
