"""Our own client against the simulator, with both frontends and in every dialect."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from veo_async import VeoApi
from veo_async._wire import TaskState
from veo_async.errors import (
    ContentRefused,
    ImageUnreachable,
    InsufficientCredits,
    Maintenance,
    NotReady,
    RateLimited,
    RecordNotFound,
    ResponseLost,
    TaskFailed,
    Unauthorized,
    VeoError,
)
from veo_async.simulator import (
    MemoryTransport,
    Simulator,
    drop_after_accepting,
    rate_limited,
    refuse,
    wrong_types,
)
from veo_async.simulator.faults.mutations import MUTATIONS

Frontend = Simulator | MemoryTransport


@pytest.fixture(params=["server", "memory"])
async def frontend(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Frontend, VeoApi]]:
    if request.param == "memory":
        transport = MemoryTransport(duration_s=60.0)
        async with VeoApi(transport.api_key, transport=transport) as api:
            yield transport, api
        return
    async with Simulator(duration_s=60.0) as sim, VeoApi(sim.api_key, base_url=sim.url) as api:
        yield sim, api


async def test_client_generates_extends_and_upgrades(frontend: tuple[Frontend, VeoApi]) -> None:
    """The balance afterwards is the start minus the prices."""
    sim, api = frontend
    task = await api.generate("a dog", aspect_ratio="9:16", seeds=12345)
    assert (await api.record_info(task.task_id)).state is TaskState.GENERATING
    sim.advance(60)
    record = await api.record_info(task.task_id)
    assert (record.state, record.seeds, record.task_id) == (TaskState.SUCCEEDED, (12345,), task.task_id)
    assert record.params["aspectRatio"] == "9:16"
    extended = await api.extend(task.task_id, "and on")
    with pytest.raises(NotReady):
        await api.get_1080p_video(task.task_id)
    assert not (await api.get_4k_video(task.task_id)).is_ready
    sim.advance(60)
    assert (await api.get_1080p_video(task.task_id)).url.endswith(".mp4")
    assert (await api.get_4k_video(task.task_id)).is_ready
    assert (await api.record_info(extended.task_id)).full_urls
    assert (await api.download_url(record.urls[0])).url != record.urls[0]
    assert (await api.credit()).balance == 1_000_000 - 60 - 60 - 5 - 120
    sim.assert_no_double_charge()


async def test_client_uploads_files_bytes_and_urls(frontend: tuple[Frontend, VeoApi], tmp_path: Path) -> None:
    """The client parses the responses."""
    _, api = frontend
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"\x89PNG" + bytes(2000))
    by_form = await api.upload_file(photo)
    by_base64 = await api.upload_base64(photo.read_bytes(), file_name="b.png")
    by_url = await api.upload_from_url(by_form.url)
    assert {by_form.size, by_base64.size, by_url.size} == {2004}


@pytest.mark.parametrize("dialect", ["real", "quickstart-1", "quickstart-2", "openapi", "apikley"])
async def test_client_understands_every_dialect(dialect: str) -> None:
    """It recognizes running, succeeded and failed tasks."""
    provider = "apikley" if dialect == "apikley" else "kie"
    async with (
        Simulator(dialect=dialect, duration_s=60.0) as sim,
        VeoApi(sim.api_key, provider=provider, base_url=sim.url) as api,
    ):
        good, bad = await api.generate("a dog", aspect_ratio="9:16"), await api.generate("a dog [refuse-late]")
        assert (await api.record_info(good.task_id)).state is TaskState.GENERATING
        sim.advance(60)
        done, failed = await api.record_info(good.task_id), await api.record_info(bad.task_id)
        assert done.urls == sim.tasks[good.task_id].urls
        assert (done.completed_at - done.created_at).total_seconds() == 60  # type: ignore[operator]
        assert failed.failure is not None
        assert failed.failure.is_refusal


@pytest.mark.parametrize(
    ("options", "prompt", "error"),
    [
        ({}, "[refuse]", ContentRefused),
        ({"credits": 1.0}, "x", InsufficientCredits),
        ({"maintenance": [(0.0, 9.0)]}, "x", Maintenance),
        ({"faults": [rate_limited(retry_after=4, form="body")]}, "x", RateLimited),
        ({"faults": [rate_limited(retry_after=4)]}, "x", RateLimited),
        ({"faults": [drop_after_accepting()]}, "x", ResponseLost),
        ({"faults": [refuse(401)]}, "x", Unauthorized),
    ],
)
async def test_client_raises_a_typed_error(options: dict[str, object], prompt: str, error: type[VeoError]) -> None:
    """The table states the error for each cause."""
    transport = MemoryTransport(**options)
    async with VeoApi(transport.api_key, transport=transport) as api:
        with pytest.raises(error):
            await api.generate(prompt)


async def test_client_distinguishes_missing_and_failed_records(frontend: tuple[Frontend, VeoApi]) -> None:
    """A missing record raises `RecordNotFound`; a failed task has a failure."""
    sim, api = frontend
    with pytest.raises(RecordNotFound):
        await api.record_info("never-made")
    task = await api.generate("[image-unreachable]")
    sim.advance(60)
    record = await api.record_info(task.task_id)
    assert record.state is TaskState.FAILED
    assert record.failure is not None
    assert isinstance(record.failure.error(), TaskFailed | ImageUnreachable)


@pytest.mark.parametrize("variant", sorted(MUTATIONS))
async def test_wrong_types_raise_only_veo_errors(variant: str) -> None:
    """The client returns a value or raises one of its own errors."""
    transport = MemoryTransport(faults=[wrong_types(variant, endpoint="*")])
    async with VeoApi(transport.api_key, transport=transport) as api:
        for request in (api.generate("x"), api.record_info("x"), api.credit(), api.get_4k_video("x")):
            try:
                await request
            except VeoError:
                continue
