"""The progress of a run, without a terminal, a session or a clock."""

import attrs
import pytest

from veo_async._rules.lifecycle import TABLE, JobState
from veo_async._rules.pauses import PauseReason
from veo_async.batch.costs import ModelOnHold
from veo_async.cli.progress import FINISHED, Progress, changes, counts_of, counts_text, estimate_left_s, pause_text


@pytest.mark.parametrize("reason", [*PauseReason, "unauthorized"])
def test_pause_is_explained_with_a_remedy(reason: str) -> None:
    """In words, not with the name of the reason."""
    text = pause_text(Progress(counts={"queued": 1}, pause_reason=str(reason)))
    assert text is not None
    assert text.startswith("Paused: ")
    assert not text.startswith(f"Paused: {reason};")
    assert any(word in text for word in ("automatically", "Check"))


def test_rate_limit_is_shown_with_the_time_until_the_next_clip() -> None:
    """And that no clip fails because of it."""
    limited = Progress(counts={"queued": 1}, retry_in_s=3.2)
    assert pause_text(limited) == "Rate limited: next clip in 4 s. No clip fails because of this."
    probing = Progress(counts={"queued": 1}, retry_in_s=0.0)
    assert pause_text(probing) == "Rate limited: trying again now. No clip fails because of this."
    assert pause_text(Progress(counts={"queued": 1})) is None


def test_states_are_written_as_people_write_them() -> None:
    """Without underscores."""
    assert counts_text({"not_submitted": 2, "in_doubt": 1}) == "2 not submitted, 1 in doubt"


def test_every_job_state_is_listed_and_an_unknown_one_comes_last() -> None:
    """A state without a place in the order is not dropped."""
    counts: dict[str, int] = {str(state): 1 for state in JobState} | {"new": 1}
    assert [state for state, _ in counts_of(counts)][-1] == "new"
    assert len(counts_of(counts)) == len(JobState) + 1
    final = {str(state) for state in JobState if not TABLE[state]}
    assert final <= FINISHED


def test_each_change_is_reported_once() -> None:
    """Submission paused, submission resumed, a response lost; a countdown is not a change."""
    normal = Progress(counts={"queued": 2})
    limited = Progress(counts={"queued": 2}, retry_in_s=4.0)
    later = Progress(counts={"queued": 2}, retry_in_s=3.0)
    in_doubt = Progress(counts={"queued": 1, "in_doubt": 1})
    assert changes(None, normal) == []
    on_hold = attrs.evolve(normal, on_hold=[ModelOnHold(model="veo3_lite", jobs=2, expected=30.0, consumed=60.0)])
    assert changes(normal, on_hold)[0].startswith("On hold: 2 jobs of veo3_lite")
    assert changes(on_hold, on_hold) == []
    assert len(changes(normal, limited)) == 1
    assert changes(limited, later) == []
    assert changes(later, normal) == ["Submission resumed."]
    assert "1 job in doubt" in changes(normal, in_doubt)[0]
    assert changes(in_doubt, in_doubt) == []
    paused = Progress(counts={"queued": 2}, pause_reason="insufficient-credits")
    assert changes(limited, paused)[0].startswith("Paused: out of credits")


def test_change_of_the_route_is_reported_once() -> None:
    """As its own line, besides the end of the pause."""
    paused = Progress(counts={"queued": 2}, pause_reason="route-gone")
    changed = Progress(counts={"queued": 2}, changed_route="jobs")
    line = "The veo route is gone (404): new clips are made on the jobs route."
    assert changes(paused, changed) == [line, "Submission resumed."]
    assert changes(changed, changed) == []
    assert changes(None, changed) == [line]


def test_remaining_time_is_the_later_of_two_bounds() -> None:
    """The longest running task; or the queue at the pace of the rate limit or the slots, and one more task."""
    left_s = estimate_left_s
    assert left_s([30.0, 70.0], waiting=0, new_task_s=80.0, per_second=2.0, slots=100) == 70.0
    assert left_s([30.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=1000) == 130.0
    assert left_s([30.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=80) == 180.0
    assert left_s([900.0], waiting=100, new_task_s=80.0, per_second=2.0, slots=1000) == 900.0
    assert left_s([], waiting=100, new_task_s=None, per_second=2.0, slots=100) is None
