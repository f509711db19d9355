"""A file gets its final name only when it is complete, together with a JSON sidecar that describes it."""

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


async def test_complete_video_is_saved_with_size_and_hash(tmp_path: Path) -> None:
    """A missing folder is created, no other file is left, and no API key is sent."""
    seen: list[bytes] = []
    folder = tmp_path / "clips"
    async with raw_server(serving(video(), seen=seen)) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/v/1.mp4?sig=SECRET"], folder, name="dog")
    assert saved.path == folder / "dog.mp4"
    assert saved.path.read_bytes() == WHOLE
    assert (saved.size, saved.sha256) == (len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    assert sorted(path.name for path in folder.iterdir()) == ["dog.json", "dog.mp4"]
    assert b"/v/1.mp4?sig=SECRET" in seen[0]
    assert b"authorization" not in seen[0].lower()
    assert b"accept-encoding: identity" in seen[0].lower()


async def test_sidecar_describes_clip_and_file(tmp_path: Path) -> None:
    """The sidecar contains the metadata and the facts about the file, without the query of any URL."""
    metadata = {
        "task_id": "t1",
        "request": {"prompt": "https://x.test/?a=b is written on a wall", "imageUrls": ["https://i.test/a.png?key=S3"]},
        "size": "not this",
    }
    async with raw_server(serving(video())) as server, saver() as downloads:
        (saved,) = await downloads.save(
            [f"{server.url}/1.mp4?sig=S3"], tmp_path / "a.mp4", name="dog", metadata=metadata
        )
    stored = json.loads(saved.sidecar.read_text())
    assert stored["task_id"] == "t1"
    assert stored["request"]["prompt"] == "https://x.test/?a=b is written on a wall"
    assert stored["request"]["imageUrls"] == ["https://i.test/a.png"]
    assert (stored["size"], stored["sha256"], stored["file"]) == (saved.size, saved.sha256, "a.mp4")
    assert stored["url"] == f"{server.url}/1.mp4"
    assert "S3" not in saved.sidecar.read_text()


def test_secrets_are_removed_from_urls() -> None:
    """URLs lose credentials, query and fragment; other texts are not changed."""
    values = {"a": ("https://u:p@h.test/x?y#z", 1, None), "b": {"c": "no url?"}, "d": "https://[broken?x"}
    assert strip_queries(values) == {"a": ["https://h.test/x", 1, None], "b": {"c": "no url?"}, "d": "https://[broken"}


async def test_every_url_of_a_clip_is_saved(tmp_path: Path) -> None:
    """The files are named ``name.mp4``, ``name-2.mp4`` and so on, each with its sidecar."""
    async with Simulator() as sim, saver() as downloads:
        urls = [sim_clip(sim, f"{n}.mp4", WHOLE + bytes([0, 0, 0, 9]) + b"free" + bytes([n])) for n in range(2)]
        saved = await downloads.save(urls, tmp_path, name="dog")
    assert [file.path.name for file in saved] == ["dog.mp4", "dog-2.mp4"]
    assert [file.path.read_bytes()[-1] for file in saved] == [0, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dog-2.json", "dog-2.mp4", "dog.json", "dog.mp4"]


async def test_failed_file_does_not_stop_the_others(tmp_path: Path) -> None:
    """The other files are saved, and the error says how many."""

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


async def test_max_downloads_limits_concurrency(tmp_path: Path) -> None:
    """No more than ``max_downloads`` files are downloaded at the same time."""
    current = highest = 0

    async def behave(visit: Visit) -> None:
        nonlocal current, highest
        await visit.read_head()
        current += 1
        highest = max(highest, current)
        await asyncio.sleep(0.01)
        current -= 1
        await visit.send(video())

    async with raw_server(behave) as server, Saver(base_url=LOOPBACK, max_downloads=2) as downloads:
        await downloads.save([f"{server.url}/{n}" for n in range(6)], tmp_path, name="d")
    assert highest == 2
    assert len(list(tmp_path.glob("*.mp4"))) == 6


async def test_wrong_use_of_the_saver_is_rejected(tmp_path: Path) -> None:
    """A saver that is not open, an empty list of URLs and ``max_downloads=0`` raise errors that say what to do."""
    with pytest.raises(DownloadFailed, match="async with"):
        await Saver().save(["https://x.test/"], tmp_path, name="x")
    with pytest.raises(UsageError, match="nothing to save"):
        await Saver().save([], tmp_path, name="x")
    with pytest.raises(UsageError, match="max_downloads"):
        Saver(max_downloads=0)


async def test_leftovers_of_killed_processes_are_removed_also_if_the_video_is_saved_already(tmp_path: Path) -> None:
    """An empty partial file and a sidecar without its partial file; those of another video stay."""
    async with raw_server(serving(video(), video())) as server:
        for is_saved in (False, True):
            (tmp_path / ".dog.mp4.01234567.part").touch()
            (tmp_path / ".dog.mp4.89abcdef.part.json").write_text("{}")
            (tmp_path / ".cat.mp4.01234567.part").touch()
            (tmp_path / ".0123456789abcdef.tmp").touch()
            async with saver() as downloads:
                (saved,) = await downloads.save([f"{server.url}/1.mp4"], tmp_path, name="dog")
            assert saved.already_saved is is_saved
            assert sorted(path.name for path in tmp_path.iterdir()) == [".cat.mp4.01234567.part", "dog.json", "dog.mp4"]
