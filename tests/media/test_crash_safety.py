"""A download that is killed at any step leaves no incomplete video under a final name (row 79).

A program starts child processes, each of which downloads into another folder. The first child is killed at its first
step (a write, a flush, a rename and so on), the second at its second step, until one child finishes. A write at which a
child is killed writes half of its data.
"""

import asyncio
import hashlib
import json
import sys
from pathlib import Path

import pytest

from veo_async.simulator import Simulator

from .support import BIG, WHOLE, saver, sim_clip

PROGRAM = """
import asyncio, itertools, os, signal, sys
from pathlib import Path
from veo_async.media import Saver

STEPS = ("open", "write", "fsync", "ftruncate", "link", "replace", "unlink")
url, folder, target = sys.argv[1:]

def arm(number):
    remaining = itertools.count(number - 1, -1)

    def watch(name):
        real = getattr(os, name)

        def step(*args, **kwargs):
            if next(remaining) == 0:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(os, name, step)

    for name in STEPS:
        watch(name)

async def save(where):
    async with Saver(base_url=url, overwrite=True) as saver:
        await saver.save([url], where, name="d", metadata={"task_id": "t"})

for number in itertools.count(1):
    child = os.fork()
    if child == 0:
        arm(number)
        asyncio.run(save(Path(folder, str(number), target)))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(number, os.waitstatus_to_exitcode(status), flush=True)
    if status == 0 or number > 200:
        break
"""


async def kill_everywhere(url: str, folder: Path, target: str) -> int:
    """Return the number of steps at which a child was killed."""
    command = (sys.executable, "-c", PROGRAM, url, str(folder), target)
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    codes = [line.split()[1] for line in (await program.communicate())[0].decode().splitlines()]
    assert codes == ["-9"] * (len(codes) - 1) + ["0"]
    return len(codes) - 1


def has_matching_sidecar(video: Path) -> bool:
    """Return True if the sidecar of *video* contains the hash of its bytes."""
    stored = json.loads(video.with_suffix(".json").read_text())
    return bool(stored["sha256"] == hashlib.sha256(video.read_bytes()).hexdigest())


def hidden_bytes(folder: Path) -> int:
    """Return the size of the hidden files in *folder*: at most an empty partial file and a temporary sidecar."""
    return sum(path.stat().st_size for path in folder.glob(".*"))


@pytest.mark.realtime
async def test_killed_download_leaves_a_complete_video_or_none(tmp_path: Path) -> None:
    """The next run always completes the video, and does not download the existing bytes again."""
    async with Simulator() as sim:
        url = sim_clip(sim, "x.mp4")
        steps = await kill_everywhere(url, tmp_path, ".")
        assert steps >= 15
        complete = [folder / "d.mp4" for folder in tmp_path.iterdir() if (folder / "d.mp4").exists()]
        assert 1 <= len(complete) < steps
        assert all(path.read_bytes() == BIG and has_matching_sidecar(path) for path in complete)
        async with saver() as downloads:
            for number in range(1, steps + 1):
                (saved,) = await downloads.save([url], tmp_path / str(number), name="d", metadata={"task_id": "t"})
                assert saved.path == tmp_path / str(number) / "d.mp4"
                assert saved.path.read_bytes() == BIG
                assert has_matching_sidecar(saved.path)
                assert saved.already_saved is (saved.path in complete)
                assert hidden_bytes(saved.path.parent) < 1000
        assert [seen for seen in sim.requests_to("download") if seen.headers.get("range")]


@pytest.mark.realtime
async def test_killed_download_leaves_the_old_video_or_the_new_one(tmp_path: Path) -> None:
    """A video that is being replaced is never missing and never a mixture."""
    for number in range(1, 60):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "dog.mp4").write_bytes(WHOLE)
    async with Simulator() as sim:
        steps = await kill_everywhere(sim_clip(sim, "x.mp4"), tmp_path, "dog.mp4")
    assert steps < 59
    contents = [(tmp_path / str(number) / "dog.mp4").read_bytes() for number in range(1, steps + 1)]
    assert set(contents) == {WHOLE, BIG}
    assert contents == sorted(contents, key=[WHOLE, BIG].index)
