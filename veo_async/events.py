"""What happens to a job, and where it stands: the values that `Job.events` and ``on_event`` tell, for ``match``.

========= ==================================================================================
`Queued`  it waits for its turn: how many go before it, and how long it may take
`Sent`    its request is on the way
`Running` the provider makes it
`Paused`  nothing is created just now, and why
`Ready`   the clip is there
========= ==================================================================================

The last event is `Ready`, or the outcome itself: `Refused`, `Failed` or `InDoubt`.
"""

from ._rules.lifecycle import JobState
from ._rules.polling.durations import Eta
from ._runtime.job.events import JobEvent, Paused, Queued, Ready, Running, Sent
from ._runtime.job.outcome import Done, Failed, InDoubt, Outcome, Refused

__all__ = [
    "Done",
    "Eta",
    "Failed",
    "InDoubt",
    "JobEvent",
    "JobState",
    "Outcome",
    "Paused",
    "Queued",
    "Ready",
    "Refused",
    "Running",
    "Sent",
]
