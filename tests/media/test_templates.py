"""Templates of paths: their placeholders, their errors, and that no value reaches another folder."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async.errors import UsageError
from veo_async.media.templates import (
    NameFacts,
    NumberedPath,
    PathTemplate,
    escape_braces,
    is_template,
    numbered,
    parse_template,
)

KEY = "3f9c1a0b2c4d5e6f7081"
DOG = NameFacts(key=KEY, prompt="A dog surfing", model="veo3_fast", number=7)


def parse(text: str, *, has_number: bool = True) -> PathTemplate:
    return parse_template("save_to", text, has_number=has_number)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("clips/{key}.mp4", f"clips/{KEY}.mp4"),
        ("{slug}-{id}.mp4", "a-dog-surfing-3f9c1a.mp4"),
        ("{n:03}-{slug}.mp4", "007-a-dog-surfing.mp4"),
        ("{n}.MP4", "7.MP4"),
        ("{n:2}{n:03d}.mp4", "07007.mp4"),
        ("{model}/{key}.mp4", f"veo3_fast/{KEY}.mp4"),
        ("{model}/", "veo3_fast/"),
        ("a{{b}}-{n}.mp4", "a{b}-7.mp4"),
        ("{{{n}}}.mp4", "{7}.mp4"),
    ],
)
def test_placeholders_are_filled(template: str, path: str) -> None:
    """A doubled brace is a literal one."""
    assert parse(template).fill(DOG) == path


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{nme}.mp4", r"\{nme\} is not a placeholder; use \{key\}, \{slug\}, \{id\}, \{model\}, \{n:03\}"),
        ("{Slug}.mp4", r"did you mean \{slug\}"),
        ("{}.mp4", r"\{\} is not a placeholder; use"),
        ("{key.__class__}.mp4", "is not a placeholder"),
        ("{0}.mp4", "is not a placeholder"),
        ("{key:9}.mp4", r"\{key:9\}: only \{n\} takes a width, as in \{n:03\}"),
        ("{n:}.mp4", "as in"),
        ("{n:x}.mp4", "as in"),
        ("{n:0999}.mp4", "as in"),
        ("{key.mp4", r"a single '\{'; write a literal brace twice"),
        ("key}.mp4", r"a single '\}'"),
        ("{{key}.mp4", r"a single '\}'"),
        ("clips/{key}", r"end it with \.mp4 for a file, or with a slash for a folder"),
        ("clips/{key}.mov", r"end it with \.mp4"),
    ],
)
def test_wrong_template_is_refused_with_the_valid_placeholders(template: str, message: str) -> None:
    """The error names the argument, its value, the placeholder and what to write."""
    with pytest.raises(UsageError, match=rf"save_to=.*{message}"):
        parse(template)


def test_number_without_a_list_is_refused() -> None:
    """One request has no number."""
    with pytest.raises(
        UsageError, match=r"only the requests of map\(\), gather\(\) and a list have a number for \{n\}"
    ):
        parse("{n}.mp4", has_number=False)
    with pytest.raises(UsageError) as caught:
        parse("{nme}.mp4", has_number=False)
    assert "{n}" not in str(caught.value).partition("use ")[2]


@given(st.text(max_size=60) | st.sampled_from(["..", "../x", "/etc/passwd", "C:\\x", ".", "a/b", "{n}"]))
def test_no_key_slug_or_model_leaves_the_folder(text: str) -> None:
    """Each value is one safe part of a path; braces in it mean nothing."""
    facts = NameFacts(key=text, prompt=text, model=text, number=1)
    for name in ("key", "slug", "id", "model"):
        filled = parse(f"clips/{{{name}}}.mp4").fill(facts)
        path = Path(filled)
        assert path.parent == Path("clips")
        assert path.suffix == ".mp4"
        assert "\\" not in filled
        assert Path(parse(f"clips/{{{name}}}/x.mp4").fill(facts)).resolve().parent.parent == Path("clips").resolve()


def test_pattern_accepts_every_number_of_one_job_only() -> None:
    """It recognizes the file of a row whose number changed."""
    pattern = parse("clips/{n:03}-{id}.mp4").fill_except_number(DOG)
    assert pattern.fullmatch(os.path.abspath("clips/012-3f9c1a.mp4"))
    assert pattern.fullmatch(os.path.abspath("clips/1234-3f9c1a.mp4"))
    assert not pattern.fullmatch(os.path.abspath("clips/012-000000.mp4"))
    assert not pattern.fullmatch(os.path.abspath("other/012-3f9c1a.mp4"))


def test_template_keeps_its_folder_when_the_working_directory_changes(tmp_path: Path) -> None:
    """Braces in the folder's own name are literal; an absolute template is not moved."""
    folder = str(tmp_path / "{odd}")
    assert parse("{id}.mp4").below(folder).fill(DOG) == os.path.join(folder, "3f9c1a.mp4")
    assert parse(f"{tmp_path}/{{id}}.mp4").below(folder).fill(DOG) == f"{tmp_path}/3f9c1a.mp4"


@given(st.text())
def test_escaped_path_is_a_template_for_itself(path: str) -> None:
    """That is how a folder with braces in its name is passed on."""
    escaped = escape_braces(f"{path}/")
    assert parse(escaped).fill(DOG) == f"{path}/"
    assert is_template(escaped) == bool(set(path) & {"{", "}"})


def test_number_is_given_once() -> None:
    """A path that has its number keeps it; other values are not touched."""
    first = numbered(Path("x/{n}.mp4"), 3)
    assert isinstance(first, NumberedPath)
    assert (os.fspath(first), first.number) == (os.path.join("x", "{n}.mp4"), 3)
    assert numbered(first, 4) is first
    assert numbered(None, 1) is None
    assert numbered(7, 1) == 7
