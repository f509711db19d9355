"""Requests of which the provider allows only one in a while."""

from veo_async._rules.spacing import Spacing


def test_first_request_does_not_wait() -> None:
    assert Spacing(1.0).wait_s(5.0) == 0.0


def test_next_request_waits_from_the_end_of_the_last_one() -> None:
    """However long the last one took."""
    spacing = Spacing(1.0)
    spacing.ended(5.0)
    assert [spacing.wait_s(now) for now in (5.0, 5.75, 6.0, 9.0)] == [1.0, 0.25, 0.0, 0.0]
    spacing.ended(9.0)
    assert spacing.wait_s(9.0) == 1.0
