"""A file has its name only when it is whole, and a small JSON beside it that tells what it is."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.edges.raw_server import Visit, http, raw_server
from veo_async.errors import DownloadFailed, UsageError
from veo_async.media import Saver
from veo_async.media.saved_file import strip_queries
from veo_async.simulator import Simulator

from .support import LOOPBACK, WHOLE, saver, serving, sim_clip, video


async def test_whole_video_is_saved(tmp_path: Path) -> None:
    """The file, its size and its hash; folders are made; nothing else is left; no key is sent."""
    seen: list[bytes] = []
    folder = tmp_path / "new" / "clips"
    async with raw_server(serving(video(), seen=seen)) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/v/1.mp4?sig=SECRET"], folder, name="dog")
    assert saved.path == folder / "dog.mp4"
    assert saved.path.read_bytes() == WHOLE
    assert (saved.size, saved.sha256) == (len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    assert sorted(path.name for path in folder.iterdir()) == ["dog.json", "dog.mp4"]
    assert b"/v/1.mp4?sig=SECRET" in seen[0]
    assert b"authorization" not in seen[0].lower()
    assert b"accept-encoding: identity" in seen[0].lower()


async def test_json_tells_what_the_clip_is(tmp_path: Path) -> None:
    """What was handed in, and the file itself; no query of any URL."""
    about = {
        "task_id": "t1",
        "request": {"prompt": "https://x.test/?a=b is written on a wall", "imageUrls": ["https://i.test/a.png?key=S3"]},
        "size": "not this",
    }
    async with raw_server(serving(video())) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/1.mp4?sig=S3"], tmp_path / "a.mp4", name="dog", metadata=about)
    told = json.loads(saved.sidecar.read_text())
    assert told["task_id"] == "t1"
    assert told["request"]["prompt"] == "https://x.test/?a=b is written on a wall"
    assert told["request"]["imageUrls"] == ["https://i.test/a.png"]
    assert (told["size"], told["sha256"], told["file"]) == (saved.size, saved.sha256, "a.mp4")
    assert told["url"] == f"{server.url}/1.mp4"
    assert "S3" not in saved.sidecar.read_text()


def test_urls_lose_what_is_private() -> None:
    """User names, passwords, queries and fragments; whatever is no URL stays."""
    given = {"a": ("https://u:p@h.test/x?y#z", 1, None), "b": {"c": "no url?"}, "d": "https://[broken?x"}
    assert strip_queries(given) == {"a": ["https://h.test/x", 1, None], "b": {"c": "no url?"}, "d": "https://[broken"}


async def test_every_url_of_a_clip_is_saved(tmp_path: Path) -> None:
    """``name.mp4``, ``name-2.mp4``, each with its JSON, from a simulator's own host."""
    async with Simulator() as sim, saver() as downloads:
        urls = [sim_clip(sim, f"{n}.mp4", WHOLE + bytes([0, 0, 0, 9]) + b"free" + bytes([n])) for n in range(2)]
        saved = await downloads.save(urls, tmp_path, name="dog")
    assert [each.path.name for each in saved] == ["dog.mp4", "dog-2.mp4"]
    assert [each.path.read_bytes()[-1] for each in saved] == [0, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dog-2.json", "dog-2.mp4", "dog.json", "dog.mp4"]


async def test_one_failure_disturbs_no_other(tmp_path: Path) -> None:
    """The others are saved, and the error says so."""

    async def behave(visit: Visit) -> None:
        head = await visit.read_head()
        await visit.send(video() if b"good" in head else http(b"", status="403 Forbidden"))

    async with raw_server(behave) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match="expired") as caught:
            await downloads.save(
                [f"{server.url}/bad", f"{server.url}/good"], tmp_path, name="d", metadata={"task_id": "t"}
            )
    assert (caught.value.http_status, caught.value.task_id) == (403, "t")
    assert caught.value.__notes__ == ["1 of the clip's 2 files were saved"]
    assert (tmp_path / "d-2.mp4").read_bytes() == WHOLE


async def test_only_so_many_at_once(tmp_path: Path) -> None:
    """Never more than asked for, and all get there."""
    now = most = 0

    async def behave(visit: Visit) -> None:
        nonlocal now, most
        await visit.read_head()
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        await visit.send(video())

    async with raw_server(behave) as server, Saver(base_url=LOOPBACK, max_downloads=2) as downloads:
        await downloads.save([f"{server.url}/{n}" for n in range(6)], tmp_path, name="d")
    assert most == 2
    assert len(list(tmp_path.glob("*.mp4"))) == 6


async def test_unopened_saver_says_so(tmp_path: Path) -> None:
    """Used outside its block, it tells how it is used; and there must be something to save, and one at once."""
    with pytest.raises(DownloadFailed, match="async with"):
        await Saver().save(["https://x.test/"], tmp_path, name="x")
    with pytest.raises(UsageError, match="none"):
        await Saver().save([], tmp_path, name="x")
    with pytest.raises(UsageError, match="max_downloads"):
        Saver(max_downloads=0)
