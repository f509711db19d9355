"""The route of an adopted task."""

import attrs
import pytest

from veo_async._rules.task_route import has_route, route_of_record
from veo_async._wire import Record, RouteName

NO_MODEL = Record(flag=1)


@pytest.mark.parametrize("route", ["veo", "jobs"])
def test_the_only_route_with_a_record_counts(route: RouteName) -> None:
    assert route_of_record({route: Record(flag=1, model="veo-3-1")}) == route


@pytest.mark.parametrize(
    ("model", "route"),
    [("veo-3-1", "jobs"), ("veo/extend", "jobs"), ("veo/get-4k-video", "jobs"), ("veo3_fast", "veo")],
)
@pytest.mark.parametrize("first", ["veo", "jobs"])
def test_the_model_decides_if_both_routes_have_a_record(first: RouteName, model: str, route: RouteName) -> None:
    second: RouteName = "jobs" if first == "veo" else "veo"
    records = {"veo": NO_MODEL, "jobs": Record(flag=1, model=model)}
    assert route_of_record({first: records[first], second: records[second]}) == route


@pytest.mark.parametrize(("first", "second"), [("veo", "jobs"), ("jobs", "veo")])
def test_without_a_model_the_route_that_was_asked_first_counts(first: RouteName, second: RouteName) -> None:
    assert route_of_record({first: NO_MODEL, second: NO_MODEL}) == first


@attrs.frozen
class Job:
    state: str
    task_id: str | None = None
    sent_at: float | None = None


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (Job("queued"), False),
        (Job("queued", sent_at=1.0), False),
        (Job("refused"), False),
        (Job("refused", sent_at=1.0), True),
        (Job("running", "task"), True),
        (Job("running", "task", 1.0), True),
    ],
)
def test_job_has_a_route_once_its_request_was_sent(job: Job, expected: bool) -> None:
    """Not while it waits again after a request that created nothing."""
    assert has_route(job) is expected
