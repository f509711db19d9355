"""Row 76: what the disk can do to a download, and that nothing is written where it does not belong."""

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
    """Takes half of what it is given and then fails, as often as it is told to."""

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
async def test_full_disk_pauses_and_loses_nothing(code: int, spare: int, disk: FaultyDisk, tmp_path: Path) -> None:
    """Row 76: wherever it strikes (a chunk, a sidecar, the JSON), it is told, waited out, and the file is right."""
    disk.code, disk.spare, disk.times = code, spare, 3
    news: list[DiskPause] = []
    async with Simulator() as sim, saver(on_pause=news.append) as downloads:
        urls = [sim_clip(sim, f"{n}.mp4") for n in range(3)]
        saved = await downloads.save(urls, tmp_path, name="d")
        assert downloads.paused is None
        assert len(sim.requests_to("download")) == 3
    assert disk.failures == 3
    assert [each.path.read_bytes() == BIG for each in saved] == [True] * 3
    assert left_over(tmp_path) == []
    assert [each.is_full for each in news] == [True, False] * (len(news) // 2)
    assert news[0].folder == tmp_path
    assert news[0].reason == os.strerror(code)


async def test_one_full_disk_stops_all_downloads(disk: FaultyDisk, tmp_path: Path) -> None:
    """Row 76: while one tries again, the others do not even begin to write; a cancelled one hands the trying on."""
    disk.times = 10**6
    paused = asyncio.Event()

    def told(news: DiskPause) -> None:
        if news.is_full:
            paused.set()

    async with Simulator() as sim, saver(on_pause=told) as downloads:
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


async def test_a_connection_lost_over_a_full_disk_is_taken_up_again(disk: FaultyDisk, tmp_path: Path) -> None:
    """Row 76: the pause counts neither as slowness nor as a try; what was written stays."""
    disk.spare, disk.times = 3, 4
    head = f'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Type: video/mp4\r\nContent-Length: {len(BIG)}\r\n\r\n'.encode()
    asked: list[int] = []

    async def behave(visit: Visit) -> None:
        lines = (await visit.read_head()).split(b"\r\n")
        start = next((int(line[13:-1]) for line in lines if line.startswith(b"Range:")), 0)
        asked.append(start)
        if not start:
            await visit.send(head + BIG[: 3 * 256 * 1024])
            return
        span = f"Content-Range: bytes {start}-{len(BIG) - 1}/{len(BIG)}"
        await visit.send(video(BIG[start:], status="206 Partial Content", headers=('ETag: "v"', span)))

    quick = attrs.evolve(QUICK, speed_window_s=0.5, disk_retry_s=0.2, max_attempts=2)
    async with raw_server(behave) as server, saver(bounds=quick) as downloads:
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert saved.path.read_bytes() == BIG
    assert disk.failures == 4
    assert len(asked) == 2
    assert asked[1] > 0


async def test_a_callback_that_raises_stops_nobody_else(tmp_path: Path) -> None:
    """Row 76: whoever is told of the pause may fail; the other downloads do not wait for ever because of it."""

    def broken(news: DiskPause) -> None:
        raise ZeroDivisionError

    def full() -> None:
        raise OSError(errno.ENOSPC, "full")

    way = DiskWriter(on_pause=broken)
    with pytest.raises(ZeroDivisionError):
        await way.run(tmp_path, full)
    assert way.paused is None
    way.on_pause = None
    async with asyncio.timeout(5):
        assert await way.run(tmp_path, lambda: 1) == 1


async def test_a_disk_that_will_be_full_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 76: unless twice what is to come is free, not a byte of it is written; what is unknown stops nobody."""
    free = [len(BIG) * 2 - 1, len(BIG) * 2]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free.pop(0)))
    news: list[DiskPause] = []
    async with Simulator() as sim, saver(on_pause=news.append) as downloads:
        url = sim_clip(sim, "x.mp4")
        await downloads.save([url], tmp_path, name="d")
        assert free == []
        assert [each.is_full for each in news] == [True, False]
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(total=0, free=0))
        await downloads.save([url], tmp_path, name="e")
    assert len(news) == 2
    assert (tmp_path / "d.mp4").read_bytes() == (tmp_path / "e.mp4").read_bytes() == BIG


@pytest.fixture
def unflushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Errors that the next flushes of parts end in."""
    real, codes = os.fsync, list[int]()

    def fsync(descriptor: int) -> None:
        # Only parts are that large here; a JSON is small, and so is a folder.
        if codes and os.fstat(descriptor).st_size > 10_000:
            raise OSError(codes.pop(), "not flushed")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return codes


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_what_could_not_be_flushed_is_fetched_again(code: int, unflushed: list[int], tmp_path: Path) -> None:
    """Row 76: a second flush that succeeds says nothing about the bytes that the first one lost."""
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


async def test_a_part_that_could_not_be_flushed_is_not_kept(unflushed: list[int], tmp_path: Path) -> None:
    """Row 76: the same when a download gives up: a later run has nothing false to go on with."""
    never = attrs.evolve(QUICK, max_attempts=1)
    async with Simulator(faults=[truncate(at=400_000, endpoint="download")]) as sim, saver(bounds=never) as downloads:
        unflushed.append(errno.EIO)
        with pytest.raises(DownloadFailed, match="broke off"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
    assert unflushed == []
    assert list(tmp_path.iterdir()) == []


async def test_a_broken_disk_is_told(disk: FaultyDisk, tmp_path: Path) -> None:
    """Row 76: EIO is no pause; an error of ours, with advice of its own."""
    disk.code, disk.spare, disk.times = errno.EIO, 3, 1
    news: list[DiskPause] = []
    async with Simulator() as sim, saver(on_pause=news.append) as downloads:
        url = sim_clip(sim, "x.mp4")
        with pytest.raises(DownloadFailed, match="could not be written") as caught:
            await downloads.save([url], tmp_path, name="d")
        assert not list(tmp_path.glob("*.mp4"))
        (saved,) = await downloads.save([url], tmp_path, name="d")
    assert "folder" in caught.value.remedy
    assert news == []
    assert saved.path.read_bytes() == BIG


async def test_a_folder_that_vanishes_is_told(tmp_path: Path) -> None:
    """Row 76: the target folder is removed while the file is on its way; nothing is written elsewhere."""
    folder = tmp_path / "out"

    async def behave(visit: Visit) -> None:
        await visit.read_head()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len(BIG)}\r\n\r\n".encode()
        await visit.send(head + BIG[:1000])
        while not list(folder.glob(".*.part")):  # noqa: ASYNC110  # nobody tells us
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        shutil.rmtree(folder)
        await visit.send(BIG[1000:])

    async with raw_server(behave) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match="could not be written"):
            await downloads.save([f"{server.url}/x"], folder, name="d")
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Row 76: a file where the folder should be; a folder where the file should be; a name of 300 letters."""
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
async def test_a_symbolic_link_is_refused(link: str, is_dangling: bool, tmp_path: Path) -> None:
    """Row 76: what it leads to stays as it was."""
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
async def test_no_key_writes_outside(key: str, tmp_path: Path) -> None:
    """Row 76: one film and its JSON, in the folder itself."""
    folder = tmp_path / "a" / "b" / "out"
    async with raw_server(serving(video())) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/../../evil.mp4"], folder, name=key)
    assert saved.path.parent == folder
    assert len(list(folder.iterdir())) == 2
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder] == []


async def test_a_name_in_the_answer_means_nothing(tmp_path: Path) -> None:
    """Row 76: neither ``Content-Disposition`` nor the URL names the file."""
    answer = video(headers=('Content-Disposition: attachment; filename="../../evil.mp4"',))
    async with raw_server(serving(answer)) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/other.mp4"], tmp_path, name="d")
    assert saved.path == tmp_path / "d.mp4"


@pytest.mark.parametrize("planted", ["link", "fifo", "folder", "no sidecar", "nonsense"])
async def test_a_planted_part_is_not_written_to(planted: str, tmp_path: Path) -> None:
    """Row 76: somebody laid something under the name of a part."""
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
    """Not one call to the file system from the loop's own thread: fetched, resumed, failed, found again."""
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
def part(tmp_path: Path) -> Iterator[PartialFile]:
    made = PartialFile(tmp_path, "d.mp4", "owner")
    yield made
    made.close()


def test_a_part_that_is_over_touches_nothing(part: PartialFile, tmp_path: Path) -> None:
    """Row 76: work that a thread does late, after its download was cancelled, finds a part that is closed."""
    part.close()
    part.open()
    part.append(b"x")
    part.start_at(0, part.resume_info)
    part.restart()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({}, 5),
        ({"boot": "another"}, 5),
        ({"boot": "another", "synced": 4}, 0),
        ({"total": 3}, 0),
        ({"total": "5"}, 0),
        ({"etag": "a\nb"}, 0),
        ({"url": None}, 0),
    ],
)
def test_bytes_are_believed_only_if_they_reached_the_disk(
    change: dict[str, object], size: int, part: PartialFile, tmp_path: Path
) -> None:
    """Row 76: after a power cut, what was never flushed may be there in length and not in content."""
    part.open()
    part.start_at(0, attrs.evolve(part.resume_info, url="u", etag='"v"'))
    part.append(b"12345")
    sidecar = part.path.with_name(f"{part.path.name}.json")
    part.close()
    told = read_json(sidecar)
    assert told is not None
    write_json(sidecar, told | change)
    again = PartialFile(tmp_path, "d.mp4", "owner")
    again.open()
    assert (again.path, again.size) == (part.path, size)
    again.discard()
    assert list(tmp_path.iterdir()) == []


def test_files_beneath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is there is created again; a JSON that fails leaves the old one and no litter."""
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
