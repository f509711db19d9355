"""The lifecycle of a job: the table and its guarantees."""

import itertools

import pytest

from veo_async._rules.lifecycle import TABLE, Event, IllegalTransition, JobState, next_state

S, E = JobState, Event


def reachable(state: JobState) -> set[JobState]:
    reached: set[JobState] = set()
    pending = [state]
    while pending:
        for following in TABLE[pending.pop()].values():
            if following not in reached:
                reached.add(following)
                pending.append(following)
    return reached


@pytest.mark.parametrize(
    ("state", "event", "after"),
    [
        (S.QUEUED, E.SEND, S.SENDING),
        (S.QUEUED, E.REFUSE, S.REFUSED),
        (S.SENDING, E.REQUEUE, S.QUEUED),
        (S.SENDING, E.ACCEPT, S.RUNNING),
        (S.SENDING, E.REFUSE, S.REFUSED),
        (S.SENDING, E.LOSE, S.IN_DOUBT),
        (S.SENDING, E.FAIL, S.FAILED),
        (S.RUNNING, E.COMPLETE, S.READY),
        (S.RUNNING, E.REFUSE, S.REFUSED),
        (S.RUNNING, E.FAIL, S.FAILED),
        (S.RUNNING, E.EXPIRE, S.EXPIRED),
        (S.READY, E.SAVE, S.SAVED),
        (S.IN_DOUBT, E.BIND, S.RUNNING),
        (S.IN_DOUBT, E.RESUBMIT, S.QUEUED),
    ],
)
def test_transition_leads_to_the_documented_state(state: JobState, event: Event, after: JobState) -> None:
    """The transitions of the documented lifecycle."""
    assert next_state(state, event) is after


@pytest.mark.parametrize(
    ("state", "event"), [(s, e) for s, e in itertools.product(JobState, Event) if e not in TABLE[s]]
)
def test_other_events_are_illegal(state: JobState, event: Event) -> None:
    """The error names the event and the state."""
    with pytest.raises(IllegalTransition, match=f"{event} is not allowed for a job in state {state}"):
        next_state(state, event)


def test_every_state_has_a_row_and_is_reachable() -> None:
    """The table is complete, and no state is unused."""
    assert set(TABLE) == set(JobState)
    assert reachable(S.QUEUED) == set(JobState)


def test_accepted_job_never_returns_to_the_queue() -> None:
    """A paid request is never sent again."""
    assert not reachable(S.RUNNING) & {S.QUEUED, S.SENDING, S.IN_DOUBT}


def test_job_leaves_in_doubt_only_by_decision() -> None:
    """Only evidence or a decision of the user ends it: never a plain event of sending."""
    assert set(TABLE[S.IN_DOUBT]) == {E.BIND, E.RESUBMIT, E.ABANDON}
