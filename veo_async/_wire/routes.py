r"""The provider's two routes to Veo: its dedicated endpoints, and its unified jobs API.

A route belongs to a task: what one route created is read, upgraded and extended there. Routes are values, like
dialects: a route says which endpoint a request goes to, how its body is made, and where its record is.

============  ===================================  ==================================
\             ``veo``                              ``jobs``
============  ===================================  ==================================
clip          ``POST /api/v1/veo/generate``        ``createTask``, ``veo-3-1``
extension     ``POST /api/v1/veo/extend``          ``createTask``, ``veo/extend``
1080p         ``GET …/get-1080p-video``            ``createTask``, ``veo/get-1080p-video``
4K            ``POST …/get-4k-video``              ``createTask``, ``veo/get-4k-video``
record        ``GET /api/v1/veo/record-info``      ``GET /api/v1/jobs/recordInfo``
upgrades      the request is repeated              tasks with records
============  ===================================  ==================================
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, assert_never, get_args

import attrs

from veo_async.errors import InvalidRequest, Problem

from . import endpoints, job_fields
from .converter import spelled, to_wire
from .dialects.dialect import Dialect
from .endpoints import Endpoint
from .fields import Field
from .requests import AnyRequest, ExtendRequest, UpgradeRequest, VideoRequest
from .responses import Record

RouteName = Literal["veo", "jobs"]


@attrs.frozen(kw_only=True, eq=False)
class Route:
    """One route.

    Attributes:
        name: the name users pass, and that is stored on the ledger.
        record: the endpoint of its records.
        upgrades_are_tasks: an upgrade is a task with a record; otherwise its request is repeated until it is done.
    """

    name: RouteName
    record: Endpoint[Record]
    upgrades_are_tasks: bool

    def endpoint_for(self, request: AnyRequest) -> Endpoint[Any]:
        """Return the endpoint that creates the task of *request*."""
        if self.name == "jobs":
            return endpoints.CREATE_TASK
        match request:
            case VideoRequest():
                return endpoints.GENERATE
            case ExtendRequest():
                return endpoints.EXTEND
            case UpgradeRequest(to="4k"):
                return endpoints.GET_4K
            case UpgradeRequest():
                return endpoints.GET_1080P
            case _:
                assert_never(request)

    def body(self, request: VideoRequest | ExtendRequest | UpgradeRequest, dialect: Dialect) -> dict[str, Any]:
        """Return the body of a creating request.

        Raises:
            InvalidRequest: *request* has an image that was not uploaded.
        """
        if self.name == "veo":
            assert not isinstance(request, UpgradeRequest)  # noqa: S101  # it is not a creating request there
            return to_wire(request, dialect)
        model, table = _job_model(request)
        fields = spelled(request, table)
        if fields.get("index") == 0:  # the first video; the documentation does not agree on the type
            del fields["index"]
        body: dict[str, Any] = {"model": model, "input": fields}
        if request.callback_url is not None:
            body["callBackUrl"] = request.callback_url
        return body

    def check(self, request: AnyRequest) -> None:
        """Raise `InvalidRequest` if this route cannot express *request*."""
        if problems := tuple(self.problems_of(request)):
            raise InvalidRequest.of(*problems)

    def problems_of(self, request: AnyRequest) -> Iterator[Problem]:
        """Yield what this route cannot express."""
        if self.name == "jobs" and isinstance(request, VideoRequest):
            for name in ("seeds", "enable_fallback"):
                if (value := getattr(request, name)) is not None:
                    rule = "does not exist on the jobs route"
                    yield Problem(name, value, rule, "leave it out, or use the veo route")


def _job_model(request: AnyRequest) -> tuple[str, tuple[Field, ...]]:
    """Return the model's name in ``createTask``, and the fields of its input."""
    match request:
        case VideoRequest():
            return "veo-3-1", job_fields.GENERATE
        case ExtendRequest():
            return "veo/extend", job_fields.EXTEND
        case UpgradeRequest(to="4k"):
            return "veo/get-4k-video", job_fields.UPGRADE_4K
        case UpgradeRequest():
            return "veo/get-1080p-video", job_fields.UPGRADE_1080P
        case _:
            assert_never(request)


VEO: Final = Route(name="veo", record=endpoints.RECORD_INFO, upgrades_are_tasks=False)
JOBS: Final = Route(name="jobs", record=endpoints.JOB_RECORD, upgrades_are_tasks=True)

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
