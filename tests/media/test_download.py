"""A file has its name only when it is whole."""

import hashlib
from pathlib import Path

import pytest

from tests.edges.raw_server import Visit, http, raw_server
from tests.media.test_mp4 import WHOLE
from veo_async.errors import DownloadFailed
from veo_async.media import Downloads


def serving(answer: bytes, seen: list[bytes] | None = None):  # type: ignore[no-untyped-def]
    async def behave(visit: Visit) -> None:
        request = await visit.read_head()
        if seen is not None:
            seen.append(request)
        await visit.send(answer)

    return behave


async def test_whole_video_is_saved(tmp_path: Path) -> None:
    """The file, its size and its hash; folders are made; nothing else is left; no key is sent."""
    seen: list[bytes] = []
    target = tmp_path / "new" / "dog.mp4"
    async with raw_server(serving(http(WHOLE), seen)) as server, Downloads() as downloads:
        saved = await downloads.save(f"{server.url}/v/1.mp4", target)
    assert target.read_bytes() == WHOLE
    assert (saved.path, saved.size, saved.sha256) == (target, len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    assert [path.name for path in target.parent.iterdir()] == ["dog.mp4"]
    assert b"authorization" not in seen[0].lower()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http(WHOLE[:-1]), "not a whole video"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + WHOLE, "broke off"),
        (http(b"<html>sign in</html>"), "not a whole video"),
        (http(b""), "not a whole video"),
        (http(b"gone", status="403 Forbidden"), "refused"),
        (http(b"", status="302 Found", headers=("Location: http://127.0.0.1:1/",)), "refused"),
    ],
    ids=["one byte short", "breaks off", "error page", "empty", "expired", "redirect"],
)
async def test_what_is_not_whole_leaves_nothing(tmp_path: Path, answer: bytes, why: str) -> None:
    """No file under the final name, none under a temporary one, and an older file stays as it was."""
    target = tmp_path / "dog.mp4"
    target.write_bytes(b"older")
    async with raw_server(serving(answer)) as server, Downloads() as downloads:
        with pytest.raises(DownloadFailed, match=why) as caught:
            await downloads.save(f"{server.url}/v/1.mp4", target)
    assert caught.value.retryable
    assert target.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["dog.mp4"]


async def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """An error of ours, not an OSError."""
    (tmp_path / "file").write_bytes(b"")
    async with raw_server(serving(http(WHOLE))) as server, Downloads() as downloads:
        with pytest.raises(DownloadFailed, match="could not be written"):
            await downloads.save(f"{server.url}/v/1.mp4", tmp_path / "file" / "dog.mp4")


async def test_unopened_downloads_say_so(tmp_path: Path) -> None:
    """Used outside its block, it tells how it is used."""
    with pytest.raises(DownloadFailed, match="async with"):
        await Downloads().save("http://127.0.0.1:1/", tmp_path / "x.mp4")
