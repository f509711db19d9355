"""File names and paths as Windows sees them; these checks are plain functions, so they run anywhere."""

from pathlib import PureWindowsPath

import pytest

from veo_async import errors
from veo_async._base import windows_names
from veo_async._base.windows_names import path_problem
from veo_async._session.options import checked_target
from veo_async.cli.formatting import environment_lines, join_words
from veo_async.ledger.sqlite.location import database_uri, is_windows_share
from veo_async.media.names import safe_name


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("con.mp4", "device"),
        ("clips/NUL", "device"),
        ("clips\\com1.tar.gz", "device"),
        ("aux .mp4", "device"),
        ("what?.mp4", "'?'"),
        ("a<b>.mp4", "'<'"),
        ("clips/12:30.mp4", "':'"),
        ("tab\there.mp4", "'\\t'"),
        ("clips. /dog.mp4", "drops"),
        ("dog.mp4.", "drops"),
        ("dog.mp4 ", "drops"),
        ("x" * 256, "longer than 255"),
    ],
)
def test_name_that_windows_rejects_or_changes_has_a_problem(path: str, rule: str) -> None:
    """Reserved names, forbidden characters, dots and spaces at the end, and names that are too long."""
    assert rule in str(path_problem(path, is_windows=True))
    assert path_problem(path, is_windows=False) is None


@pytest.mark.parametrize(
    "path",
    ["dog.mp4", "C:\\clips\\dog.mp4", "C:dog.mp4", "..\\dog.mp4", "./a", "\\\\host\\share\\a b.mp4", "console.mp4"],
)
def test_ordinary_path_has_no_problem(path: str) -> None:
    """Letters, shares, parents and names that only begin like a device's."""
    assert path_problem(path, is_windows=True) is None


def test_target_that_windows_rejects_is_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the argument, the value and the rule."""
    monkeypatch.setitem(windows_names.path_problem.__kwdefaults__, "is_windows", True)
    with pytest.raises(errors.UsageError, match=r"save_to='con\.mp4': .*device on Windows; use another name"):
        checked_target("save_to", "con.mp4")


@pytest.mark.parametrize("key", ["con", "LPT1.x", "a:b", "dog. ", "x" * 300, "犬", "conin$", "COM¹"])
def test_name_made_from_a_key_is_valid_on_windows(key: str) -> None:
    """Keys may be any text."""
    name = safe_name(key)
    assert path_problem(f"{name}.mp4", is_windows=True) is None


@pytest.mark.parametrize(
    ("path", "uri", "is_share"),
    [
        ("C:\\my clips\\veo.db", "file:///C:/my%20clips/veo.db", False),
        ("\\\\host\\share\\veo.db", "file:////host/share/veo.db", True),
        ("//host/share/veo.db", "file:////host/share/veo.db", True),
    ],
)
def test_ledger_on_a_drive_is_local_and_one_on_a_share_is_not(path: str, uri: str, is_share: bool) -> None:
    """SQLite takes no host name in a URI, and another machine's locks are unreliable."""
    assert is_windows_share(PureWindowsPath(path)) is is_share
    assert database_uri(PureWindowsPath(path)) == uri


def test_long_form_of_a_drive_is_local_and_that_of_a_share_is_not() -> None:
    r"""``\\?\C:\`` and ``\\?\UNC\host``."""
    assert not is_windows_share(PureWindowsPath("\\\\?\\C:\\veo.db"))
    assert is_windows_share(PureWindowsPath("\\\\?\\UNC\\host\\share\\veo.db"))


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("list-1.csv", "list-1.csv"),
        ("C:\\clips\\veo.db", "C:\\clips\\veo.db"),
        ("my list.csv", '"my list.csv"'),
        ("C:\\my clips\\", '"C:\\my clips\\\\"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("it's", '"it\'s"'),
        ("", '""'),
    ],
)
def test_printed_command_is_quoted_for_the_shell_of_the_system(word: str, quoted: str) -> None:
    """Windows does not know single quotes."""
    assert join_words(["veo-async", "batch", word], is_windows=True) == f"veo-async batch {quoted}"


def test_variables_are_set_in_the_language_of_the_shell() -> None:
    """PowerShell on Windows."""
    values = {"VEO_API_KEY": "k", "VEO_BASE_URL": "http://127.0.0.1:8080"}
    assert environment_lines(values, is_windows=False) == ["export VEO_API_KEY=k VEO_BASE_URL=http://127.0.0.1:8080"]
    assert environment_lines(values, is_windows=True)[0] == '$env:VEO_API_KEY = "k"'
