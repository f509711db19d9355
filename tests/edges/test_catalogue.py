"""`VeoApi` reads the provider's catalogue: one request each, over sockets."""

from collections.abc import AsyncIterator

import pytest

from veo_async import VeoApi, errors
from veo_async.simulator import Simulator, html_page


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(catalogue_rate=None) as simulator:
        yield simulator


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[VeoApi]:
    async with VeoApi(sim.api_key, base_url=sim.url) as client:
        yield client


async def test_models_are_listed_and_filtered(sim: Simulator, api: VeoApi) -> None:
    assert len(await api.models()) == 5
    found = await api.models(query="4k", provider="Google", task_type="Text to Video")
    assert [(model.name, model.title) for model in found] == [("veo/get-4k-video", "Veo 3.1 4K")]
    everything, filtered = sim.requests_to("models")
    assert (everything.query, filtered.query) == ({}, {"q": "4k", "provider": "Google", "taskType": "Text to Video"})


async def test_slash_in_a_name_is_not_escaped(sim: Simulator, api: VeoApi) -> None:
    """The provider wants it as it is."""
    assert await api.model_price("veo/get-1080p-video") == "5 credits per video."
    assert len(await api.model_success_rate("veo/extend")) == 144
    schema = await api.model_schema("veo/extend")
    assert schema is not None
    assert schema["info"]["title"] == "veo/extend"
    (request,) = sim.requests_to("model-price")
    assert request.path == "/api/v1/models/veo/get-1080p-video/price"


async def test_model_without_a_schema_has_none(api: VeoApi) -> None:
    assert await api.model_schema("example/image") is None


async def test_unknown_model_is_named(api: VeoApi) -> None:
    for read in (api.model_price, api.model_success_rate, api.model_schema):
        with pytest.raises(errors.NotFound, match="no model called 'veo3_fast'"):
            await read("veo3_fast")


async def test_page_of_another_server_asks_for_the_base_url() -> None:
    """It does not say that the model is unknown."""
    async with (
        Simulator(faults=[html_page(404, on=1, endpoint="model-schema")]) as sim,
        VeoApi(sim.api_key, base_url=sim.url) as api,
    ):
        with pytest.raises(errors.VeoError, match="KIE_BASE_URL") as caught:
            await api.model_schema("veo-3-1")
        assert "no model called" not in str(caught.value)


async def test_client_does_not_wait(sim: Simulator) -> None:
    """It makes one request; the second one within a second is an error that may be retried."""
    async with Simulator() as limited, VeoApi(limited.api_key, base_url=limited.url) as api:
        await api.models()
        with pytest.raises(errors.RateLimited) as caught:
            await api.models()
        assert (caught.value.http_status, caught.value.body_code, caught.value.retryable) == (200, 429, True)


@pytest.mark.parametrize("name", ["", "/veo", "veo/", "a//b", "../chat/credit", "veo?x", "veo 3", "véo"])
async def test_name_that_is_no_models_is_rejected_before_it_is_sent(name: str, sim: Simulator, api: VeoApi) -> None:
    with pytest.raises(errors.InvalidRequest, match="is not the name of a model"):
        await api.model_price(name)
    assert not sim.requests_to("model-price")


async def test_apikley_has_no_catalogue(sim: Simulator) -> None:
    async with VeoApi(sim.api_key, provider="apikley", base_url=sim.url) as api:
        with pytest.raises(errors.UnsupportedByProvider, match="apikley"):
            await api.models()
    assert not sim.requests_to("models")
