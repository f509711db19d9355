"""Extensions: the model is that of the source clip, and the jobs route accepts only that one."""

import asyncio

import pytest

from veo_async import ExtendRequest, VideoRequest, errors
from veo_async._rules.lifecycle import JobState
from veo_async.types import RouteName

from .support import world

pytestmark = pytest.mark.veo_virtual_time

ROUTES: tuple[RouteName, RouteName] = ("veo", "jobs")
EXTENSION = ExtendRequest(prompt="It swims ashore")


@pytest.mark.parametrize("route", ROUTES)
async def test_extension_costs_what_an_extension_by_the_model_of_its_source_costs(route: RouteName) -> None:
    """The estimate, the reservation and the charge agree, in a chain and for a finished clip."""
    async with world(session={"route": route}) as (veo, sim):
        assert veo.account.estimate("A dog", model="veo3", then=EXTENSION) == 500.0
        job = await veo.submit("A dog", model="veo3", then=EXTENSION)
        await job
        assert job.credits == 250.0
        clip = await veo.generate("A cat", model="veo3_lite")
        await veo.extend(clip, "It swims ashore")
        assert [charge.credits for charge in sim.charges] == [250.0, 250.0, 30.0, 30.0]
        assert veo.statistics().price_differences.jobs == 0


async def test_extension_names_another_model_on_the_veo_route_only() -> None:
    """A continuation may be cheaper than its source."""
    async with world() as (veo, sim):
        clip = await veo.generate("A dog", model="veo3")
        await veo.extend(clip, "It swims ashore", model="fast")
        assert [charge.credits for charge in sim.charges] == [250.0, 60.0]


async def test_other_model_is_refused_on_the_jobs_route_before_any_request() -> None:
    """In a chain at once; for a finished clip before the extension is sent."""
    async with world(session={"route": "jobs"}) as (veo, sim):
        with pytest.raises(errors.InvalidRequest, match=r"model .*counts on the jobs route.*model='quality'"):
            await veo.submit("A dog", model="veo3", then=ExtendRequest(prompt="It swims ashore", model="fast"))
        assert (len(sim.requests), len(veo.jobs())) == (0, 0)
        clip = await veo.generate("A dog", model="veo3")
        with pytest.raises(errors.InvalidRequest, match="model='quality'"):
            await veo.extend(clip, "It swims ashore", model="lite")
        assert veo.jobs()[-1].state is JobState.REFUSED
        assert len(sim.charges) == 1


async def test_record_tells_the_model_of_a_clip_that_was_created_outside_the_session() -> None:
    """The default may be another model, and is refused then: the price would be another, too."""
    async with world() as (veo, sim):
        source = await veo.api.create_task(VideoRequest("A dog", model="veo3"))
        await asyncio.sleep(600)
        with pytest.raises(errors.InvalidRequest, match="model='quality'"):
            await veo.extend(source.task_id, "It swims ashore")
        assert len(sim.charges) == 1
        await veo.extend(source.task_id, "It swims ashore", model="quality")
        assert [charge.credits for charge in sim.charges] == [250.0, 250.0]


async def test_extension_of_an_adopted_clip_has_its_model() -> None:
    """The request of an adopted task is not on the ledger, but in its record."""
    async with world() as (veo, sim):
        source = await veo.api.create_task(VideoRequest("A dog", model="veo3_lite"))
        await (await veo.ledger.adopt(source.task_id))
        with pytest.raises(errors.InvalidRequest, match="model='lite'"):
            await veo.extend(source.task_id, "It swims ashore")
        await veo.extend(source.task_id, "It swims ashore", model="lite")
        assert [charge.credits for charge in sim.charges] == [30.0, 30.0]
