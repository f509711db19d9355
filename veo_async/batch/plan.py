"""Which rows of a list are done, and which are still to be sent: compares them with the jobs on a ledger."""

from collections.abc import Callable, Iterable
from enum import StrEnum

import attrs

from veo_async.pricing import PRICES, Prices
from veo_async.types import JobState

from .prices import Estimate, estimate
from .rows import Row

_ENDED_WITH_CLIP = (JobState.READY, JobState.SAVED)


@attrs.frozen
class KnownJob:
    """What a ledger knows of one job."""

    state: str
    #: Whether it ended without a charge, so that the row is sent again.
    was_not_charged: bool


class RowState(StrEnum):
    """What a run would do with a row."""

    #: Its clip exists.
    DONE = "done"
    #: At least one of its requests is still to be sent.
    LEFT = "left"
    RUNNING = "running"
    IN_DOUBT = "in doubt"
    #: It was or may have been charged, and there is no clip.
    WITHOUT_CLIP = "without a clip"


@attrs.frozen(kw_only=True)
class Plan:
    """How many rows of a list are done, and what the others cost."""

    #: Number of rows by what a run would do with them.
    rows: dict[RowState, int]
    #: The cost of the requests that are still to be sent.
    cost: Estimate


def plan_list(rows: Iterable[Row], find: Callable[[str], KnownJob | None], prices: Prices = PRICES) -> Plan:
    """Compare *rows* with the jobs that *find* returns by key."""
    counts = dict.fromkeys(RowState, 0)
    unsent = []
    for row in rows:
        jobs = [(item, find(item.key)) for item in row.chain]
        unsent += [item.request for item, job in jobs if _is_to_be_sent(job)]
        counts[_state_of([job for _, job in jobs])] += 1
    return Plan(rows=counts, cost=estimate(unsent, prices))


def _is_to_be_sent(job: KnownJob | None) -> bool:
    return job is None or job.was_not_charged or job.state == JobState.QUEUED


def _state_of(chain: list[KnownJob | None]) -> RowState:
    if any(job is not None and job.state == JobState.IN_DOUBT for job in chain):
        return RowState.IN_DOUBT
    if any(map(_is_to_be_sent, chain)):
        return RowState.LEFT
    states = [job.state for job in chain if job is not None]
    if JobState.RUNNING in states or JobState.SENDING in states:
        return RowState.RUNNING
    return RowState.DONE if states[-1] in _ENDED_WITH_CLIP else RowState.WITHOUT_CLIP
