"""The route of a task: of one that was created outside this session, and what is shown of any job's route."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from veo_async._wire import Record, RouteName

from .lifecycle import JobState

_Name = TypeVar("_Name", bound=str, covariant=True)


class HasRoute(Protocol[_Name]):
    """A job, or its row on the ledger."""

    @property
    def state(self) -> str: ...
    @property
    def task_id(self) -> str | None: ...
    @property
    def sent_at(self) -> float | None: ...
    @property
    def route(self) -> _Name | None: ...


def route_taken(job: HasRoute[_Name]) -> _Name | None:
    """Return the route of the task of *job*, or of its latest request; None while it waits, because it may change."""
    was_sent = job.task_id is not None or job.sent_at is not None
    return job.route if was_sent and job.state != JobState.QUEUED else None


def route_of_record(found: Mapping[RouteName, Record]) -> RouteName:
    """Return the route that created a task.

    Args:
        found: the record of the task on each route that has one, at least one, the route that was asked first first.

    The provider may show a task on both routes. Then the model in its record names the route that created it; without
    a model, the route that was asked first counts.
    """
    first, *others = found
    if others:
        for record in found.values():
            if (model := record.model) is not None:
                return "jobs" if model == "veo-3-1" or model.startswith("veo/") else "veo"
    return first
