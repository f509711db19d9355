"""Row 79: killed at every single step towards the disk, a download leaves no half film under a film's name.

A program downloads in children of its own, each into a folder of its own, and kills the first at its first step (a
write, a flush, a rename …), the second at its second, and so on until one gets through. A write that is killed has
written one half.
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

STEPS = ("open", "write", "fsync", "ftruncate", "replace", "unlink")
url, folder, target = sys.argv[1:]

def arm(number):
    left = itertools.count(number - 1, -1)

    def watch(name):
        real = getattr(os, name)

        def step(*args, **kwargs):
            if next(left) == 0:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(os, name, step)

    for name in STEPS:
        watch(name)

async def save(where):
    async with Saver(base_url=url) as saver:
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
    """How many steps there were to be killed at."""
    command = (sys.executable, "-c", PROGRAM, url, str(folder), target)
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told = [line.split() for line in (await program.communicate())[0].decode().splitlines()]
    assert [code for _, code in told] == ["-9"] * (len(told) - 1) + ["0"]
    return len(told) - 1


def is_told(film: Path) -> bool:
    """Whether the JSON beside *film* is about these very bytes."""
    told = json.loads(film.with_suffix(".json").read_text())
    return bool(told["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest())


def litter(folder: Path) -> int:
    """Bytes of what is hidden in *folder*: nothing of a film, at most an empty part and a temporary JSON."""
    return sum(path.stat().st_size for path in folder.glob(".*"))


@pytest.mark.realtime
async def test_killed_anywhere_it_leaves_a_whole_film_or_none(tmp_path: Path) -> None:
    """Row 79: and the next run always comes to a whole one, without asking for what was there."""
    async with Simulator() as sim:
        url = sim_clip(sim, "x.mp4")
        steps = await kill_everywhere(url, tmp_path, ".")
        assert steps >= 15
        left = [folder / "d.mp4" for folder in tmp_path.iterdir() if (folder / "d.mp4").exists()]
        assert 1 <= len(left) < steps
        assert all(film.read_bytes() == BIG and is_told(film) for film in left)
        async with saver() as downloads:
            for number in range(1, steps + 1):
                (saved,) = await downloads.save([url], tmp_path / str(number), name="d", metadata={"task_id": "t"})
                assert saved.path == tmp_path / str(number) / "d.mp4"
                assert saved.path.read_bytes() == BIG
                assert is_told(saved.path)
                assert saved.already_saved is (saved.path in left)
                assert litter(saved.path.parent) < 1000
        assert [seen for seen in sim.requests_to("download") if seen.headers.get("range")]


@pytest.mark.realtime
async def test_killed_anywhere_the_older_film_is_there_or_the_new_one(tmp_path: Path) -> None:
    """Row 79: a film that is to be replaced is never gone and never mixed."""
    for number in range(1, 60):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "dog.mp4").write_bytes(WHOLE)
    async with Simulator() as sim:
        steps = await kill_everywhere(sim_clip(sim, "x.mp4"), tmp_path, "dog.mp4")
    assert steps < 59
    there = [(tmp_path / str(number) / "dog.mp4").read_bytes() for number in range(1, steps + 1)]
    assert set(there) == {WHOLE, BIG}
    assert there == sorted(there, key=[WHOLE, BIG].index)
