"""The API key: its sources in order, and that it stays hidden."""

import asyncio
import copy
import logging
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest

from veo_async import VeoApi
from veo_async._api.key import ApiKey, resolve_key
from veo_async.errors import InvalidKey

LONG = "kie_canary_0123456789abcdef"


def test_repr_shows_the_end_of_a_long_key_only() -> None:
    """Four characters help to distinguish keys; for a short key they give away too much."""
    assert repr(ApiKey(LONG)) == "ApiKey(…cdef)"
    assert repr(ApiKey("short")) == "ApiKey(***)"
    assert LONG not in f"{ApiKey(LONG)!s}"


@pytest.mark.parametrize("bad", ["", "two words", "line\nbreak", "tab\t", "ключ", "\x1b[0m"])
def test_malformed_key_is_refused_without_quoting_it(bad: str) -> None:
    """A pasted space or line break is found before anything is sent."""
    with pytest.raises(InvalidKey) as caught:
        ApiKey(bad)
    assert not bad or bad not in str(caught.value)


def test_key_cannot_be_pickled_or_copied() -> None:
    """A key does not leave its process."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(ApiKey(LONG))
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.deepcopy(ApiKey(LONG))


def test_account_id_is_a_stable_hash_of_the_key() -> None:
    """The same key has the same account everywhere, another key another one."""
    assert ApiKey(LONG).account_id == ApiKey(LONG).account_id
    assert ApiKey(LONG).account_id != ApiKey(LONG + "0").account_id
    assert len(ApiKey(LONG).account_id) == 16
    assert ApiKey(LONG) == ApiKey(LONG)
    assert hash(ApiKey(LONG)) == hash(ApiKey(LONG))
    assert ApiKey(LONG) != LONG


def test_key_sources_come_in_order(tmp_path: Path) -> None:
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


def test_missing_key_error_names_every_source() -> None:
    """KIE_API_KEY comes first, and the error says where to get a key."""
    with pytest.raises(InvalidKey) as caught:
        resolve_key(None, {"VEO_API_KEY": ""})
    for name in ("api_key", "VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"):
        assert name in str(caught.value)
    assert str(caught.value).index("KIE_API_KEY") < str(caught.value).index("VEO_API_KEY")
    with pytest.raises(InvalidKey, match=r"get a key at https://keys\.example\."):
        resolve_key(None, {}, key_page="https://keys.example")


def test_unreadable_key_file_is_an_invalid_key(tmp_path: Path) -> None:
    """A missing file, or one that is not text, is an `InvalidKey`."""
    with pytest.raises(InvalidKey, match="FileNotFoundError"):
        resolve_key(None, {"KIE_API_KEY_FILE": str(tmp_path / "none")})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidKey, match="UnicodeDecodeError"):
        resolve_key(None, {"KIE_API_KEY_FILE": str(tmp_path / "binary")})


def test_key_file_readable_by_others_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log suggests to fix the permissions."""
    path = tmp_path / "key"
    path.write_text(LONG)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        resolve_key(None, {"KIE_API_KEY_FILE": str(path)})
    assert "chmod 600" in caplog.text
    assert LONG not in caplog.text


async def test_key_provider_is_called_once_for_concurrent_requests() -> None:
    """Concurrent requests share one call; refreshing the key calls it again."""
    calls = 0

    async def provide() -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return f"key-{calls}"

    async with VeoApi(provide, base_url="http://127.0.0.1:1") as api:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(api._requester.current_key()) for _ in range(10)]
        assert {task.result() for task in tasks} == {ApiKey("key-1")}
        assert await api.refresh_key() is True
        assert await api._requester.current_key() == ApiKey("key-2")


async def test_fixed_key_is_not_refreshed() -> None:
    """A key given as a string stays the same."""
    async with VeoApi(LONG) as api:
        assert await api.refresh_key() is False


def test_client_without_a_key_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names KIE_API_KEY and the provider's page for keys."""
    for name in ("VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidKey, match=r"Set KIE_API_KEY or pass api_key=; get a key at https://kie.ai/api-key\."):
        VeoApi()


ODD_KEY = "kie/secret+Key-%9"


def every_escape(key: str) -> list[str]:
    """Return *key* in the escapes that servers use for text that they echo."""
    return [
        key,
        key.replace("/", "\\/"),
        "".join(f"\\u{ord(c):04x}" for c in key),
        "".join(f"\\u{ord(c):04X}" for c in key),
        "".join(f"\\\\u{ord(c):04x}" for c in key),
        key.replace("e", "\\u0065"),
        "".join(f"%{ord(c):02x}" for c in key),
        "".join(f"%{ord(c):02X}" for c in key),
        quote(key, ""),
        quote(quote(key, ""), ""),
        "".join(f"&#{ord(c)};" for c in key),
        "".join(f"&#x{ord(c):X};" for c in key),
    ]


@pytest.mark.parametrize("key", [LONG, ODD_KEY])
def test_echoed_key_is_removed_in_every_escape(key: str) -> None:
    """What comes before and after it stays."""
    for text in every_escape(key):
        assert ApiKey(key).redact(f'{{"msg":"{text}!"}}'.encode()) == b'{"msg":"[key]!"}'
    mixed = "".join(c if n % 2 else f"\\u{ord(c):04x}" for n, c in enumerate(key))
    assert ApiKey(key).redact(f"{mixed} {key}".encode()) == b"[key] [key]"


@pytest.mark.parametrize("body", [b"", b"{}", b'"\\u0041%20&#65;"', LONG[:-1].encode(), b"\\/" * 1000])
def test_body_without_the_key_is_not_changed(body: bytes) -> None:
    """It is the same object, so nothing is copied."""
    assert ApiKey(LONG).redact(body) is body
