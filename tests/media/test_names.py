"""Every key gives one file name that is safe in the target folder on every system (row 76)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async.media.names import file_names, hashed_name, safe_name, stable_hash

SAFE = re.compile(r"[A-Za-z0-9._-]{1,120}")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
KEYS = st.text() | st.text(alphabet="aA.-_/\\ :0") | st.sampled_from(["con", "NUL.x", "..", "lpt1", "a" * 300, "x."])


@given(KEYS, st.integers(1, 12))
def test_any_key_gives_safe_names(key: str, count: int) -> None:
    """At most 120 safe characters, no device name, no hidden file, no parent folder."""
    names = file_names(safe_name(key), count)
    assert len({name.lower() for name in names}) == count
    for name in (*names, hashed_name(key, "task") + ".mp4"):
        assert SAFE.fullmatch(name)
        assert not RESERVED.fullmatch(name)
        assert name[0] not in ".-"
        assert not name.removesuffix(".mp4").endswith(".")


@given(KEYS, KEYS)
def test_different_keys_give_different_names(one: str, other: str) -> None:
    """Two keys never share a file name."""
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(KEYS)
def test_safe_name_is_not_changed_again(key: str) -> None:
    """Applying `safe_name` twice gives the same result as applying it once."""
    assert safe_name(safe_name(key)) == safe_name(key)


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("surfing-dog", "surfing-dog"),
        ("4c9a31a5bb61db65d10f1210d78cc08a", "4c9a31a5bb61db65d10f1210d78cc08a"),
        ("../../x", r"_.._x-[0-9a-f]{10}"),
        ("a\0b", r"a_b-[0-9a-f]{10}"),
        ("x" * 300, r"x{89}-[0-9a-f]{10}"),
        ("con", r"_con-[0-9a-f]{10}"),
        ("Aux.txt", r"_Aux\.txt-[0-9a-f]{10}"),
        (".hidden", r"hidden-[0-9a-f]{10}"),
        ("-rf", r"rf-[0-9a-f]{10}"),
        ("ends. ", r"ends\._-[0-9a-f]{10}"),
        ("", r"clip-[0-9a-f]{10}"),
        ("Собака", r"_-[0-9a-f]{10}"),
        ("\ud800", r"_-[0-9a-f]{10}"),
    ],
)
def test_readable_part_of_a_key_is_kept(key: str, form: str) -> None:
    """Safe characters are kept, so that users recognize their files."""
    assert re.fullmatch(form, safe_name(key))


def test_hash_depends_on_where_texts_end() -> None:
    """The same characters, split at another place, have another hash."""
    assert stable_hash("ab", "c") != stable_hash("a", "bc")
