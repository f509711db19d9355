"""The umask, or ``mode=``, decides who may read a saved clip; unfinished files stay private."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from veo_async.errors import UsageError
from veo_async.settings import Files
from veo_async.simulator import Simulator

from .support import WHOLE, saver, sim_clip

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_umask_decides_the_mode_of_video_and_sidecar(umask: int, tmp_path: Path) -> None:
    """A web server that may read other new files may read the clip."""
    async with Simulator() as sim, saver() as downloads:
        [saved] = await downloads.save([sim_clip(sim, "1.mp4", WHOLE)], tmp_path, name="d")
    assert {mode_of(saved.path), mode_of(saved.sidecar)} == {0o666 & ~umask}


async def test_given_mode_is_set_exactly(tmp_path: Path) -> None:
    """``mode=`` wins over the umask."""
    async with Simulator() as sim, saver(mode=0o664) as downloads:
        [saved] = await downloads.save([sim_clip(sim, "1.mp4", WHOLE)], tmp_path, name="d")
    assert {mode_of(saved.path), mode_of(saved.sidecar)} == {0o664}


@pytest.mark.parametrize("mode", [640, 0, 0o1644, "0640", True, 0o044])
def test_mode_that_is_not_a_mode_is_rejected(mode: object) -> None:
    """640 without ``0o`` is the usual mistake."""
    with pytest.raises(UsageError, match=r"mode=.*0o640"):
        Files(mode=mode)  # type: ignore[arg-type]
