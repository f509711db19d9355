"""The provider's figure for a task, compared with the price table."""

import pytest

from veo_async._rules.credits.overcharge import PriceDifference, price_difference


@pytest.mark.parametrize(("expected", "consumed"), [(60.0, 60.0), (60.0, 60.001), (0.0, 0.0)])
def test_price_difference_for_the_expected_figure_is_none(expected: float, consumed: float) -> None:
    assert price_difference(expected, consumed) is None


@pytest.mark.parametrize(("expected", "consumed"), [(None, 60.0), (60.0, None), (None, None)])
def test_price_difference_with_an_unknown_value_is_none(expected: float | None, consumed: float | None) -> None:
    assert price_difference(expected, consumed) is None


def test_price_difference_above_the_price_is_an_overcharge() -> None:
    difference = price_difference(30.0, 60.0)
    assert difference == PriceDifference(30.0, 60.0)
    assert difference.is_overcharge
    assert difference.amount == 30.0


def test_price_difference_below_the_price_is_no_overcharge() -> None:
    difference = price_difference(60.0, 30.0)
    assert difference is not None
    assert not difference.is_overcharge
    assert difference.amount == -30.0


def test_price_difference_for_a_free_task_is_not_unknown() -> None:
    assert price_difference(60.0, 0.0) == PriceDifference(60.0, 0.0)
