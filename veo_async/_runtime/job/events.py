"""What happens to a job on its way, as small values made for ``match``.

The last event of a job is its end: `Ready`, or the outcome `Refused`, `Failed` or `InDoubt` itself.
"""

import attrs

from veo_async._rules.polling.durations import Eta

from .outcome import Clip, Done, Failed, InDoubt, Outcome, Refused


@attrs.frozen
class Queued:
    """It waits for its turn: how many go before it, and how long it may take until its clip is there."""

    key: str
    position: int
    eta: Eta


@attrs.frozen
class Sent:
    """Its request is on the way."""

    key: str


@attrs.frozen
class Running:
    """The provider makes it; how much longer that may take."""

    key: str
    task_id: str
    eta: Eta


@attrs.frozen
class Paused:
    """Nothing is created just now, for this reason; it waits."""

    key: str
    reason: str


@attrs.frozen
class Ready:
    """The clip is there."""

    key: str
    clip: Clip


JobEvent = Queued | Sent | Running | Paused | Ready | Refused | Failed | InDoubt


def event_of(outcome: Outcome) -> JobEvent:
    """A job's last event."""
    return Ready(outcome.key, outcome.clip) if isinstance(outcome, Done) else outcome
