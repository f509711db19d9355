r"""The provider's two routes to Veo: its dedicated endpoints, and its unified jobs API.

A route belongs to a task: what one route created is read, upgraded and extended there. Routes are values, like
dialects: a route says where each kind of request goes, which fields it has there, and where its record is.

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

from . import endpoints, fields, job_fields
from .converter import spelled
from .dialects.dialect import Dialect
from .endpoints import Endpoint
from .fields import Table
from .models import DEFAULT_EXTEND_MODEL
from .requests import AnyRequest, ExtendRequest, UpgradeRequest, VideoRequest
from .responses import Record

RouteName = Literal["veo", "jobs"]
#: The kinds of requests that create something.
_Kind = Literal["clip", "extension", "1080p", "4k"]


@attrs.frozen
class Creation:
    """How a route sends one kind of request."""

    endpoint: Endpoint[Any]
    #: The fields of the request, as they are spelled there.
    fields: Table
    #: The model of ``createTask``, whose ``input`` has the fields; None if they are the body or the query.
    model: str | None = None
    #: What a request sends if it does not say it.
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    #: The options of a request that do not exist there.
    absent: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, eq=False)
class Route:
    """One route.

    Attributes:
        name: the name users pass, and that is stored on the ledger.
        record: the endpoint of its records.
        creations: how it sends each kind of request.
        upgrades_are_tasks: an upgrade is a task with a record; otherwise its request is repeated until it is done.
        model_of_source_counts: an extension has no model of its own.
        extends_clips_in_1080p: a clip that was made in 1080p can be extended; one that was upgraded to it never can.
    """

    name: RouteName
    record: Endpoint[Record]
    creations: Mapping[_Kind, Creation]
    upgrades_are_tasks: bool
    model_of_source_counts: bool
    extends_clips_in_1080p: bool

    def endpoint_for(self, request: AnyRequest) -> Endpoint[Any]:
        """Return the endpoint that creates the task of *request*."""
        return self.creations[_kind_of(request)].endpoint

    def body(self, request: AnyRequest, dialect: Dialect) -> dict[str, Any]:
        """Return the body of *request*, or its query if it is a GET.

        Raises:
            InvalidRequest: *request* has an image that was not uploaded.
        """
        creation = self.creations[_kind_of(request)]
        if creation.model is None:
            return {**creation.defaults, **spelled(request, creation.fields, dialect.spelling)}
        options = spelled(request, creation.fields)
        if options.get("index") == 0:  # the first video; the documentation does not agree on the type
            del options["index"]
        callback = {} if request.callback_url is None else {"callBackUrl": request.callback_url}
        return {"model": creation.model, "input": options, **callback}

    def check(self, request: AnyRequest) -> None:
        """Raise `InvalidRequest` if this route cannot express *request*."""
        if problems := tuple(self.problems_of(request)):
            raise InvalidRequest.of(*problems)

    def problems_of(self, request: AnyRequest) -> Iterator[Problem]:
        """Yield what this route cannot express."""
        for name in self.creations[_kind_of(request)].absent:
            if (value := getattr(request, name)) is not None:
                rule = f"does not exist on the {self.name} route"
                yield Problem(name, value, rule, "leave it out, or use the veo route")


def _kind_of(request: AnyRequest) -> _Kind:
    match request:
        case VideoRequest():
            return "clip"
        case ExtendRequest():
            return "extension"
        case UpgradeRequest():
            return "4k" if request.to == "4k" else "1080p"
        case _:
            assert_never(request)


VEO: Final = Route(
    name="veo",
    record=endpoints.RECORD_INFO,
    creations={
        "clip": Creation(endpoints.GENERATE, fields.GENERATE),
        "extension": Creation(endpoints.EXTEND, fields.EXTEND, defaults={"model": DEFAULT_EXTEND_MODEL}),
        "1080p": Creation(endpoints.GET_1080P, fields.UPGRADE_1080P),
        "4k": Creation(endpoints.GET_4K, fields.UPGRADE_4K),
    },
    upgrades_are_tasks=False,
    model_of_source_counts=False,
    extends_clips_in_1080p=True,
)
JOBS: Final = Route(
    name="jobs",
    record=endpoints.JOB_RECORD,
    creations={
        "clip": Creation(
            endpoints.CREATE_TASK, job_fields.GENERATE, model="veo-3-1", absent=("seeds", "enable_fallback")
        ),
        "extension": Creation(endpoints.CREATE_TASK, job_fields.EXTEND, model="veo/extend"),
        "1080p": Creation(endpoints.CREATE_TASK, job_fields.UPGRADE_1080P, model="veo/get-1080p-video"),
        "4k": Creation(endpoints.CREATE_TASK, job_fields.UPGRADE_4K, model="veo/get-4k-video"),
    },
    upgrades_are_tasks=True,
    model_of_source_counts=True,
    extends_clips_in_1080p=False,
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
