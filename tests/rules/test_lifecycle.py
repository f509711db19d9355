"""The life of a job: the table, and what it promises."""

import itertools

import pytest

from veo_async._rules.lifecycle import SETTLED, TABLE, Event, IllegalTransition, JobState, next_state

S, E = JobState, Event


def reachable(state: JobState) -> set[JobState]:
    found: set[JobState] = set()
    ahead = [state]
    while ahead:
        for follower in TABLE[ahead.pop()].values():
            if follower not in found:
                found.add(follower)
                ahead.append(follower)
    return found


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
def test_each_step_of_the_way(state: JobState, event: Event, after: JobState) -> None:
    """The steps that the drawing shows."""
    assert next_state(state, event) is after


@pytest.mark.parametrize(
    ("state", "event"), [(s, e) for s, e in itertools.product(JobState, Event) if e not in TABLE[s]]
)
def test_everything_else_is_illegal(state: JobState, event: Event) -> None:
    """And is told with both words."""
    with pytest.raises(IllegalTransition, match=f"{event} cannot happen to a job that is {state}"):
        next_state(state, event)


def test_every_state_has_a_row_and_is_reached() -> None:
    """Nothing in the table leads nowhere or comes from nowhere."""
    assert set(TABLE) == set(JobState)
    assert reachable(S.QUEUED) == set(JobState)


def test_nothing_leads_from_an_accepted_job_back_to_the_queue() -> None:
    """What was paid is never sent again."""
    assert not reachable(S.RUNNING) & {S.QUEUED, S.SENDING, S.IN_DOUBT}


def test_doubt_is_left_by_hand_only() -> None:
    """By evidence, by a person's word, or by giving it up: never by a plain event of sending."""
    assert set(TABLE[S.IN_DOUBT]) == {E.BIND, E.RESUBMIT, E.ABANDON}


def test_settled_is_where_nothing_more_happens_by_itself() -> None:
    """All ends, a finished clip, and doubt."""
    assert set(JobState) - SETTLED == {S.QUEUED, S.SENDING, S.RUNNING}
