"""What a task costs, as its record says."""

from typing import Any

import pytest

from veo_async._wire.responses import record_from_raw


@pytest.mark.parametrize(("figure", "credits"), [(63.0, 63.0), (60, 60.0), (0, 0.0)])
def test_record_with_a_figure_has_it_while_the_task_waits(figure: float, credits: float) -> None:
    assert record_from_raw({"successFlag": 0, "creditsConsumed": figure}).credits_consumed == credits


@pytest.mark.parametrize("raw", [{}, {"creditsConsumed": None}, {"creditsConsumed": "many"}, {"creditsConsumed": True}])
def test_record_without_a_usable_figure_has_none(raw: dict[str, Any]) -> None:
    assert record_from_raw(raw).credits_consumed is None
