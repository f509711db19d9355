"""The share of ends that a poll has to find, by the callbacks that arrive."""

import pytest

from veo_async._rules.polling.callbacks import MAX_MISSED_CALLBACKS, CallbackShare


def test_one_callback_in_twenty_is_assumed_to_be_lost() -> None:
    """Without callbacks a poll has to find every end."""
    assert CallbackShare(True).share_to_find == pytest.approx(0.05)
    assert CallbackShare(False).share_to_find == 1.0


def test_share_follows_what_arrives() -> None:
    """A receiver that breaks is detected, and one that works again, too."""
    share = CallbackShare(True)
    for _ in range(60):
        share.task_ended("poll", 300.0)
    assert share.share_to_find > 0.4
    for _ in range(100):
        share.task_ended("callback", 0.5)
    assert share.share_to_find < 0.15


def test_poll_shortly_after_the_end_is_not_a_lost_callback() -> None:
    """A poll within 10 s of the end proves nothing about callbacks; without callbacks nothing is counted."""
    share, plain = CallbackShare(True), CallbackShare(False)
    share.task_ended("poll", 5.0)
    plain.task_ended("poll", 100.0)
    assert share.share_to_find == pytest.approx(0.05)
    assert plain.share_to_find == 1.0


def test_callbacks_are_assumed_from_the_first_until_four_are_missed() -> None:
    """The first one makes polls rare; four ends in a row without one make them frequent again."""
    share = CallbackShare(None)
    assert not share.are_expected
    assert share.task_ended("callback", 5.0)
    assert share.share_to_find < 0.1
    for _ in range(MAX_MISSED_CALLBACKS - 1):
        assert not share.task_ended("poll", 40.0)
    assert not share.task_ended("poll", 2.0)  # polled in time, so it proves nothing about callbacks
    assert share.are_expected
    assert share.task_ended("poll", 60.0)
    assert share.share_to_find == 1.0
    assert share.task_ended("callback", 5.0)
    assert share.share_to_find < 0.1


def test_callback_resets_the_count_of_missed_ones() -> None:
    """The count starts again with every callback."""
    share = CallbackShare(None)
    for number in range(100):
        share.task_ended("poll" if number % 3 else "callback", 40.0)
    assert share.are_expected


def test_announced_callbacks_are_always_assumed() -> None:
    """If callbacks are configured, missed ones only change the share that a poll has to find."""
    share = CallbackShare(True)
    for _ in range(20):
        assert not share.task_ended("poll", 40.0)
    assert share.are_expected
    assert share.share_to_find < 1.0


def test_callbacks_that_were_not_announced_cost_less() -> None:
    """So a lost one is found sooner than by polls alone."""
    assert CallbackShare(None).min_price_s < CallbackShare(True).min_price_s
