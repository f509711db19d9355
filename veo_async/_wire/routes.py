"""The provider's two routes: the Veo endpoints (``veo``), and the unified jobs API (``jobs``).

Both serve the same account, balance and models. A route is a value: it names the endpoint of each request, makes the
body, and names the endpoint with the records of its tasks. A task belongs to the route that created it.

On the jobs route every request goes to one endpoint, as ``{"model": …, "input": {…}}``. An upgrade is a task with an id
and a record of its own. An extension has no model: the provider presumably uses that of the source clip. So
the default model of an `ExtendRequest` is left out, and any other is a problem, because the route cannot express it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_never, get_args

import attrs

from veo_async.errors import InvalidRequest, Problem

from . import endpoints
from .converter import fields_on_wire, to_wire
from .dialects.dialect import Dialect
from .endpoints import Endpoint
from .fields import JOB_4K, JOB_1080P, JOB_EXTEND, JOB_GENERATE, UPGRADE, Table
from .requests import AnyRequest, ExtendRequest, UpgradeRequest, VideoRequest
from .responses import Record

RouteName = Literal["veo", "jobs"]

#: Options without a field in ``input``: the callback URL stands beside it, and the model says what an upgrade makes.
_OUTSIDE_INPUT = frozenset({"callback_url", "to", "after_key"})


@attrs.frozen(kw_only=True, eq=False)
class Route:
    """One way to create tasks and to read their records.

    Attributes:
        name: the name users pass: ``route="jobs"``.
        record: the endpoint with the records of this route's tasks.
        upgrades_are_tasks: whether an upgrade gets a task id from the provider, and a record.
        endpoint_for: returns the endpoint that takes a request.
        body: returns what is sent for a request, in the spelling of a dialect; None and empty values may be left out.
        problems_of: returns the options of a request that this route cannot express.
    """

    name: RouteName
    record: Endpoint[Record]
    upgrades_are_tasks: bool
    endpoint_for: Callable[[AnyRequest], Endpoint[Any]]
    body: Callable[[AnyRequest, Dialect], dict[str, Any]]
    problems_of: Callable[[AnyRequest], tuple[Problem, ...]]

    def check(self, request: AnyRequest) -> None:
        """Raise `InvalidRequest` with the options of *request* that this route cannot express, if there are any."""
        if problems := self.problems_of(request):
            raise InvalidRequest.of(*problems)


# --- the Veo endpoints ------------------------------------------------------------------------------------------


def _veo_endpoint(request: AnyRequest) -> Endpoint[Any]:
    match request:
        case VideoRequest():
            return endpoints.GENERATE
        case ExtendRequest():
            return endpoints.EXTEND
        case UpgradeRequest():
            return endpoints.GET_4K if request.to == "4k" else endpoints.GET_1080P
        case _:
            assert_never(request)


def _veo_body(request: AnyRequest, dialect: Dialect) -> dict[str, Any]:
    if isinstance(request, UpgradeRequest):
        fields = fields_on_wire(request, UPGRADE)
        return fields if request.to == "4k" else {name: fields[name] for name in fields if name != "callBackUrl"}
    return to_wire(request, dialect)


VEO = Route(
    name="veo",
    record=endpoints.RECORD_INFO,
    upgrades_are_tasks=False,
    endpoint_for=_veo_endpoint,
    body=_veo_body,
    problems_of=lambda _: (),
)


# --- the unified jobs API ---------------------------------------------------------------------------------------


def _job_model(request: AnyRequest) -> tuple[str, Table]:
    """Return the jobs API's model for *request*, and the fields of its input."""
    match request:
        case VideoRequest():
            return "veo-3-1", JOB_GENERATE
        case ExtendRequest():
            return "veo/extend", JOB_EXTEND
        case UpgradeRequest():
            return ("veo/get-4k-video", JOB_4K) if request.to == "4k" else ("veo/get-1080p-video", JOB_1080P)
        case _:
            assert_never(request)


def _job_body(request: AnyRequest, _: Dialect) -> dict[str, Any]:
    model, table = _job_model(request)
    beside = {"callBackUrl": request.callback_url} if request.callback_url is not None else {}
    fields = fields_on_wire(request, table)
    if fields.get("index") == 0:  # the first video; the documentation contradicts itself about the type
        del fields["index"]
    return {"model": model, **beside, "input": fields}


def _job_problems(request: AnyRequest) -> tuple[Problem, ...]:
    """Return a problem for each option that is set and has no field in the input."""
    _, table = _job_model(request)
    known = _OUTSIDE_INPUT | {field.name for field in table}
    return tuple(
        Problem(option.name, value, "is not an option of the jobs route", 'leave it out, or use route="veo"')
        for option in attrs.fields(type(request))
        if option.name not in known and (value := getattr(request, option.name)) not in (None, option.default)
    )


JOBS = Route(
    name="jobs",
    record=endpoints.JOB_RECORD,
    upgrades_are_tasks=True,
    endpoint_for=lambda _: endpoints.CREATE_TASK,
    body=_job_body,
    problems_of=_job_problems,
)

_BY_NAME: Mapping[str, Route] = {route.name: route for route in (VEO, JOBS)}


def route_named(name: str) -> Route:
    """Return the route called *name*.

    Raises:
        InvalidRequest: there is no such route.
    """
    if name not in _BY_NAME:
        known = " or ".join(map(repr, get_args(RouteName)))
        raise InvalidRequest.of(Problem("route", name, "is not a route", f"use {known}"))
    return _BY_NAME[name]
