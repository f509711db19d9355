"""Every key gives one file name that is safe in the target folder on every system (row 76)."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._base.windows_names import path_problem
from veo_async.media.names import (
    clip_stem,
    file_names,
    hashed_name,
    numbered_names,
    readable_name,
    safe_name,
    short_id,
    slug,
    stable_hash,
)
from veo_async.requests import ExtendRequest, VideoRequest, automatic_key, chain_of

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


# --- names from prompts -------------------------------------------------------------------------------------------

AUTOMATIC = st.text("0123456789abcdef", min_size=20, max_size=20)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A dog surfing at dusk", "a-dog-surfing-at-dusk"),
        ("  Dog's day — 4K!!! ", "dogs-day-4k"),
        ("Ein Hörnchen, „schnell“, über den Fluß", "ein-hörnchen-schnell-über-den-fluß"),
        ("Собака на закате", "собака-на-закате"),
        ("一只狗在冲浪，黄昏", "一只狗在冲浪-黄昏"),
        ("हिन्दी में कुत्ता", "हिन्दी-में-कुत्ता"),
        ("Ｗｉｄｅ ﬁn ²", "wide-fin-2"),
        ("soft\u00adly zero\u200bwidth", "softly-zerowidth"),
        ("../../etc/passwd\0 C:\\x", "etc-passwd-c-x"),
        ("Con", "con-clip"),
        ("🐶 …", "clip"),
        ("\ud800", "clip"),
        ("", "clip"),
    ],
)
def test_slug_keeps_the_words_of_a_prompt_readable(prompt: str, name: str) -> None:
    """Letters and digits of all scripts are kept; everything else separates words."""
    assert slug(prompt) == name


def test_both_normal_forms_of_an_accent_give_one_name() -> None:
    """The name is in the normal form NFC."""
    assert slug("e\u0301te\u0301") == slug("\u00e9t\u00e9") == "\u00e9t\u00e9"


def test_long_prompt_is_cut_between_words() -> None:
    """A text without spaces is cut where it becomes too long."""
    assert slug("a cinematic shot of a bottle on a wet stone in the morning light") == (
        "a-cinematic-shot-of-a-bottle-on-a-wet-stone-in-the-morning"
    )
    assert slug("x" * 300) == "x" * 60
    assert slug("狗" * 300) == "狗" * 30


@given(
    st.text() | st.text("aöя狗 .-/\u0301", max_size=300),
    AUTOMATIC,
    st.sampled_from(["", ".4k", ".extend-0123ab.1080p"]),
)
def test_name_of_any_prompt_is_safe_everywhere(prompt: str, key: str, suffix: str) -> None:
    """On Windows, too; short in bytes, in one normal form, and with no way into another folder."""
    stem = clip_stem(key + suffix, prompt)
    for name in (*file_names(stem, 12), file_names(numbered_names(stem)[-1], 12)[-1], f"{slug(prompt)}.mp4"):
        assert path_problem(name, is_windows=True) is None
        assert len(name.encode()) <= 143
        assert not set(name) & set("/\\\0 ")
        assert name[0] not in ".-"
        assert unicodedata.is_normalized("NFC", name)
        assert name == name.lower()


@given(st.text(), AUTOMATIC, AUTOMATIC)
def test_name_depends_on_the_key(prompt: str, one: str, other: str) -> None:
    """The same prompt in two jobs gives two names, by the first digits of their keys."""
    assert (clip_stem(one, prompt) == clip_stem(other, prompt)) == (one[:6] == other[:6])
    assert clip_stem(one, prompt) != clip_stem(f"{one}.4k", prompt)


def test_names_of_a_chain_with_an_automatic_key_begin_alike() -> None:
    """The keys of a request and of its follow-ups are recognized as automatic. A key that a user chose is the name."""
    request = VideoRequest("A dog")
    key = automatic_key(request, 2, "anna")
    _, _, extended = chain_of(key, request, ["4k", ExtendRequest(prompt="It swims")])
    assert clip_stem(key, "A dog") == f"a-dog-{key[:6]}"
    assert clip_stem(extended.key, "A dog") == f"a-dog-{key[:6]}{extended.key[20:]}"
    assert short_id(key) == key[:6] != short_id(extended.key)
    for chosen in ("surfing-dog", "row-17.4k", "4c9a31a5bb61db65d10f1210d78cc08a"):
        assert clip_stem(chosen, "A dog") == chosen


def test_message_names_a_job_by_its_own_key_or_by_its_file() -> None:
    """A key that a user chose is not changed, even if its file has another name."""
    assert readable_name("../row 1", "A dog") == "../row 1"
    assert readable_name("3f9c1a0b2c4d5e6f7081", "A dog") == "a-dog-3f9c1a"
