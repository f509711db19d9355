"""Saving a clip again, at the same time or later, and saving two clips under one name (rows 79 and 80)."""

import asyncio
import errno
import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import attrs
import pytest

from tests.edges.raw_server import Visit, raw_server
from veo_async.errors import DownloadFailed
from veo_async.simulator import Simulator

from .support import BIG, WHOLE, left_over, saver, serving, sim_clip, video

PROGRAM = """
import asyncio, sys
from pathlib import Path
from veo_async.media import Saver

async def main():
    url, folder = sys.argv[1:]
    async with Saver(base_url=url) as saver:
        (saved,) = await saver.save([url], Path(folder), name="d", metadata={"task_id": "t"})
    print(saved.sha256, saved.already_saved)

asyncio.run(main())
"""


async def start(url: str, folder: Path) -> asyncio.subprocess.Process:
    command = (sys.executable, "-c", PROGRAM, url, str(folder))
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


@pytest.mark.realtime
async def test_two_processes_save_one_complete_file(tmp_path: Path) -> None:
    """Two processes can save the same clip at the same time, and only the video and its sidecar are left."""
    async with Simulator() as sim:
        url = sim_clip(sim, "x.mp4")
        processes = [await start(url, tmp_path) for _ in range(2)]
        outputs = [(await process.communicate())[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    digest = hashlib.sha256(BIG).hexdigest()
    assert [words[0].decode() for words in outputs] == [digest] * 2
    assert (tmp_path / "d.mp4").read_bytes() == BIG
    assert json.loads((tmp_path / "d.json").read_text())["sha256"] == digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.json", "d.mp4"]


@pytest.mark.realtime
async def test_partial_file_of_a_killed_process_is_resumed(tmp_path: Path) -> None:
    """The lock ends with the process, and the received bytes are kept."""
    half = len(BIG) // 2
    requests: list[bytes] = []

    async def behave(visit: Visit) -> None:
        requests.append(await visit.read_head())
        head = f'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Type: video/mp4\r\nContent-Length: {len(BIG)}\r\n\r\n'
        if len(requests) == 1:
            await visit.send(head.encode() + BIG[:half])
            await visit.reader.read()
            return
        start = int(next(line[13:-1] for line in requests[-1].split(b"\r\n") if line.startswith(b"Range:")))
        span = f"Content-Range: bytes {start}-{len(BIG) - 1}/{len(BIG)}"
        await visit.send(video(BIG[start:], status="206 Partial Content", headers=('ETag: "v"', span)))

    async with raw_server(behave) as server:
        process = await start(f"{server.url}/x", tmp_path)
        while not any(path.stat().st_size for path in tmp_path.glob(".*.part")):  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        async with saver() as downloads:
            (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d", metadata={"task_id": "t"})
    assert saved.path.read_bytes() == BIG
    assert saved.sha256 == hashlib.sha256(BIG).hexdigest()
    assert len(requests) == 2
    assert left_over(tmp_path) == []


async def test_ten_concurrent_calls_save_one_complete_file(tmp_path: Path) -> None:
    """Concurrent calls in one process do not disturb each other."""
    async with Simulator() as sim, saver(max_downloads=10) as downloads:
        url = sim_clip(sim, "x.mp4")
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(downloads.save([url], tmp_path, name="d"))
    assert (tmp_path / "d.mp4").read_bytes() == BIG
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.json", "d.mp4"]


async def test_saved_file_is_not_downloaded_again(tmp_path: Path) -> None:
    """No request is sent, whether the destination is a folder or a file."""
    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")
        for destination in (tmp_path, tmp_path / "by-name.mp4"):
            (first,) = await downloads.save([url], destination, name="d", metadata={"task_id": "t"})
            requests = len(sim.requests_to("download"))
            (again,) = await downloads.save(["https://gone.invalid/"], destination, name="d", metadata={"task_id": "t"})
            assert len(sim.requests_to("download")) == requests
            assert (again.path, again.size, again.sha256) == (first.path, first.size, first.sha256)
            assert (first.already_saved, again.already_saved) == (False, True)


async def test_read_only_file_is_recognized_as_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read-only videos, or a read-only disk, do not cause a second download."""
    real = os.open

    def read_only(path: Path, flags: int, *more: int) -> int:
        if Path(path).name in ("d.mp4", "d.json") and flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, "read-only")  # permissions would not stop root
        return real(path, flags, *more)

    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")
        (first,) = await downloads.save([url], tmp_path, name="d")
        monkeypatch.setattr(os, "open", read_only)
        (again,) = await downloads.save([url], tmp_path, name="d")
        assert len(sim.requests_to("download")) == 1
    assert again == attrs.evolve(first, already_saved=True)
    assert again.url_host == "127.0.0.1"


async def test_crash_before_the_rename_needs_no_second_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only the sidecar has its final name, the next run renames the complete partial file without a request."""
    real = os.link

    def link(source: Path, target: Path) -> None:
        if target.suffix == ".mp4":
            raise OSError(errno.EIO, "rename failed")
        real(source, target)

    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")
        monkeypatch.setattr(os, "link", link)
        with pytest.raises(DownloadFailed, match="rename failed"):
            await downloads.save([url], tmp_path, name="d")
        monkeypatch.undo()
        assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["d.json"]
        (saved,) = await downloads.save([url], tmp_path, name="d")
        assert len(sim.requests_to("download")) == 1
    assert saved.path == tmp_path / "d.mp4"
    assert saved.path.read_bytes() == BIG
    assert saved.sha256 == hashlib.sha256(BIG).hexdigest()
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    "change", ["shorter", "changed", "gone", "not a video", "sidecar gone", "another size in the sidecar"]
)
async def test_changed_file_is_downloaded_again(change: str, tmp_path: Path) -> None:
    """Any change is detected. A video without a sidecar is not overwritten."""
    async with raw_server(serving(video())) as server, saver() as downloads:
        (first,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
        match change:
            case "shorter":
                first.path.write_bytes(WHOLE[:-1])
            case "changed":
                first.path.write_bytes(WHOLE[:-1] + b"x")
            case "gone":
                first.path.unlink()
            case "not a video":
                first.path.write_bytes(bytes(len(WHOLE)))
            case "sidecar gone":
                first.sidecar.unlink()
            case _:
                stored = json.loads(first.sidecar.read_text())
                first.sidecar.write_text(json.dumps(stored | {"size": 1}))
        (again,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert not again.already_saved
    assert again.path.read_bytes() == WHOLE
    assert (again.path == first.path) is (change != "sidecar gone")
    assert json.loads(again.sidecar.read_text())["size"] == len(WHOLE)


async def test_two_clips_with_one_name_keep_two_files(tmp_path: Path) -> None:
    """Another task under the same key, or a key like ``name-2``, never replaces an existing file."""
    other = WHOLE + bytes([0, 0, 0, 8]) + b"free"
    async with Simulator() as sim, saver() as downloads:
        one, two = sim_clip(sim, "1.mp4", WHOLE), sim_clip(sim, "2.mp4", other)
        for _ in range(2):
            (first,) = await downloads.save([one], tmp_path, name="d", metadata={"task_id": "one"})
            (second,) = await downloads.save([two], tmp_path, name="d", metadata={"task_id": "two"})
            both = await downloads.save([two, two], tmp_path, name="e")
            (similar,) = await downloads.save([one], tmp_path, name="e-2")
        assert len(sim.requests_to("download")) == 5
    paths = {first.path, second.path, similar.path, *(file.path for file in both)}
    assert len(paths) == 5
    assert first.path.read_bytes() == WHOLE
    assert second.path.read_bytes() == other


async def test_explicitly_named_file_is_replaced_with_overwrite(tmp_path: Path) -> None:
    """A video that the caller names is replaced. A JSON file that is not a sidecar is never overwritten."""
    target = tmp_path / "d.mp4"
    async with Simulator() as sim, saver(overwrite=True) as downloads:
        one, two = sim_clip(sim, "1.mp4", WHOLE), sim_clip(sim, "2.mp4")
        await downloads.save([one], target, name="one")
        await downloads.save([two], target, name="two")
        assert target.read_bytes() == BIG
        (tmp_path / "e.json").write_text('{"mine": 1}')
        with pytest.raises(DownloadFailed, match="not one of our sidecars"):
            await downloads.save([one], tmp_path / "e.mp4", name="e")
        (saved,) = await downloads.save([one], tmp_path, name="e")
    assert (tmp_path / "e.json").read_text() == '{"mine": 1}'
    assert saved.path.name.startswith("e-")
    assert os.path.exists(saved.sidecar)
