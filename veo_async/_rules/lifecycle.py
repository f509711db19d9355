"""The life of a job, as one table.

::

    queued ──send──▶ sending ──accept──▶ running ──finish──▶ ready ──save──▶ saved
       ▲                │ │                 │
       └────return──────┘ ├──refuse──▶ refused
                          ├──doubt───▶ in_doubt ──bind──▶ running
                          └──break───▶ failed

``sending`` goes back to ``queued`` only when the request provably made nothing: a 429, or not one byte left us.
``in_doubt`` is never left by itself: evidence binds it to a task, or a person decides. What the table cannot say: a
job reaches ``sending`` at most once per paid request, and whoever wants another asks for it by name (`resubmit`).

States that have no way out are final. `ready` is final too when nobody asked to save.
"""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

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
    """This cannot happen to a job in that state; the state is as it was."""


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

#: Nothing more will happen by itself to a job in one of these.
SETTLED = frozenset({state for state, ways in TABLE.items() if not ways} | {JobState.READY, JobState.IN_DOUBT})


def next_state(state: JobState, event: Event) -> JobState:
    """The state after *event*; `IllegalTransition` when it cannot happen to a job in *state*."""
    try:
        return TABLE[state][event]
    except KeyError:
        raise IllegalTransition(f"{event} cannot happen to a job that is {state}") from None
