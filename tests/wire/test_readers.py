"""Readers of single values: what they accept, and what they ignore."""

from datetime import UTC, datetime
from typing import Any

import pytest

from veo_async._wire import readers

A, B = "http://a.example/1.mp4", "https://b.example/2.mp4"
NOT_STRINGS = [None, True, False, 0, 1, 1.5, [], ["x"], {}, {"a": 1}]


@pytest.mark.parametrize("value", [*NOT_STRINGS, ""])
def test_string_reads_non_empty_strings_only(value: Any) -> None:
    """An empty string counts as no value."""
    assert readers.string(value) is None
    assert readers.string("None") == "None"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        (-3, -3),
        ("0", 0),
        ("-3", -3),
        ("007", 7),
        ("9" * 25, int("9" * 25)),
        (True, None),
        (False, None),
        (1.0, None),
        ("1.0", None),
        ("", None),
        ("-", None),
        ("--1", None),
        ("+1", None),
        (" 1", None),
        ("1\n", None),
        ("1_000", None),
        ("٣", None),
        ("²", None),
        ("9" * 26, None),
        (None, None),
        ([1], None),
        ({}, None),
    ],
)
def test_integer_reads_integers_and_decimal_strings(value: Any, number: int | None) -> None:
    """Booleans, fractions and decorated digits are ignored."""
    found = readers.integer(value)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize(
    ("value", "number"), [(1, 1.0), (1.5, 1.5), (0, 0.0), (True, None), ("1", None), (None, None), ([], None)]
)
def test_number_reads_json_numbers_as_floats(value: Any, number: float | None) -> None:
    """True is not 1 and "1" is not a number."""
    found = readers.number(value)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize("value", [None, 0, 1, "true", "false", "", [], [True]])
def test_boolean_reads_json_booleans_only(value: Any) -> None:
    """ "false" never becomes True, and 0 never False."""
    assert readers.boolean(value) is None
    assert readers.boolean(True) is True
    assert readers.boolean(False) is False


@pytest.mark.parametrize(
    ("value", "found"),
    [([1, "2", None, True, 3.0], (1, 2)), (5, (5,)), ("5", (5,)), (None, ()), ("x", ()), ([], ()), ({}, ())],
)
def test_integers_reads_a_list_or_a_single_integer(value: Any, found: tuple[int, ...]) -> None:
    """Items of other types are skipped."""
    assert readers.integers(value) == found


@pytest.mark.parametrize(
    ("value", "found"), [([True, False], (True, False)), ([1, "true", None, True], (True,)), (True, ()), ("yes", ())]
)
def test_booleans_reads_lists_of_booleans_only(value: Any, found: tuple[bool, ...]) -> None:
    """Items of other types are skipped."""
    assert readers.booleans(value) == found


@pytest.mark.parametrize(
    ("value", "found"), [(["a", "", None, 5, "b"], ("a", "b")), ("abc", ()), (None, ()), ({"a": 1}, ())]
)
def test_strings_reads_lists_of_strings_only(value: Any, found: tuple[str, ...]) -> None:
    """A single string never becomes its letters."""
    assert readers.strings(value) == found


@pytest.mark.parametrize(
    "value",
    [
        [A, B],
        [A, B, A],
        [f" {A} ", f'"{B}"'],
        [A, None, 5, "", "x", {"url": "http://c.example"}, B],
        f'["{A}","{B}"]',
        f"[{A}, {B}]",
        f"[{A},{B}]",
        f"['{A}', '{B}']",
        f"[ '{A}' ,  '{B}' ]",
        f"{A},{B}",
        f"{A} , {B}",
        f"  [{A},\n{B}]  ",
    ],
)
def test_urls_are_read_from_every_shape(value: Any) -> None:
    """The same two URLs, in order and without duplicates, from every known shape."""
    assert readers.urls(value) == (A, B)


@pytest.mark.parametrize(
    "value",
    [None, True, 5, "", "[]", "null", "5", "{}", '{"url":"http://c.example"}', "abc", [], [None], {"url": A}, "\ud800"],
)
def test_values_without_urls_give_none(value: Any) -> None:
    """A string never becomes its letters."""
    assert readers.urls(value) == ()


def test_comma_inside_a_url_does_not_separate() -> None:
    """Only a comma before another URL separates."""
    odd = "http://a.example/w_100,h_200/1.mp4"
    assert readers.urls(f"[{odd}, {B}]") == (odd, B)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (A, A),
        (f"  '{A}' ", A),
        ("HTTPS://A.example/x", "HTTPS://A.example/x"),
        ("https://bücher.example/ü", "https://bücher.example/ü"),
        ("https://", None),
        ("https:///path", None),
        ("https://?q", None),
        ("//a.example/x", None),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("xhttps://a.example", None),
        ("https://a.example/a b", None),
        ("https://a.example/a\nb", None),
        ("https://a.example/\x1b[2J", None),
        ("https://a.example/\u202e4pm", None),
        ("https://a.example/\ud800", None),
        (None, None),
        ([A], None),
    ],
)
def test_url_must_be_http_with_a_host(value: Any, found: str | None) -> None:
    """It has no spaces and no unprintable characters."""
    assert readers.url(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (99_999_999_999, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (100_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (1776728214500, datetime(2026, 4, 20, 23, 36, 54, 500000, tzinfo=UTC)),
        (" 2025-06-06 10:30:00 ", datetime(2025, 6, 6, 10, 30, tzinfo=UTC)),
        ("2025-06-06", datetime(2025, 6, 6, tzinfo=UTC)),
        (None, None),
        (True, None),
        ("", None),
        ("yesterday", None),
        ("2025-13-01 00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9" * 30, None),
        ("٢٠٢٥", None),
        (10**24, None),
        (-(10**24), None),
        (1e308, None),
        ([], None),
        ({}, None),
    ],
)
def test_instant_reads_seconds_milliseconds_and_dates(value: Any, found: datetime | None) -> None:
    """All in UTC; times beyond the calendar are ignored."""
    assert readers.instant(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a":1}', {"a": 1}),
        ('{"a":1,"a":2}', {}),
        ("[1]", {}),
        ("", {}),
        ("{", {}),
        (r'{"callBackUrl":"\https://x"}', {}),
        ("\ud800", {}),
        (None, {}),
        (5, {}),
        ([{}], {}),
    ],
)
def test_params_reads_an_object_or_json_of_one(value: Any, found: dict[str, Any]) -> None:
    """The wrongly escaped example in the documentation is unreadable."""
    assert readers.params(value) == found
