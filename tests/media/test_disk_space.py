"""What disk errors do to a download, and that nothing is written where it does not belong (row 76)."""

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.edges.raw_server import Visit, raw_server
from veo_async.errors import DownloadFailed, UsageError
from veo_async.media import DiskPause
from veo_async.media import files as media_files
from veo_async.media.disk_space import DiskWriter
from veo_async.media.files import create, open_regular, read_json, write_json
from veo_async.media.partial_file import PartialFile
from veo_async.simulator import Simulator, not_mp4, truncate

from .support import BIG, QUICK, WHOLE, left_over, saver, serving, sim_clip, video


@attrs.define
class FaultyDisk:
    """Replaces `os.write`: writes half of the data and then fails, for the next *times* calls after *spare* calls."""

    code: int = errno.ENOSPC
    times: int = 0
    spare: int = 0
    failures: int = 0

    def write(self, descriptor: int, data: "bytes | bytearray | memoryview") -> int:
        if self.spare > 0:
            self.spare -= 1
        elif self.times > 0:
            self.times -= 1
            self.failures += 1
            self._real(descriptor, bytes(data)[: len(data) // 2])
            raise OSError(self.code, os.strerror(self.code))
        return self._real(descriptor, bytes(data))

    _real = staticmethod(os.write)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyDisk:
    faulty = FaultyDisk()
    monkeypatch.setattr(media_files.os, "write", faulty.write)
    return faulty


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("spare", range(0, 9, 2))
async def test_full_disk_pauses_downloads_and_loses_nothing(
    code: int, spare: int, disk: FaultyDisk, tmp_path: Path
) -> None:
    """No matter which write fails (a chunk, a sidecar), the pause is reported and the saved file is correct."""
    disk.code, disk.spare, disk.times = code, spare, 3
    pauses: list[DiskPause] = []
    async with Simulator() as sim, saver(on_pause=pauses.append) as downloads:
        urls = [sim_clip(sim, f"{n}.mp4") for n in range(3)]
        saved = await downloads.save(urls, tmp_path, name="d")
        assert downloads.paused is None
        assert len(sim.requests_to("download")) == 3
    assert disk.failures == 3
    assert [file.path.read_bytes() == BIG for file in saved] == [True] * 3
    assert left_over(tmp_path) == []
    assert [pause.is_full for pause in pauses] == [True, False] * (len(pauses) // 2)
    assert pauses[0].folder == tmp_path
    assert pauses[0].reason == os.strerror(code)


async def test_full_disk_pauses_all_downloads(disk: FaultyDisk, tmp_path: Path) -> None:
    """While one download retries its write, the others write nothing. If it is cancelled, another one retries."""
    disk.times = 10**6
    paused = asyncio.Event()

    def on_pause(pause: DiskPause) -> None:
        if pause.is_full:
            paused.set()

    async with Simulator() as sim, saver(on_pause=on_pause) as downloads:
        first = asyncio.create_task(downloads.save([sim_clip(sim, "1.mp4")], tmp_path, name="one"))
        await paused.wait()
        second = asyncio.create_task(downloads.save([sim_clip(sim, "2.mp4")], tmp_path, name="two"))
        await asyncio.sleep(0.05)
        assert downloads.paused is not None
        assert not list(tmp_path.glob(".two*.part"))
        first.cancel()
        await asyncio.wait([first])
        await asyncio.sleep(0.05)
        assert downloads.paused is not None
        disk.times = 0
        (saved,) = await second
    assert saved.path.read_bytes() == BIG


async def test_connection_lost_during_a_pause_is_resumed(disk: FaultyDisk, tmp_path: Path) -> None:
    """A pause counts neither as slowness nor as a failed attempt, and the written bytes are kept."""
    disk.spare, disk.times = 3, 4
    head = f'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Type: video/mp4\r\nContent-Length: {len(BIG)}\r\n\r\n'.encode()
    starts: list[int] = []

    async def behave(visit: Visit) -> None:
        lines = (await visit.read_head()).split(b"\r\n")
        start = next((int(line[13:-1]) for line in lines if line.startswith(b"Range:")), 0)
        starts.append(start)
        if not start:
            await visit.send(head + BIG[: 3 * 256 * 1024])
            return
        span = f"Content-Range: bytes {start}-{len(BIG) - 1}/{len(BIG)}"
        await visit.send(video(BIG[start:], status="206 Partial Content", headers=('ETag: "v"', span)))

    quick = attrs.evolve(QUICK, speed_window_s=0.5, disk_retry_s=0.2, max_attempts=2)
    async with raw_server(behave) as server, saver(limits=quick) as downloads:
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert saved.path.read_bytes() == BIG
    assert disk.failures == 4
    assert len(starts) == 2
    assert starts[1] > 0


async def test_pause_callback_that_raises_blocks_no_other_download(tmp_path: Path) -> None:
    """An error of ``on_pause`` fails one download; the others do not wait forever."""

    def broken(pause: DiskPause) -> None:
        raise ZeroDivisionError

    def full() -> None:
        raise OSError(errno.ENOSPC, "full")

    writer = DiskWriter(on_pause=broken)
    with pytest.raises(ZeroDivisionError):
        await writer.run(tmp_path, full)
    assert writer.paused is None
    writer.on_pause = None
    async with asyncio.timeout(5):
        assert await writer.run(tmp_path, lambda: 1) == 1


async def test_download_waits_for_enough_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written unless twice the remaining size is free. Unknown free space is not checked."""
    free = [len(BIG) * 2 - 1, len(BIG) * 2]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free.pop(0)))
    pauses: list[DiskPause] = []
    async with Simulator() as sim, saver(on_pause=pauses.append) as downloads:
        url = sim_clip(sim, "x.mp4")
        await downloads.save([url], tmp_path, name="d")
        assert free == []
        assert [pause.is_full for pause in pauses] == [True, False]
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(total=0, free=0))
        await downloads.save([url], tmp_path, name="e")
    assert len(pauses) == 2
    assert (tmp_path / "d.mp4").read_bytes() == (tmp_path / "e.mp4").read_bytes() == BIG


@pytest.fixture
def unflushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of error codes with which the next flushes of partial files fail."""
    real, codes = os.fsync, list[int]()

    def fsync(descriptor: int) -> None:
        # Only partial files are this large here; sidecars and folders are small.
        if codes and os.fstat(descriptor).st_size > 10_000:
            raise OSError(codes.pop(), "not flushed")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return codes


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_bytes_that_could_not_be_flushed_are_downloaded_again(
    code: int, unflushed: list[int], tmp_path: Path
) -> None:
    """A second flush that succeeds proves nothing about the bytes that the first one lost."""
    unflushed.append(code)
    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")
        if code == errno.EIO:
            with pytest.raises(DownloadFailed, match="not flushed"):
                await downloads.save([url], tmp_path, name="d")
            assert list(tmp_path.iterdir()) == []
        (saved,) = await downloads.save([url], tmp_path, name="d")
        assert [seen.headers.get("range") for seen in sim.requests_to("download")] == [None, None]
    assert saved.path.read_bytes() == BIG
    assert left_over(tmp_path) == []


async def test_partial_file_that_could_not_be_flushed_is_deleted(unflushed: list[int], tmp_path: Path) -> None:
    """When a download gives up, no later run can resume from bytes that may be wrong."""
    never = attrs.evolve(QUICK, max_attempts=1)
    async with Simulator(faults=[truncate(at=400_000, endpoint="download")]) as sim, saver(limits=never) as downloads:
        unflushed.append(errno.EIO)
        with pytest.raises(DownloadFailed, match="interrupted"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
    assert unflushed == []
    assert list(tmp_path.iterdir()) == []


async def test_broken_disk_raises_download_failed(disk: FaultyDisk, tmp_path: Path) -> None:
    """EIO does not pause downloads; it raises `DownloadFailed` with its own remedy."""
    disk.code, disk.spare, disk.times = errno.EIO, 3, 1
    pauses: list[DiskPause] = []
    async with Simulator() as sim, saver(on_pause=pauses.append) as downloads:
        url = sim_clip(sim, "x.mp4")
        with pytest.raises(DownloadFailed, match="could not be written") as caught:
            await downloads.save([url], tmp_path, name="d")
        assert not list(tmp_path.glob("*.mp4"))
        (saved,) = await downloads.save([url], tmp_path, name="d")
    assert "folder" in caught.value.remedy
    assert pauses == []
    assert saved.path.read_bytes() == BIG


async def test_folder_removed_during_the_download_raises_download_failed(tmp_path: Path) -> None:
    """Nothing is written to another place."""
    folder = tmp_path / "out"

    async def behave(visit: Visit) -> None:
        await visit.read_head()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len(BIG)}\r\n\r\n".encode()
        await visit.send(head + BIG[:1000])
        while not list(folder.glob(".*.part")):  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        shutil.rmtree(folder)
        await visit.send(BIG[1000:])

    async with raw_server(behave) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match="could not be written"):
            await downloads.save([f"{server.url}/x"], folder, name="d")
    assert list(tmp_path.iterdir()) == []


async def test_path_that_cannot_be_created_raises_download_failed(tmp_path: Path) -> None:
    """A file in place of the folder, a folder that ends in ``.mp4``, a name of 300 characters, and a NUL character."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dir.mp4" / "in").mkdir(parents=True)
    async with raw_server(serving(video())) as server, saver() as downloads:
        for path in (tmp_path / "file" / "dog.mp4", tmp_path / "file", tmp_path / ("x" * 300 + ".mp4")):
            with pytest.raises(DownloadFailed, match="could not be written"):
                await downloads.save([f"{server.url}/x"], path, name="d")
        with pytest.raises(UsageError, match="NUL"):
            await downloads.save([f"{server.url}/x"], f"{tmp_path}/a\0b", name="d")
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path / "dir.mp4", name="d")
    assert saved.path == tmp_path / "dir.mp4" / "d.mp4"


@pytest.mark.parametrize("link", ["d.mp4", "d.json"])
@pytest.mark.parametrize("is_dangling", [True, False])
async def test_symbolic_link_is_refused(link: str, is_dangling: bool, tmp_path: Path) -> None:
    """The target of a link in place of the video or its sidecar is not changed."""
    elsewhere = tmp_path / "elsewhere"
    if not is_dangling:
        elsewhere.write_bytes(b"precious")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / link).symlink_to(elsewhere)
    async with raw_server(serving(video())) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match="symbolic link"):
            await downloads.save([f"{server.url}/x"], folder, name="d")
        with pytest.raises(DownloadFailed, match="symbolic link"):
            await downloads.save([f"{server.url}/x"], folder / "d.mp4", name="d")
    assert elsewhere.exists() is not is_dangling
    if not is_dangling:
        assert elsewhere.read_bytes() == b"precious"


@pytest.mark.parametrize("key", ["../../x", "/etc/passwd", "a\0b", "x" * 300, "CON", "..", "", "ü/ß", "C:\\x", "a\nb"])
async def test_no_key_writes_outside_the_folder(key: str, tmp_path: Path) -> None:
    """Whatever the key contains, the video and its sidecar are the only new files, in the folder itself."""
    folder = tmp_path / "a" / "b" / "out"
    folder.parent.mkdir(parents=True)
    async with raw_server(serving(video())) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/../../evil.mp4"], folder, name=key)
    assert saved.path.parent == folder
    assert len(list(folder.iterdir())) == 2
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder] == []


async def test_file_name_in_the_response_is_ignored(tmp_path: Path) -> None:
    """Neither ``Content-Disposition`` nor the URL determines the name of the file."""
    response = video(headers=('Content-Disposition: attachment; filename="../../evil.mp4"',))
    async with raw_server(serving(response)) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/other.mp4"], tmp_path, name="d")
    assert saved.path == tmp_path / "d.mp4"


@pytest.mark.parametrize("planted", ["link", "fifo", "folder", "no sidecar", "nonsense"])
async def test_planted_partial_file_is_not_used(planted: str, tmp_path: Path) -> None:
    """A link, a pipe or a file that we did not write is left alone, even under the name of a partial file."""
    part = tmp_path / ".d.mp4.0123abcd.part"
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    match planted:
        case "link":
            part.symlink_to(victim)
        case "fifo":
            os.mkfifo(part)
        case "folder":
            part.mkdir()
        case _:
            part.write_bytes(b"x")
    if planted == "nonsense":
        part.with_name(f"{part.name}.json").write_text("[1, 2")
    async with raw_server(serving(video())) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert saved.path.read_bytes() == WHOLE
    assert victim.read_bytes() == b"precious"
    assert os.path.lexists(part)


async def test_the_event_loop_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving, resuming, failing and finding a saved file make no file system call in the thread of the event loop."""
    in_loop: list[str] = []
    called: set[str] = set()

    def watch(name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            called.add(name)
            if threading.current_thread() is threading.main_thread():
                in_loop.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, watched)

    async with Simulator(faults=[truncate(at=5000, endpoint="download", on=1), not_mp4(on=3)]) as sim:
        one, two = sim_clip(sim, "1.mp4"), sim_clip(sim, "2.mp4")
        async with saver() as downloads:
            for name in ("open", "write", "fsync", "replace", "stat", "lstat", "scandir", "mkdir", "ftruncate"):
                watch(name)
            for _ in range(2):
                await downloads.save([one, two], tmp_path / "new", name="d")
            monkeypatch.undo()
        assert len(sim.triggered_faults) == 2
    assert in_loop == []
    assert {"open", "write", "fsync", "replace", "scandir", "mkdir"} <= called


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[PartialFile]:
    partial = PartialFile(tmp_path, "d.mp4", "owner")
    yield partial
    partial.close()


def test_closed_partial_file_is_not_written(partial: PartialFile, tmp_path: Path) -> None:
    """A thread that runs after its download was cancelled writes nothing."""
    partial.close()
    partial.open()
    partial.append(b"x")
    partial.start_at(0, partial.resume_info)
    partial.restart()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({}, 5),
        ({"boot_id": "another"}, 5),
        ({"boot_id": "another", "synced": 4}, 0),
        ({"total": 3}, 0),
        ({"total": "5"}, 0),
        ({"etag": "a\nb"}, 0),
        ({"url_hash": None}, 0),
    ],
)
def test_bytes_are_trusted_only_if_they_reached_the_disk(
    change: dict[str, object], size: int, partial: PartialFile, tmp_path: Path
) -> None:
    """After a power failure, data that was never flushed may have the right length and the wrong content."""
    partial.open()
    partial.start_at(0, attrs.evolve(partial.resume_info, url_hash="u", etag='"v"'))
    partial.append(b"12345")
    sidecar = partial.path.with_name(f"{partial.path.name}.json")
    partial.close()
    stored = read_json(sidecar)
    assert stored is not None
    write_json(sidecar, stored | change)
    again = PartialFile(tmp_path, "d.mp4", "owner")
    again.open()
    assert (again.path, again.size) == (partial.path, size)
    again.discard()
    assert list(tmp_path.iterdir()) == []


def test_failed_json_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No temporary file is left. Existing files are not created again, and unreadable JSON is ignored."""
    path = tmp_path / "a.json"
    os.close(create(path))
    with pytest.raises(FileExistsError):
        create(path)
    write_json(path, {"a": 1})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "no")))
    with pytest.raises(OSError, match="no"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
    assert open_regular(tmp_path) is None
    path.write_text("[" * 100_000)
    assert read_json(path) is None
