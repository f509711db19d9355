"""`Budget` and the check of a limit: what is used, what fits, and what the error says."""

import pickle
from typing import Any

import pytest

from veo_async._ports import BudgetUse
from veo_async._rules.credits.budget import Budget
from veo_async._rules.credits.reservations import check_limit
from veo_async.errors import BudgetExceeded, UsageError


def test_budget_has_credits_and_a_name() -> None:
    """It is a plain value; without a limit it only counts."""
    assert Budget(100.0, name="shoot") == Budget(100.0, name="shoot")
    assert Budget(None, name="shoot").credits is None


@pytest.mark.parametrize(
    ("credits", "name"), [(-1.0, "shoot"), ("much", "shoot"), (True, "shoot"), (1.0, ""), (1.0, 7)]
)
def test_wrong_budget_is_rejected(credits: Any, name: Any) -> None:
    """The error names the argument."""
    with pytest.raises(UsageError, match=r"^(credits|name)="):
        Budget(credits, name=name)


@pytest.mark.parametrize(
    ("costs", "use"),
    [
        ([60.0], BudgetUse(spent=20.0, reserved=20.0)),
        ([60.0, 40.0], BudgetUse()),
        ([0.0], BudgetUse(spent=500.0)),
        ([], BudgetUse(spent=500.0)),
        ([0.1] * 10, BudgetUse(spent=99.0)),
    ],
)
def test_costs_within_the_limit_pass(costs: list[float | None], use: BudgetUse) -> None:
    """Free requests always do, and sums of decimal prices fit exactly."""
    check_limit(costs, use, 100.0)


def test_error_says_what_is_spent_reserved_and_left() -> None:
    """Numbers have separators and no exponent; the figures are attributes, too, and survive pickling."""
    with pytest.raises(BudgetExceeded) as caught:
        check_limit([60.0], BudgetUse(spent=1_999_000.0, reserved=960.0), 2_000_000.0)
    assert caught.value.message == (
        "this costs 60 credits, but of a budget of 2,000,000 credits 1,999,000 are spent, 960 reserved and 40 left"
    )
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own
    assert (error.cost, error.spent, error.reserved, error.budget) == (60.0, 1_999_000.0, 960.0, 2_000_000.0)


def test_unknown_price_does_not_fit() -> None:
    """Not even an unused budget."""
    with pytest.raises(BudgetExceeded, match="the price of this request is unknown; 0 credits of a budget of 100"):
        check_limit([60.0, None], BudgetUse(), 100.0)
