"""Which rows of a list are done and which are to be sent, from the jobs on a ledger."""

import pytest

from veo_async._wire import KIE
from veo_async.batch.manifest import read_manifest
from veo_async.batch.plan import KnownJob, RowState, plan_list


def plan(text: str, **jobs: tuple[str, bool]) -> tuple[dict[RowState, int], float]:
    known = {key.replace("__", "."): KnownJob(*job) for key, job in jobs.items()}
    result = plan_list(read_manifest(text.encode(), "csv", KIE).rows, known.get)
    return {state: count for state, count in result.rows.items() if count}, result.cost.credits


@pytest.mark.parametrize(
    ("state", "was_not_charged", "row", "credits"),
    [
        ("saved", False, RowState.DONE, 0.0),
        ("ready", False, RowState.DONE, 0.0),
        ("queued", False, RowState.LEFT, 60.0),
        ("refused", True, RowState.LEFT, 60.0),
        ("failed", True, RowState.LEFT, 60.0),
        ("failed", False, RowState.WITHOUT_CLIP, 0.0),
        ("expired", False, RowState.WITHOUT_CLIP, 0.0),
        ("abandoned", False, RowState.WITHOUT_CLIP, 0.0),
        ("sending", False, RowState.RUNNING, 0.0),
        ("running", False, RowState.RUNNING, 0.0),
        ("in_doubt", False, RowState.IN_DOUBT, 0.0),
    ],
)
def test_row_follows_the_state_of_its_job(state: str, was_not_charged: bool, row: RowState, credits: float) -> None:
    """Only what is still to be sent has a price; a free failure is sent again."""
    assert plan("key,prompt\ndog,A dog\n", dog=(state, was_not_charged)) == ({row: 1}, credits)


def test_unknown_row_is_left() -> None:
    """It costs its whole price, follow-ups included."""
    assert plan("key,prompt,upgrade\ndog,A dog,4k\n") == ({RowState.LEFT: 1}, 180.0)


def test_follow_up_that_was_added_later_is_left() -> None:
    """Only the follow-up costs something."""
    text = "key,prompt,upgrade\ndog,A dog,4k\n"
    assert plan(text, dog=("saved", False)) == ({RowState.LEFT: 1}, 120.0)
    assert plan(text, dog=("saved", False), dog__4k=("running", False)) == ({RowState.RUNNING: 1}, 0.0)
