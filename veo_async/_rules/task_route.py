"""The route of a task that was created outside this session, and whether a job has taken its route."""

from collections.abc import Mapping
from typing import Protocol

from veo_async._wire import Record, RouteName

from .lifecycle import JobState


class SentJob(Protocol):
    """A job, or its row on the ledger."""

    @property
    def state(self) -> str: ...
    @property
    def task_id(self) -> str | None: ...
    @property
    def sent_at(self) -> float | None: ...


def has_route(job: SentJob) -> bool:
    """Return whether *job* has taken its route: a job that waits may take another one than that of its last attempt."""
    return job.state != JobState.QUEUED and (job.task_id is not None or job.sent_at is not None)


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
