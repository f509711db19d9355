"""The events of a job, as small values for ``match``.

The last event of a job is `Ready`, or the outcome `Refused`, `Failed`, `InDoubt` or `OnHold` itself.
"""

import attrs

from veo_async._rules.polling.durations import Eta
from veo_async._wire import RouteName

from .outcome import Clip, Done, Failed, InDoubt, OnHold, Outcome, Refused


@attrs.frozen
class Queued:
    """The job waits: the number of jobs ahead of it, and the estimated time until its clip is ready.

    Attributes:
        key: the key of the job.
        position: how many jobs are sent before it; of a new job, the number of all that wait.
        eta: estimated seconds until the clip is ready.
    """

    key: str
    position: int
    eta: Eta


@attrs.frozen
class Sent:
    """The request was sent; the response is pending.

    Attributes:
        key: the key of the job.
    """

    key: str


@attrs.frozen
class Running:
    """The provider generates the clip: the estimated time left.

    Attributes:
        key: the key of the job.
        task_id: the provider's task id.
        eta: estimated seconds until the clip is ready.
    """

    key: str
    task_id: str
    eta: Eta


@attrs.frozen
class Paused:
    """The job waits because submission is paused, for this reason.

    Attributes:
        key: the key of the job.
        reason: why.
    """

    key: str
    reason: str


@attrs.frozen
class RouteChanged:
    """The job waits, and its request will take another route.

    Attributes:
        key: the key of the job.
        before: the route that new requests took until now.
        after: the route that they take from now on.
        reason: why.
    """

    key: str
    before: RouteName
    after: RouteName
    reason: str


@attrs.frozen
class Ready:
    """The clip is ready.

    Attributes:
        key: the key of the job.
        clip: the finished clip.
    """

    key: str
    clip: Clip


@attrs.frozen
class ResolutionDiffers:
    """A saved video does not have the resolution that was requested. The job is `Done` as always.

    Attributes:
        key: the key of the job.
        requested: the resolution of the request, for example ``"1080p"``.
        width: the width of the video in pixels.
        height: its height.
    """

    key: str
    requested: str
    width: int
    height: int


@attrs.frozen
class CreditsDiffer:
    """The task costs more or less than the price table says. The job continues.

    Attributes:
        key: the key of the job.
        expected: the price in the table, in credits.
        consumed: what the task costs according to the provider's record.
    """

    key: str
    expected: float
    consumed: float


JobEvent = (
    Queued
    | Sent
    | Running
    | Paused
    | RouteChanged
    | CreditsDiffer
    | ResolutionDiffers
    | Ready
    | Refused
    | Failed
    | InDoubt
    | OnHold
)


def event_of(outcome: Outcome) -> JobEvent:
    """Return the last event of a job with *outcome*."""
    return Ready(outcome.key, outcome.clip) if isinstance(outcome, Done) else outcome
