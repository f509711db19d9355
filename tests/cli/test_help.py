"""The help pages: what each of them shows, and what it leaves out."""

import re

import pytest

from veo_async._api.base_urls import BASE_URL_VARIABLES, UPLOAD_URL_VARIABLES
from veo_async._session.callbacks import SECRET_VARIABLE
from veo_async.cli.app import run
from veo_async.cli.exit_codes import MEANINGS
from veo_async.cli.help_pages import ENVIRONMENT
from veo_async.providers import KEY_FILE_VARIABLE, KEY_VARIABLES

from .test_commands import ALL

_GROUPS = {
    "Start": ["demo", "doctor", "simulator"],
    "Make": ["generate", "batch", "extend", "upgrade", "upload"],
    "Look": ["jobs", "timeline", "credits", "models", "contact-sheet"],
    "Repair": ["resume", "save", "ledger"],
}


def help_of(capsys: pytest.CaptureFixture[str], *names: str) -> str:
    with pytest.raises(SystemExit) as exit_info:
        run([*names, "--help"])
    assert exit_info.value.code == 0
    return capsys.readouterr().out


def panel(page: str, title: str) -> str:
    """Return the text inside the panel *title*."""
    return re.split(r"╭─ |╰─", page.partition(f"╭─ {title} ─")[2])[0]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.parametrize("group", _GROUPS)
def test_top_help_lists_the_commands_in_groups_and_in_the_order_of_use(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Start, Make, Look, Repair; a group may hold more commands."""
    listed = re.findall(r"^│ ([a-z][a-z-]*) ", panel(help_of(capsys), group), re.MULTILINE)
    assert [name for name in listed if name in _GROUPS[group]] == _GROUPS[group]


def test_every_command_is_in_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    """None falls into the panel of the options."""
    page = help_of(capsys)
    grouped = {name for names in _GROUPS.values() for name in names}
    assert {names[0] for names in ALL} - grouped <= set(
        re.findall(r"^│ ([a-z-]+) ", panel(page, "Start"), re.MULTILINE)
    )


def test_top_help_lists_environment_variables_and_exit_codes_and_a_command_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every exit code with its meaning."""
    page = help_of(capsys)
    assert re.search(r"\nEnvironment\n  KIE_API_KEY +the API key\n", page)
    for code, meaning in MEANINGS.items():
        assert re.search(rf"\n  {code} +{meaning}\n", page)
    for names in ALL:
        assert "Environment" not in help_of(capsys, *names)


def test_environment_variables_of_the_help_are_those_that_are_read() -> None:
    """No name is misspelled."""
    known = {*KEY_VARIABLES, KEY_FILE_VARIABLE, *BASE_URL_VARIABLES, *UPLOAD_URL_VARIABLES, SECRET_VARIABLE}
    assert {name for name in ENVIRONMENT if name.startswith("KIE_")} <= known


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_help_of_a_command_has_no_noise(names: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """No negative options, no option that repeats a positional argument, no default of an option that is off."""
    page = help_of(capsys, *names)
    assert not re.search(r"--(no|empty)-(?!verify)", page)
    assert not re.search(r"default: (False|\(\)|None|\d+\.0\])", page)
    assert not re.search(r"^│[ *]+[A-Z][A-Z_]+ --", page, re.MULTILINE)
    for option in ("--verbose -v", "--quiet -q", "--env-file PATH"):
        assert page.count(option) == 1


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_help_of_a_command_has_one_example(names: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Of this command."""
    examples = re.findall(r"Example: veo-async (.+)", help_of(capsys, *names))
    assert len(examples) == 1
    assert examples[0].startswith(" ".join(names))


def test_without_arguments_the_first_commands_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """And where the others are; exit code 0."""
    with pytest.raises(SystemExit) as exit_info:
        run([])
    assert exit_info.value.code == 0
    output = capsys.readouterr().out
    assert re.findall(r"^  veo-async (\w+)", output, re.MULTILINE) == ["demo", "doctor", "generate", "guide"]
    assert "veo-async --help" in output
    assert max(map(len, output.splitlines())) <= 100


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("doctr", 'Unknown command "doctr". Did you mean "doctor"? See veo-async --help'),
        ("ledger in-dubt", 'Unknown command "in-dubt". Did you mean "in-doubt"? See veo-async ledger --help'),
        ("batch x --bugdet 3", "Unknown option: --bugdet. Did you mean --budget? See veo-async batch --help"),
        ("jobs", "FILE is missing. See veo-async jobs --help"),
        (
            "generate A dog",
            'Unexpected "dog". Put quotes around a value that has blanks. See veo-async generate --help',
        ),
        ("upgrade x 9k", 'Invalid value "9k" for TO. Choose from: "1080p", "4k". See veo-async upgrade --help'),
        ("-v -q jobs x", "-v and -q exclude each other; give one of them"),
    ],
)
def test_wrong_words_get_one_line_that_says_what_is_right(
    typed: str, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, unbroken, exit code 2."""
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(SystemExit) as exit_info:
        run(typed.split())
    assert exit_info.value.code == 2
    assert capsys.readouterr().err == f"{text}\n"
