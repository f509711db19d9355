"""Callback tokens: ours are recognized without a query, and cannot be forged."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from veo_async._rules.tokens import RANDOM_BYTES, callback_url, is_valid_token, make_token

SECRET = b"s" * 16


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), st.binary(min_size=16, max_size=32))
def test_token_is_valid_with_its_own_secret_only(random_part: bytes, secret: bytes) -> None:
    """It has 26 lower-case letters and digits, so it fits into a URL path."""
    token = make_token(random_part, secret)
    assert len(token) == 26
    assert token.isalnum()
    assert token == token.lower()
    assert is_valid_token(token, secret)
    assert not is_valid_token(token, secret + b"!")


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), st.integers(0, 25), st.sampled_from("a2z"))
@example(b"\x00" * 10, 25, "z")
def test_token_with_one_changed_letter_is_invalid(random_part: bytes, at: int, letter: str) -> None:
    """The signature covers every bit."""
    token = make_token(random_part, SECRET)
    changed = token[:at] + letter + token[at + 1 :]
    assert is_valid_token(changed, SECRET) is (changed == token)


@pytest.mark.parametrize(
    "text", ["", "a" * 25, "a" * 27, "A" * 26, "ä" * 26, "1" * 26, "../../etc/passwd", "a" * 10**6]
)
def test_malformed_token_is_invalid(text: str) -> None:
    """The receiver may get any text."""
    assert not is_valid_token(text, SECRET)


@given(st.text())
def test_any_text_is_invalid_without_an_error(text: str) -> None:
    """It comes from the network."""
    assert not is_valid_token(text, SECRET)


def test_callback_url_ends_with_the_token() -> None:
    """With or without a slash, under any path."""
    assert callback_url("https://bot.example", "t") == "https://bot.example/veo/cb/t"
    assert callback_url("https://bot.example/app/", "t") == "https://bot.example/app/veo/cb/t"
