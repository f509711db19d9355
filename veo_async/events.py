"""The events of a job, which `Job.events` yields and ``on_event`` receives, for use in ``match``.

========= ===================================================================================
`Queued`  the job waits in the queue: how many jobs are ahead, and how long it may take
`Sent`    its request is being sent
`Running` the provider generates the clip
`Paused`  no requests are sent at the moment, and why
`Ready`   the clip is finished
========= ===================================================================================

`CreditsDiffer` comes at most once per job, if its task costs more or less than the price table says.
`RouteChanged` says that a waiting job will take another route (``route="auto"``).

`ResolutionDiffers` comes before the last event if a saved video does not have the requested resolution.

The last event is `Ready`, or the outcome itself: `Refused`, `Failed`, `InDoubt` or `OnHold`.
"""

from ._rules.lifecycle import JobState
from ._rules.polling.durations import Eta
from ._runtime.job.events import (
    CreditsDiffer,
    JobEvent,
    Paused,
    Queued,
    Ready,
    ResolutionDiffers,
    RouteChanged,
    Running,
    Sent,
)
from ._runtime.job.outcome import Done, Failed, InDoubt, OnHold, Outcome, Refused

__all__ = [
    "CreditsDiffer",
    "Done",
    "Eta",
    "Failed",
    "InDoubt",
    "JobEvent",
    "JobState",
    "OnHold",
    "Outcome",
    "Paused",
    "Queued",
    "Ready",
    "Refused",
    "ResolutionDiffers",
    "RouteChanged",
    "Running",
    "Sent",
]
