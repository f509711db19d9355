"""A file is only ever replaced by the same clip; the sidecar says whose file it is."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veo_async.errors import DownloadFailed
from veo_async.media import SavedFile, Saver, files
from veo_async.media.destinations import Owner, owner_of
from veo_async.simulator import Simulator

from .support import BIG, WHOLE, left_over, saver, sim_clip

PROGRAM = """
import asyncio, sys
from veo_async.errors import DownloadFailed
from veo_async.media import Saver

async def main():
    url, target, name = sys.argv[1:]
    async with Saver(base_url=url) as saver:
        try:
            await saver.save([url], target, name=name, metadata={"task_id": name})
        except DownloadFailed as error:
            print("refused:", error)
        else:
            print("saved")

asyncio.run(main())
"""


async def save(downloads: Saver, url: str, target: Path, name: str) -> SavedFile:
    """Save one clip, whose key and task id are *name*."""
    [saved] = await downloads.save([url], target, name=name, metadata={"task_id": name})
    return saved


async def test_named_file_of_another_clip_is_never_replaced(tmp_path: Path) -> None:
    """The second clip gets an error with a remedy, and its bytes are kept for another path."""
    target = tmp_path / "d.mp4"
    async with Simulator() as sim, saver() as downloads:
        await save(downloads, sim_clip(sim, "1.mp4", WHOLE), target, "one")
        two = sim_clip(sim, "2.mp4")
        with pytest.raises(DownloadFailed, match=r"d\.mp4 .*another clip.*overwrite"):
            await save(downloads, two, target, "two")
        assert target.read_bytes() == WHOLE
        assert json.loads((tmp_path / "d.json").read_text())["task_id"] == "one"
        assert len(sim.requests_to("download")) == 1


@pytest.mark.parametrize("name", ["d.mp4", "d.json"])
async def test_file_that_is_not_ours_is_never_replaced(name: str, tmp_path: Path) -> None:
    """Neither a video without a sidecar nor a JSON file that is none."""
    (tmp_path / name).write_text('{"mine": 1}')
    async with Simulator() as sim, saver() as downloads:
        one = sim_clip(sim, "1.mp4", WHOLE)
        with pytest.raises(DownloadFailed, match="not replaced"):
            await save(downloads, one, tmp_path / "d.mp4", "d")
        saved = await save(downloads, one, tmp_path, "d")
    assert (tmp_path / name).read_text() == '{"mine": 1}'
    assert saved.path == tmp_path / "d-2.mp4"


async def test_overwrite_replaces_the_named_file(tmp_path: Path) -> None:
    """With ``overwrite=True`` a video is replaced, whose ever it is; another JSON file than a sidecar is not."""
    target = tmp_path / "d.mp4"
    target.write_bytes(b"mine")
    async with Simulator() as sim, saver(overwrite=True) as downloads:
        for name, data in (("one", WHOLE), ("two", BIG)):
            await save(downloads, sim_clip(sim, name, data), target, name)
            assert target.read_bytes() == data
            assert json.loads((tmp_path / "d.json").read_text())["task_id"] == name
        (tmp_path / "e.json").write_text('{"mine": 1}')
        with pytest.raises(DownloadFailed, match=r"e\.json"):
            await save(downloads, sim_clip(sim, "3.mp4"), tmp_path / "e.mp4", "three")
    assert (tmp_path / "e.json").read_text() == '{"mine": 1}'


async def test_clip_with_a_taken_name_gets_the_next_number(tmp_path: Path) -> None:
    """In a folder, another clip of the same name is saved as ``name-2.mp4``, and found there again."""
    async with Simulator() as sim, saver() as downloads:
        urls = {name: sim_clip(sim, f"{name}.mp4") for name in ("one", "two", "three")}
        for _ in range(2):
            saved = [
                await downloads.save([url], tmp_path, name="d", metadata={"task_id": task})
                for task, url in urls.items()
            ]
        assert len(sim.requests_to("download")) == 3
    assert [file.path.name for (file,) in saved] == ["d.mp4", "d-2.mp4", "d-3.mp4"]
    assert all(file.already_saved for (file,) in saved)


@pytest.mark.parametrize("step", ["link", "replace"])
async def test_file_that_appears_while_ours_is_moved_is_kept(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the move another program writes the file: it is not replaced, and no sidecar claims it."""
    target = tmp_path / "d.mp4"
    move: Callable[..., None] = getattr(os, step)

    def interfere(source: Any, destination: Any, **options: Any) -> None:
        if Path(destination) == tmp_path / "d.json" and not target.exists():
            target.write_bytes(b"mine")
        move(source, destination, **options)

    monkeypatch.setattr(os, step, interfere)
    async with Simulator() as sim, saver() as downloads:
        one = sim_clip(sim, "1.mp4", WHOLE)
        saved = await save(downloads, one, tmp_path, "d")
    if target.exists():
        assert target.read_bytes() == (b"mine" if saved.path != target else WHOLE)
    assert saved.path.read_bytes() == WHOLE
    if step == "link":
        assert target.read_bytes() == b"mine"
        assert saved.path.name == "d-2.mp4"
        assert not (tmp_path / "d.json").exists()


async def test_file_system_without_links_saves_and_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT and some network file systems have no hard links."""

    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    async with Simulator() as sim, saver() as downloads:
        one = await save(downloads, sim_clip(sim, "1.mp4", WHOLE), tmp_path / "d.mp4", "one")
        with pytest.raises(DownloadFailed, match="another clip"):
            await save(downloads, sim_clip(sim, "2.mp4"), tmp_path / "d.mp4", "two")
    assert one.path.read_bytes() == WHOLE
    assert left_over(tmp_path) == []


@pytest.mark.realtime
async def test_two_processes_with_one_name_lose_no_bytes(tmp_path: Path) -> None:
    """One of them saves its clip, the other gets the error, and the file is the first one's."""
    target = tmp_path / "d.mp4"
    async with Simulator() as sim:
        clips = {"one": BIG, "two": BIG + WHOLE[:0]}
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                PROGRAM,
                sim_clip(sim, name, data),
                str(target),
                name,
                stdout=asyncio.subprocess.PIPE,
            )
            for name, data in clips.items()
        ]
        outputs = [(await process.communicate())[0].decode() for process in processes]
    assert sorted(output.split()[0] for output in outputs) == ["refused:", "saved"]
    winner = list(clips)[[output.strip() for output in outputs].index("saved")]
    assert json.loads((tmp_path / "d.json").read_text())["task_id"] == winner
    assert target.read_bytes() == clips[winner]


async def test_unchanged_file_is_recognized_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size, times and sidecar suffice; a file that was written after its sidecar is read."""
    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "1.mp4")
        saved = await save(downloads, url, tmp_path, "d")
        os.utime(saved.path, (1, 1))
        monkeypatch.setattr("hashlib.file_digest", None)
        assert (await save(downloads, url, tmp_path, "d")).already_saved
        monkeypatch.undo()
        saved.path.write_bytes(bytes(len(BIG)))
        again = await save(downloads, url, tmp_path, "d")
    assert not again.already_saved
    assert again.path.read_bytes() == BIG


def test_clip_that_another_session_saves_meanwhile_is_not_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sidecar and its video appear right after we have looked for the sidecar."""
    video, sidecar, read_json = tmp_path / "d.mp4", tmp_path / "d.json", files.read_json

    def read_and_save(path: Path) -> dict[str, Any] | None:
        stored = read_json(path)
        sidecar.write_text('{"clip_id": "ours"}')
        video.write_bytes(WHOLE)
        return stored

    monkeypatch.setattr(files, "read_json", read_and_save)
    assert owner_of(video, "ours") is Owner.NONE
    assert owner_of(video, "ours") is Owner.THIS_CLIP
    assert owner_of(video, "another") is Owner.ANOTHER_CLIP
