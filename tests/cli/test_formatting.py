"""Numbers, durations and commands as the user reads them."""

import pytest

from veo_async.cli.formatting import (
    command,
    format_count,
    format_credits,
    format_duration,
    format_number,
    plain_number,
    same_command,
)
from veo_async.cli.invocation import Invocation, begin


@pytest.mark.parametrize(
    ("number", "text"), [(0.0, "0"), (12.5, "12.5"), (130.0, "130"), (1_000_000.0, "1,000,000"), (0.005, "0.01")]
)
def test_number_has_separators_and_no_exponent(number: float, text: str) -> None:
    """At most two decimals, and no trailing zeros."""
    assert format_number(number) == text


def test_noun_agrees_with_its_number() -> None:
    """One clip, two clips; the same for credits."""
    assert [format_count(number, "clip") for number in (0, 1, 2, 1000)] == [
        "0 clips",
        "1 clip",
        "2 clips",
        "1,000 clips",
    ]
    assert [format_credits(number) for number in (1.0, 1.5, 1e6)] == ["1 credit", "1.5 credits", "1,000,000 credits"]


@pytest.mark.parametrize(("number", "text"), [(1e6, "1000000"), (1_234_567.25, "1234567.25"), (0.0, "0")])
def test_plain_number_is_the_same_number_for_a_program(number: float, text: str) -> None:
    """Neither separators nor an exponent, and no digit is lost."""
    assert plain_number(number) == text
    assert float(text) == number


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "1 s"), (42.4, "42 s"), (95.0, "2 min"), (7140.0, "119 min"), (8100.0, "2 h 15 min")]
)
def test_duration_becomes_coarser_as_it_grows(seconds: float, text: str) -> None:
    """Seconds, then minutes, then hours and minutes."""
    assert format_duration(seconds) == text


def test_command_can_be_pasted_into_a_shell() -> None:
    """A file name with a space is quoted."""
    assert command("jobs", "my clips/ledger.db") == "veo-async jobs 'my clips/ledger.db'"


@pytest.mark.parametrize(
    "words",
    [
        ("batch", "a.csv", "--out", "b"),
        ("batch", "a.csv", "--route", "veo", "--out", "b"),
        ("--route=auto", "batch", "a.csv", "--out", "b"),
    ],
)
def test_same_command_on_another_route_replaces_the_route_that_was_typed(words: tuple[str, ...]) -> None:
    """In either spelling, wherever it stands."""
    begin(Invocation(words=words))
    assert same_command(route="jobs") == "veo-async batch a.csv --out b --route jobs"
