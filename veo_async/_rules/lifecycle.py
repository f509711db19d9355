"""The lifecycle of a job, as one table.

::

    ──submit──▶ queued ──send──▶ sending ──accept──▶ running ──complete──▶ ready ──save──▶ saved
                  ▲                │ │
                  └────requeue─────┘ ├──refuse──▶ refused
                                     ├──fail────▶ failed
                                     └──lose────▶ in_doubt ──bind──────▶ running
                                                      └──────resubmit──▶ queued

Not shown: a queued job can be refused; a running job can be refused, fail or expire; a ready clip can expire.
``abandon`` gives up a job that is queued, running or in doubt.

``requeue`` requires proof that no task was created: a 429, or not one byte was sent. A job never leaves ``in_doubt``
automatically: evidence binds it to a task, or the user decides. The table cannot express that a job enters ``sending``
at most once per paid request; only the user can ask for another one (``resubmit``).

States without outgoing events are final. `ready` is final too if the clip is not to be saved.
"""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its lifecycle."""

    QUEUED = "queued"
    SENDING = "sending"
    RUNNING = "running"
    READY = "ready"
    SAVED = "saved"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"
    ABANDONED = "abandoned"
    IN_DOUBT = "in_doubt"


class Event(StrEnum):
    """What can happen to a job."""

    SEND = "send"
    REQUEUE = "requeue"
    ACCEPT = "accept"
    REFUSE = "refuse"
    LOSE = "lose"
    FAIL = "fail"
    COMPLETE = "complete"
    EXPIRE = "expire"
    SAVE = "save"
    BIND = "bind"
    RESUBMIT = "resubmit"
    ABANDON = "abandon"


class IllegalTransition(RuntimeError):
    """The event is not allowed in the job's state; the state is unchanged."""


TABLE: dict[JobState, dict[Event, JobState]] = {
    JobState.QUEUED: {
        Event.SEND: JobState.SENDING,
        Event.REFUSE: JobState.REFUSED,
        Event.ABANDON: JobState.ABANDONED,
    },
    JobState.SENDING: {
        Event.REQUEUE: JobState.QUEUED,
        Event.ACCEPT: JobState.RUNNING,
        Event.REFUSE: JobState.REFUSED,
        Event.LOSE: JobState.IN_DOUBT,
        Event.FAIL: JobState.FAILED,
    },
    JobState.RUNNING: {
        Event.COMPLETE: JobState.READY,
        Event.REFUSE: JobState.REFUSED,
        Event.FAIL: JobState.FAILED,
        Event.EXPIRE: JobState.EXPIRED,
        Event.ABANDON: JobState.ABANDONED,
    },
    JobState.READY: {Event.SAVE: JobState.SAVED, Event.EXPIRE: JobState.EXPIRED},
    JobState.IN_DOUBT: {
        Event.BIND: JobState.RUNNING,
        Event.RESUBMIT: JobState.QUEUED,
        Event.ABANDON: JobState.ABANDONED,
    },
    JobState.SAVED: {},
    JobState.REFUSED: {},
    JobState.FAILED: {},
    JobState.EXPIRED: {},
    JobState.ABANDONED: {},
}


def next_state(state: JobState, event: Event) -> JobState:
    """Return the state after *event*.

    Raises:
        IllegalTransition: *event* is not allowed in *state*.
    """
    try:
        return TABLE[state][event]
    except KeyError:
        raise IllegalTransition(f"{event} is not allowed for a job in state {state}") from None
