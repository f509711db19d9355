"""The size of a saved video is compared with the requested resolution; a difference is only reported."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.sessions import session_arguments
from veo_async import VeoSession
from veo_async._runtime.ready.resolution import has_resolution
from veo_async.batch.manifest import read_manifest
from veo_async.batch.run import Batch
from veo_async.events import JobEvent, Ready, ResolutionDiffers
from veo_async.ledger import MemoryLedger
from veo_async.providers import provider_named
from veo_async.simulator import Simulator

pytestmark = pytest.mark.realtime


def on(sim: Simulator, **options: Any) -> VeoSession:
    return VeoSession(sim.api_key, **session_arguments(base_url=sim.url, poll_every=0.1, **options))


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if getattr(record, "action", "") == "resolution-differs"]


@pytest.mark.parametrize(("aspect_ratio", "size"), [("16:9", (1280, 720)), ("9:16", (720, 1280))])
async def test_video_in_another_resolution_is_reported_everywhere(
    aspect_ratio: Any, size: tuple[int, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning, an event before the last one, the sidecar and the clip; the job is done and its file stays."""
    seen: list[JobEvent] = []
    async with (
        Simulator(duration_s=0.1, delivered_resolution="720p") as sim,
        on(sim, on_event=seen.append) as veo,
    ):
        options: dict[str, Any] = {"resolution": "1080p", "aspect_ratio": aspect_ratio}
        clip = await veo.generate("A dog", key="dog", save_to=tmp_path / "dog.mp4", **options)
        await veo.save(clip, tmp_path / "dog.mp4")
    assert clip.sizes == (size,)
    assert clip.height == size[1]
    assert seen[-2:] == [ResolutionDiffers("dog", "1080p", *size), Ready("dog", clip)]
    assert warnings_in(caplog) == [f"the video of job dog is {size[0]} × {size[1]}, although 1080p was requested"]
    sidecar = json.loads((tmp_path / "dog.json").read_text())
    assert (sidecar["width"], sidecar["height"]) == size


async def test_upgrade_that_is_none_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its resolution is that of the upgrade."""
    async with Simulator(duration_s=0.01, delivered_resolution="1080p") as sim, on(sim) as veo:
        clip = await veo.generate("A dog")
        large = await veo.upgrade(clip, "4k", save_to=tmp_path / "large.mp4")
    assert large.height == 1080
    assert len(warnings_in(caplog)) == 1


async def test_requested_resolution_is_not_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nor is the provider's choice if the request names none; a saved clip keeps its size on the ledger."""
    caplog.set_level(logging.WARNING)
    ledger, seen = MemoryLedger(), list[JobEvent]()
    async with Simulator(duration_s=0.01) as sim:
        async with on(sim, ledger=ledger, on_event=seen.append) as veo:
            clip = await veo.generate("A dog", key="dog", resolution="1080p", save_to=f"{tmp_path}/")
            plain = await veo.generate("A cat", save_to=f"{tmp_path}/")
            large = await veo.upgrade(plain, "4k", save_to=f"{tmp_path}/")
        async with on(sim, ledger=ledger) as later:
            found = await later.ledger.find("dog")
            assert found is not None
            assert (await found).sizes == clip.sizes
    assert (clip.height, plain.height, large.height) == (1080, 720, 2160)
    assert not any(isinstance(event, ResolutionDiffers) for event in seen)
    assert warnings_in(caplog) == []


async def test_results_of_a_list_have_the_height(tmp_path: Path) -> None:
    """A column of results.csv, and a field of results.jsonl."""
    manifest = read_manifest(b"key,prompt,resolution\ndog,A dog,1080p\n", "csv", provider_named("kie"))
    async with Simulator(duration_s=0.1, delivered_resolution="720p") as sim, on(sim) as veo:
        await Batch(veo, manifest, tmp_path / "out", now=lambda: 0.0).run()
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["height"] == "720"
    [line] = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert json.loads(line)["height"] == 720


@pytest.mark.parametrize(
    ("size", "resolution", "is_same"),
    [
        ((1920, 1080), "1080p", True),
        ((1080, 1920), "1080p", True),
        ((1920, 1088), "1080p", True),
        ((1280, 720), "1080p", False),
        ((3840, 2160), "1080p", False),
        ((3840, 2160), "4k", True),
        ((1, 1), "8k", True),
    ],
)
def test_shorter_side_decides(size: tuple[int, int], resolution: str, is_same: bool) -> None:
    """Portrait and landscape alike; encoders round up, and names that we do not know are not judged."""
    assert has_resolution(size, resolution) is is_same
