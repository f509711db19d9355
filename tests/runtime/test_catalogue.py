"""``veo.account.models()``: the provider's catalogue compared with our table, read at one request per second."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from veo_async import errors
from veo_async.pricing import PRICES
from veo_async.simulator import MemoryTransport, drop_before_accepting, rate_limited, unknown_code

from .support import Clock, let_run, memory, run_together, session_on, world

pytestmark = pytest.mark.veo_virtual_time

NAMES = ["veo-3-1", "veo/extend", "veo/get-1080p-video", "veo/get-4k-video"]
CATALOGUE = ("models", "model-price", "model-success-rate", "model-schema")


def sent_at(sim: MemoryTransport) -> list[float]:
    """Return when the requests of the catalogue were received, from the first one on."""
    times = sorted(request.at for name in CATALOGUE for request in sim.requests_to(name))
    return [round(at - times[0], 2) for at in times]


async def test_every_veo_model_is_compared_with_our_table() -> None:
    """With the provider's price, the mean success rate and the schema; the simulator agrees with our table."""
    async with world() as (veo, _):
        models = await veo.account.models()
    assert [model.name for model in models] == NAMES
    video, extension, hd, _ = models
    assert (video.title, video.success_rate, video.differences) == ("Veo 3.1", 99.0, ())
    assert "Fast 60 credits at 720p" in (video.price or "")
    assert video.our_prices["veo3"] == PRICES["veo3"]
    assert extension.our_prices == {"extend": PRICES["extend"]}
    assert hd.our_prices == {"upgrade": {"1080p": 5.0}}
    assert video.schema is not None
    assert "/api/v1/jobs/createTask" in video.schema["paths"]
    assert not any(model.differences for model in models)


async def test_requests_are_at_least_a_second_apart() -> None:
    """The simulator would respond with code 429. The price is in the list, so it is not requested again."""
    async with world() as (veo, sim):
        await veo.account.models()
        assert sent_at(sim) == [float(n) for n in range(9)]
        assert not sim.requests_to("model-price")


async def test_concurrent_calls_share_the_pace() -> None:
    async with world() as (veo, sim):
        clock = Clock()
        account = veo.account
        schema, models, video = await run_together(
            [account.model_schema("example/image"), account.models(), account.model_schema("veo-3-1")]
        )
        assert (schema, len(models), "paths" in video) == (None, 4, True)
        assert sent_at(sim) == [float(n) for n in range(11)]
        assert clock() == pytest.approx(10.0, abs=0.1)


async def test_slow_response_delays_the_next_request() -> None:
    """It may have arrived late, so the second begins with the response."""
    async with world(latency_s=3.0) as (veo, sim):
        await veo.account.model_schema("veo-3-1")
        await veo.account.model_schema("veo/extend")
        assert sent_at(sim)[1] >= 4.0 - 3.0


async def test_failed_and_rate_limited_reads_are_retried_at_the_same_pace() -> None:
    faults = [rate_limited(on=1, endpoint="models"), drop_before_accepting(on=1, endpoint="model-schema")]
    async with world(faults=faults) as (veo, sim):
        models = await veo.account.models()
        assert [model.differences for model in models] == [()] * 4
        times = sent_at(sim)
        assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


async def test_part_that_fails_does_not_hide_the_others() -> None:
    """Four attempts, then a sentence says what could not be read."""
    async with world(faults=[unknown_code(500, endpoint="model-success-rate")]) as (veo, sim):
        models = await veo.account.models()
        assert len(sim.requests_to("model-success-rate")) == 4 * 4
    for model in models:
        (difference,) = model.differences
        assert difference.startswith("The success rate could not be read: ")
        assert (model.success_rate, model.schema is None) == (None, False)


async def test_name_that_fits_into_no_path_is_shown_without_parts() -> None:
    async with world(catalogue={"veo 4?": {"pricingDesc": "9 credits"}}) as (veo, _):
        model = (await veo.account.models())[-1]
    assert (model.name, model.price, model.schema) == ("veo 4?", "9 credits", None)


async def test_cancelled_read_lets_the_next_one_run() -> None:
    async with world() as (veo, _):
        reading = asyncio.create_task(veo.account.models())
        await asyncio.sleep(2.5)
        reading.cancel()
        await let_run()
        assert len(await veo.account.models()) == 4
        assert reading.cancelled()


async def test_differences_are_sentences() -> None:
    """A new price, a model that is gone, a new one, and a schema that says nothing."""
    changes: dict[str, Any] = {
        "veo-3-1": {"pricingDesc": "Fast 1,070 credits", "openapi": {"paths": {}}, "points": []},
        "veo/extend": None,
        "veo-4": {"pricingDesc": "9 credits"},
    }
    async with world(catalogue=changes) as (veo, _):
        models = {model.name: model for model in await veo.account.models()}
    assert models["veo-3-1"].differences == (
        "The provider's price names 1,070 credits; our table does not.",
        "The provider's schema has no fields, so the options could not be compared.",
    )
    assert models["veo-3-1"].success_rate is None
    assert models["veo/extend"].differences[0] == "The provider's catalogue does not list this model."
    assert (models["veo/extend"].price, models["veo/extend"].schema) == (None, None)
    assert models["veo-4"].differences == ("veo_async does not know this model.",)


async def test_own_price_table_is_the_one_that_is_compared() -> None:
    async with world(session={"prices": {"veo3_fast": {"720p": 60.0}}}) as (veo, _):
        video, extension, *_ = await veo.account.models()
    assert video.our_prices == {"veo3_fast": {"720p": 60.0}}
    assert "The provider's price names 250 credits; our table does not." in video.differences
    assert extension.our_prices == {}


async def test_schema_of_an_unknown_model_is_not_found() -> None:
    async with world() as (veo, _):
        with pytest.raises(errors.NotFound, match="no model called 'veo3_fast'"):
            await veo.account.model_schema("veo3_fast")


@pytest.mark.parametrize("name", ["", "/veo", "veo/", "a//b", "../chat/credit", "veo?x", "veo 3", "véo", 7])
async def test_name_that_is_no_models_is_rejected_before_it_is_sent(name: Any) -> None:
    async with world() as (veo, sim):
        with pytest.raises(errors.InvalidRequest, match="is not the name of a model"):
            await veo.account.model_schema(name)
        assert not sim.requests_to()


async def test_provider_without_a_catalogue_is_reported_before_anything_is_sent() -> None:
    async with session_on(sim := memory(dialect="apikley"), provider="apikley") as veo:
        with pytest.raises(errors.UnsupportedByProvider, match="apikley"):
            await veo.account.models()
        assert not sim.requests_to()


async def test_closed_session_reads_no_catalogue() -> None:
    async with world() as (veo, _):
        pass
    for read in (veo.account.models, lambda: veo.account.model_schema("veo-3-1")):
        with pytest.raises(errors.SessionClosed):
            await read()
