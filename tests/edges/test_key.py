"""The key: where it comes from, in which order, and that it does not show."""

import asyncio
import copy
import logging
import pickle
from pathlib import Path

import pytest

from veo_async import VeoApi
from veo_async._api.key import ApiKey, resolve_key
from veo_async.errors import InvalidKey

LONG = "kie_canary_0123456789abcdef"


def test_key_shows_its_end_when_it_is_long_enough() -> None:
    """Four characters help to tell keys apart; of a short key they would be too much."""
    assert repr(ApiKey(LONG)) == "ApiKey(…cdef)"
    assert repr(ApiKey("short")) == "ApiKey(***)"
    assert LONG not in f"{ApiKey(LONG)!s}"


@pytest.mark.parametrize("bad", ["", "two words", "line\nbreak", "tab\t", "ключ", "\x1b[0m"])
def test_what_cannot_be_a_key_is_refused_unquoted(bad: str) -> None:
    """A pasted line break or space is found before it is sent, and the value is not repeated."""
    with pytest.raises(InvalidKey) as caught:
        ApiKey(bad)
    assert not bad or bad not in str(caught.value)


def test_key_stays_in_its_process() -> None:
    """A key is neither pickled nor copied into something that could be."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(ApiKey(LONG))
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(ApiKey(LONG))


def test_account_is_a_stable_name_that_tells_nothing() -> None:
    """The same key names the same account everywhere; another key another one."""
    assert ApiKey(LONG).account_id == ApiKey(LONG).account_id
    assert ApiKey(LONG).account_id != ApiKey(LONG + "0").account_id
    assert len(ApiKey(LONG).account_id) == 16
    assert ApiKey(LONG) == ApiKey(LONG)
    assert hash(ApiKey(LONG)) == hash(ApiKey(LONG))
    assert ApiKey(LONG) != LONG


def test_sources_come_in_order(tmp_path: Path) -> None:
    """Argument, VEO_API_KEY, KIE_API_KEY, KIE_AI_API_KEY, then the file of KIE_API_KEY_FILE."""
    path = tmp_path / "key"
    path.write_text("from-the-file\n")
    path.chmod(0o600)
    places = {
        "KIE_API_KEY_FILE": str(path),
        "KIE_AI_API_KEY": "third",
        "KIE_API_KEY": "second",
        "VEO_API_KEY": "first",
    }
    assert resolve_key("given", places) == ApiKey("given")
    assert resolve_key(ApiKey("given"), places) == ApiKey("given")
    for expected in ("first", "second", "third", "from-the-file"):
        assert resolve_key(None, places) == ApiKey(expected)
        places.popitem()


def test_missing_key_names_every_place() -> None:
    """Whoever has no key learns where one was looked for."""
    with pytest.raises(InvalidKey) as caught:
        resolve_key(None, {"VEO_API_KEY": ""})
    for name in ("api_key", "VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"):
        assert name in str(caught.value)


def test_unreadable_key_file_is_told(tmp_path: Path) -> None:
    """A file that is not there, or that is no text, is an error of ours."""
    with pytest.raises(InvalidKey, match="FileNotFoundError"):
        resolve_key(None, {"KIE_API_KEY_FILE": str(tmp_path / "none")})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidKey, match="UnicodeDecodeError"):
        resolve_key(None, {"KIE_API_KEY_FILE": str(tmp_path / "binary")})


def test_key_file_open_to_others_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key that everybody on the machine can read is worth a word."""
    path = tmp_path / "key"
    path.write_text(LONG)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        resolve_key(None, {"KIE_API_KEY_FILE": str(path)})
    assert "chmod 600" in caplog.text
    assert LONG not in caplog.text


async def test_key_function_is_asked_once_for_many_calls() -> None:
    """However many calls begin together, the key is asked for once; asking again is a call of its own."""
    asked = 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return f"key-{asked}"

    async with VeoApi(ask, base_url="http://127.0.0.1:1") as api:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(api._requester.current_key()) for _ in range(10)]
        assert {task.result() for task in tasks} == {ApiKey("key-1")}
        assert await api.refresh_key() is True
        assert await api._requester.current_key() == ApiKey("key-2")


async def test_fixed_key_cannot_be_refreshed() -> None:
    """A key that was given as a string stays what it is."""
    async with VeoApi(LONG) as api:
        assert await api.refresh_key() is False
