"""`VeoApi` on the jobs route against the simulator: tasks of every kind, records, and rejections."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from veo_async import ExtendRequest, TaskState, VeoApi, VideoRequest, errors
from veo_async._api import RecordPoller, create
from veo_async._api.record_poller import UNCHANGED
from veo_async._ports import HttpRequest
from veo_async._wire import JOBS, Accepted, AnyRequest, HttpResponse, UpgradeRequest
from veo_async.simulator import Simulator


class Recording:
    """A transport that records requests and returns one response."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._response = HttpResponse(status=200, body=json.dumps(body).encode())
        self.requests: list[HttpRequest] = []

    async def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self._response

    async def close(self) -> None:
        pass


def recorded(body: Mapping[str, Any], provider: str = "kie") -> tuple[VeoApi, Recording]:
    """Return a client whose requests are recorded."""
    transport = Recording(body)
    return VeoApi("a-key-for-tests", provider=provider, base_url="http://127.0.0.1:1", transport=transport), transport


ACCEPTED = {"code": 200, "msg": "success", "data": {"taskId": "0f" * 16, "recordId": "0f" * 16}}


async def finished(api: VeoApi, task: Accepted) -> tuple[str, ...]:
    """Poll the task's record until it has succeeded, and return the URLs."""
    while (record := await api.record_info(task.task_id, route="jobs")).state is not TaskState.SUCCEEDED:
        assert record.state is TaskState.GENERATING
    return record.urls


async def test_chain_on_the_jobs_route_is_four_tasks_with_records(sim: Simulator, api: VeoApi) -> None:
    """Each step has an id from the provider, and is charged once."""
    source = await create(api, VideoRequest("a dog"), JOBS)
    assert await finished(api, source)
    task_ids = {source.task_id}
    for request in (
        ExtendRequest(source.task_id, "it barks"),
        UpgradeRequest(source.task_id, "4k"),
        UpgradeRequest(source.task_id),
    ):
        task = await create(api, request, JOBS)
        assert await finished(api, task)
        task_ids.add(task.task_id)
    assert len(task_ids) == len(sim.charges) == 4
    assert sim.double_charges() == ()


@pytest.mark.parametrize("request_", [VideoRequest("p"), ExtendRequest("t-1", "p"), UpgradeRequest("t-1")])
async def test_create_on_the_jobs_route_sends_one_create_task(request_: AnyRequest) -> None:
    """The body is the route's."""
    api, transport = recorded(ACCEPTED)
    assert (await create(api, request_, JOBS)).task_id == "0f" * 16
    (sent,) = transport.requests
    assert (sent.method, sent.url) == ("POST", "http://127.0.0.1:1/api/v1/jobs/createTask")
    assert json.loads(sent.body or b"") == JOBS.body(request_, api.dialect)


@pytest.mark.parametrize("validate", [True, False])
async def test_option_that_the_route_does_not_have_is_refused_before_sending(validate: bool) -> None:
    api, transport = recorded(ACCEPTED)
    with pytest.raises(errors.InvalidRequest, match="seeds"):
        await api.create_task(VideoRequest("p", seeds=12345), validate=validate)
    assert transport.requests == []


@pytest.mark.parametrize("validate", [True, False])
async def test_text_that_cannot_be_encoded_is_refused_before_sending(validate: bool) -> None:
    api, transport = recorded(ACCEPTED)
    with pytest.raises(errors.InvalidRequest, match="surrogate"):
        await api.create_task(VideoRequest("\ud800"), validate=validate)
    assert transport.requests == []


async def test_provider_without_the_jobs_route_is_refused_before_sending() -> None:
    """Neither requests nor polls are sent."""
    api, transport = recorded(ACCEPTED, "apikley")
    with pytest.raises(errors.UnsupportedByProvider, match="apikley"):
        await api.create_task(VideoRequest("p"))
    with pytest.raises(errors.UnsupportedByProvider, match="apikley"):
        await api.record_info("t-1", route="jobs")
    assert transport.requests == []


async def test_unknown_route_is_refused_before_sending() -> None:
    api, transport = recorded(ACCEPTED)
    with pytest.raises(errors.InvalidRequest, match="route"):
        await api.record_info("t-1", route="old")  # type: ignore[arg-type]
    assert transport.requests == []


async def test_poller_reads_each_route_at_its_own_endpoint() -> None:
    """An identical record of a waiting task is not parsed again."""
    api, transport = recorded({"code": 200, "msg": "success", "data": {"taskId": "t", "state": "waiting"}})
    poller = RecordPoller(api)
    assert (await poller.poll("t", JOBS)).state is TaskState.GENERATING
    assert await poller.poll("t", JOBS) is UNCHANGED
    assert [request.url.partition("/api/v1/")[2] for request in transport.requests] == ["jobs/recordInfo?taskId=t"] * 2


async def test_task_of_the_other_route_has_no_record(api: VeoApi) -> None:
    task = await create(api, VideoRequest("a dog"))
    with pytest.raises(errors.RecordNotFound):
        await api.record_info(task.task_id, route="jobs")
    assert (await api.record_info(task.task_id)).task_id == task.task_id


@pytest.mark.parametrize("form", ["2026-09", "2026-04"])
@pytest.mark.parametrize("result", ["flat", "nested"])
async def test_every_form_of_a_record_is_read(form: str, result: str) -> None:
    async with (
        Simulator(speed=1000.0, duration_s=60.0, record_form=form, result_form=result) as sim,
        VeoApi(sim.api_key, base_url=sim.url) as api,
    ):
        task = await create(api, VideoRequest("a dog", resolution="1080p", callback_url="https://me.example/cb"), JOBS)
        assert len(await finished(api, task)) == 1
        record = await api.record_info(task.task_id, route="jobs")
        assert (record.params["prompt"], record.model) == ("a dog", "veo-3-1")
        assert "https://me.example/cb" in record.params["callBackUrl"]
