"""Rows 79 and 80: the same clip twice, at the same time and one after the other; and two clips of one name."""

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
async def test_two_processes_make_one_whole_file(tmp_path: Path) -> None:
    """Row 79: neither disturbs the other, and nothing but the film and its JSON is left."""
    async with Simulator() as sim:
        url = sim_clip(sim, "x.mp4")
        processes = [await start(url, tmp_path) for _ in range(2)]
        told = [(await process.communicate())[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    digest = hashlib.sha256(BIG).hexdigest()
    assert [words[0].decode() for words in told] == [digest] * 2
    assert (tmp_path / "d.mp4").read_bytes() == BIG
    assert json.loads((tmp_path / "d.json").read_text())["sha256"] == digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.json", "d.mp4"]


@pytest.mark.realtime
async def test_a_killed_process_leaves_its_part_to_the_next(tmp_path: Path) -> None:
    """Row 79: the lock ends with its owner, the bytes do not."""
    half = len(BIG) // 2
    asked: list[bytes] = []

    async def behave(visit: Visit) -> None:
        asked.append(await visit.read_head())
        head = f'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Type: video/mp4\r\nContent-Length: {len(BIG)}\r\n\r\n'
        if len(asked) == 1:
            await visit.send(head.encode() + BIG[:half])
            await visit.reader.read()
            return
        start = int(next(line[13:-1] for line in asked[-1].split(b"\r\n") if line.startswith(b"Range:")))
        span = f"Content-Range: bytes {start}-{len(BIG) - 1}/{len(BIG)}"
        await visit.send(video(BIG[start:], status="206 Partial Content", headers=('ETag: "v"', span)))

    async with raw_server(behave) as server:
        process = await start(f"{server.url}/x", tmp_path)
        while not any(path.stat().st_size for path in tmp_path.glob(".*.part")):  # noqa: ASYNC110  # nobody tells us
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        async with saver() as downloads:
            (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d", metadata={"task_id": "t"})
    assert saved.path.read_bytes() == BIG
    assert saved.sha256 == hashlib.sha256(BIG).hexdigest()
    assert len(asked) == 2
    assert left_over(tmp_path) == []


async def test_two_at_once_in_one_process_make_one_whole_file(tmp_path: Path) -> None:
    """Row 79: ten, even."""
    async with Simulator() as sim, saver(max_downloads=10) as downloads:
        url = sim_clip(sim, "x.mp4")
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(downloads.save([url], tmp_path, name="d"))
    assert (tmp_path / "d.mp4").read_bytes() == BIG
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.json", "d.mp4"]


async def test_a_good_file_is_not_fetched_again(tmp_path: Path) -> None:
    """Row 80: not even asked for; by folder and by file."""
    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")
        for where in (tmp_path, tmp_path / "by-name.mp4"):
            (first,) = await downloads.save([url], where, name="d", metadata={"task_id": "t"})
            asked = len(sim.requests_to("download"))
            (again,) = await downloads.save(["https://gone.invalid/"], where, name="d", metadata={"task_id": "t"})
            assert len(sim.requests_to("download")) == asked
            assert (again.path, again.size, again.sha256) == (first.path, first.size, first.sha256)
            assert (first.already_saved, again.already_saved) == (False, True)


async def test_files_that_nobody_may_change_are_good_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 80: whoever makes the films read-only, or the whole disk, need not pay with a second download."""
    real = os.open

    def read_only(path: Path, flags: int, *more: int) -> int:
        if Path(path).name in ("d.mp4", "d.json") and flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, "read-only")  # the super-user of the tests would be let in otherwise
        return real(path, flags, *more)

    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")
        (first,) = await downloads.save([url], tmp_path, name="d")
        monkeypatch.setattr(os, "open", read_only)
        (again,) = await downloads.save([url], tmp_path, name="d")
        assert len(sim.requests_to("download")) == 1
    assert again == attrs.evolve(first, already_saved=True)
    assert again.url_host == "127.0.0.1"


async def test_a_crash_before_the_name_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 80: the JSON has its name, the film has not; all its bytes are there, so nobody is asked for any."""
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if target.suffix == ".mp4":
            raise OSError(errno.EIO, "the power went")
        real(source, target)

    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")
        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(DownloadFailed, match="the power went"):
            await downloads.save([url], tmp_path, name="d")
        monkeypatch.undo()
        assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["d.json"]
        (saved,) = await downloads.save([url], tmp_path, name="d")
        assert len(sim.requests_to("download")) == 1
    assert saved.path == tmp_path / "d.mp4"
    assert saved.path.read_bytes() == BIG
    assert saved.sha256 == hashlib.sha256(BIG).hexdigest()
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("harm", ["shorter", "changed", "gone", "no video", "JSON gone", "JSON says another size"])
async def test_a_file_that_is_not_as_it_was_is_fetched_again(harm: str, tmp_path: Path) -> None:
    """Row 80: to the byte; and a film that lost its JSON is nobody's to write over."""
    async with raw_server(serving(video())) as server, saver() as downloads:
        (first,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
        match harm:
            case "shorter":
                first.path.write_bytes(WHOLE[:-1])
            case "changed":
                first.path.write_bytes(WHOLE[:-1] + b"x")
            case "gone":
                first.path.unlink()
            case "no video":
                first.path.write_bytes(bytes(len(WHOLE)))
            case "JSON gone":
                first.sidecar.unlink()
            case _:
                told = json.loads(first.sidecar.read_text())
                first.sidecar.write_text(json.dumps(told | {"size": 1}))
        (again,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert not again.already_saved
    assert again.path.read_bytes() == WHOLE
    assert (again.path == first.path) is (harm != "JSON gone")
    assert json.loads(again.sidecar.read_text())["size"] == len(WHOLE)


async def test_two_clips_of_one_name_keep_two_files(tmp_path: Path) -> None:
    """Row 80: another task under the same key, or a key that looks like a second file, takes nobody's place."""
    other = WHOLE + bytes([0, 0, 0, 8]) + b"free"
    async with Simulator() as sim, saver() as downloads:
        one, two = sim_clip(sim, "1.mp4", WHOLE), sim_clip(sim, "2.mp4", other)
        for _ in range(2):
            (first,) = await downloads.save([one], tmp_path, name="d", metadata={"task_id": "one"})
            (second,) = await downloads.save([two], tmp_path, name="d", metadata={"task_id": "two"})
            both = await downloads.save([two, two], tmp_path, name="e")
            (looks_like,) = await downloads.save([one], tmp_path, name="e-2")
        assert len(sim.requests_to("download")) == 5
    paths = {first.path, second.path, looks_like.path, *(each.path for each in both)}
    assert len(paths) == 5
    assert first.path.read_bytes() == WHOLE
    assert second.path.read_bytes() == other


async def test_a_file_that_was_named_is_replaced(tmp_path: Path) -> None:
    """Row 80: whoever names the file decides; but a JSON that is not of ours is never written over."""
    target = tmp_path / "d.mp4"
    async with Simulator() as sim, saver() as downloads:
        one, two = sim_clip(sim, "1.mp4", WHOLE), sim_clip(sim, "2.mp4")
        await downloads.save([one], target, name="one")
        await downloads.save([two], target, name="two")
        assert target.read_bytes() == BIG
        (tmp_path / "e.json").write_text('{"mine": 1}')
        with pytest.raises(DownloadFailed, match="not of this clip"):
            await downloads.save([one], tmp_path / "e.mp4", name="e")
        (saved,) = await downloads.save([one], tmp_path, name="e")
    assert (tmp_path / "e.json").read_text() == '{"mine": 1}'
    assert saved.path.name.startswith("e-")
    assert os.path.exists(saved.sidecar)
