"""``--env-file``: what it reads, what it refuses, and that it never shows a value."""

import os
import sys
from pathlib import Path

import pytest

import veo_async
from tests.programs import run
from veo_async.cli.env_file import load_env_file, parse_env_file
from veo_async.errors import UsageError
from veo_async.simulator import Simulator

VEO = (sys.executable, "-m", "veo_async")
PATH = Path("my keys.env")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("  NAME = value  ", "value"),
        ("export NAME=value", "value"),
        ("NAME=value # a comment", "value"),
        ("NAME=a#b", "a#b"),
        ("NAME=# a comment", ""),
        ("NAME=", ""),
        ('NAME="two words # no comment"', "two words # no comment"),
        (r'NAME="line\n\"quoted\" \\ \$x"  # a comment', 'line\n"quoted" \\ $x'),
        (r"NAME='as $it \n is'", r"as $it \n is"),
        ("NAME=''", ""),
        ("NAME=a=b", "a=b"),
        ("NAME=first\nNAME=second", "second"),
        ("\n# a comment\n\r\nNAME=value\r\n", "value"),
    ],
)
def test_line_is_read_as_dotenv_files_are(line: str, value: str) -> None:
    """Quotes, comments, ``export`` and blanks."""
    assert parse_env_file(line, PATH) == {"NAME": value}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("secret-value", "not an assignment; write NAME=VALUE"),
        ("2ND=secret-value", "not an assignment; write NAME=VALUE"),
        ('NAME="secret-value', "the quotes around the value of NAME do not match"),
        ("NAME='secret-value' more", "the quotes around the value of NAME do not match"),
    ],
)
def test_line_that_cannot_be_read_is_named_without_its_value(line: str, problem: str) -> None:
    """File, line number and remedy; the value may be a secret."""
    with pytest.raises(UsageError) as caught:
        parse_env_file(f"A=1\n\n{line}", PATH)
    assert str(caught.value) == f"--env-file my keys.env, line 3: {problem}"


def test_variables_that_are_set_are_kept_and_a_wrong_file_sets_none(tmp_path: Path) -> None:
    """The environment wins over the file."""
    file = tmp_path / "keys.env"
    file.write_bytes(b"\xef\xbb\xbfKIE_API_KEY=from-file\nKIE_BASE_URL=http://file\n")
    environ = {"KIE_API_KEY": "set"}
    load_env_file(file, environ)
    assert environ == {"KIE_API_KEY": "set", "KIE_BASE_URL": "http://file"}
    file.write_text("A=1\nB")
    with pytest.raises(UsageError):
        load_env_file(file, environ)
    assert "A" not in environ


@pytest.mark.parametrize(("content", "problem"), [(None, "No such file"), (b"\xff\xfe\x00", "not UTF-8 text")])
def test_file_that_cannot_be_read_is_a_usage_error(content: bytes | None, problem: str, tmp_path: Path) -> None:
    """A missing file, or one of another encoding."""
    file = tmp_path / "keys.env"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        load_env_file(file, {})


def test_file_in_the_guide_is_read() -> None:
    """The example of the page on the command line."""
    page = (Path(veo_async.__file__).parent / "guide" / "command-line.md").read_text("utf-8")
    [example] = [block for block in page.split("```") if block.startswith("\n# keys.env")]
    assert parse_env_file(example, PATH) == {"KIE_API_KEY": "your-key", "KIE_BASE_URL": "https://api.kie.ai"}


async def test_command_uses_the_key_in_the_file_and_repeats_the_option_without_showing_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next command needs the file as well. Without the option, a ``.env`` is not read."""
    for name in [name for name in os.environ if name.startswith(("KIE_", "VEO_"))]:
        monkeypatch.delenv(name)
    async with Simulator() as sim:
        (tmp_path / ".env").write_text(f"KIE_API_KEY={sim.api_key}\nexport KIE_BASE_URL='{sim.url}' # simulator\n")
        output = await run(*VEO, "--env-file", ".env", "doctor", cwd=tmp_path)
        assert "from KIE_API_KEY" in output
        assert 'veo-async generate "A dog surfing at dusk" --env-file .env' in output
        assert sim.api_key not in output
        assert "no API key" in await run(*VEO, "doctor", cwd=tmp_path, exits=1)
        (tmp_path / ".env").write_text(f"{sim.api_key}\n")
        output = await run(*VEO, "doctor", "-v", "--env-file=.env", cwd=tmp_path, exits=2)
        assert output == "--env-file .env, line 1: not an assignment; write NAME=VALUE\n"
