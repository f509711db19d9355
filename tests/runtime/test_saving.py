"""Jobs that save their clip to a file: through the session, against a real server."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.internals import keys_in_memory
from tests.routes import RECORD
from tests.sessions import session_arguments
from veo_async import Done, Failed, VeoSession, errors
from veo_async._rules.lifecycle import JobState
from veo_async.ledger import MemoryLedger
from veo_async.media import check_complete
from veo_async.simulator import Simulator, expired_link, refuse, truncate
from veo_async.types import RouteName

from .support import let_run

pytestmark = pytest.mark.realtime


def on(sim: Simulator, *, kind: type[VeoSession] = VeoSession, **options: Any) -> VeoSession:
    return kind(sim.api_key, **session_arguments(base_url=sim.url, poll_every=0.1, **options))


def is_whole(path: Path) -> bool:
    """Return True, or raise if the video is incomplete."""
    with path.open("rb") as file:
        check_complete(file)
    return True


async def test_clip_is_saved_to_a_file_or_into_a_folder(tmp_path: Path) -> None:
    """The file is complete, the clip has its path, and a sidecar describes it."""
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        clip = await veo.generate("A dog", key="dog")
        assert clip.files == ()
        saved = await veo.save(clip, tmp_path / "mine.mp4")
        assert saved.files == (tmp_path / "mine.mp4",)
        assert is_whole(saved.files[0])
        [again] = (await veo.save(clip, tmp_path)).files
        assert again == tmp_path / "dog.mp4"
        sidecar = json.loads((tmp_path / "dog.json").read_text())
        assert sidecar["task_id"] == clip.task_id
        assert sidecar["request"]["prompt"] == "A dog"


async def test_job_with_save_to_finishes_when_its_file_is_complete(tmp_path: Path) -> None:
    """`map(save_to=…)` yields `Done` when the file exists; files are named after their keys."""
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        prompts = [f"Dog {n}" for n in range(6)]
        async for outcome in veo.map(prompts, save_to=tmp_path / "clips", key=lambda request: request.prompt.lower()):
            assert isinstance(outcome, Done)
            [file] = outcome.clip.files
            assert is_whole(file)
        assert {job.state for job in veo.jobs()} == {JobState.SAVED}
    names = [path.stem for path in (tmp_path / "clips").glob("*.mp4")]
    assert len(names) == 6
    assert all(name.startswith("dog") for name in names)


async def test_original_videos_are_saved_only_where_they_are_the_uncropped_ones(
    tmp_path: Path, route: RouteName
) -> None:
    """On the jobs route the same field has the video in a lower resolution, which is never the clip."""
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        clip = await veo.generate("A dog", aspect_ratio="9:16", resolution="1080p")
        assert clip.record.origin_urls
        saved = await veo.save(clip, tmp_path / "dog.mp4", uncropped=True)
        assert saved.urls == (clip.record.origin_urls if route == "veo" else clip.urls)
        assert is_whole(saved.files[0])


async def test_row_73_expired_link_is_renewed(tmp_path: Path) -> None:
    """By the record, and then by a direct link; nothing is generated again."""
    async with Simulator(duration_s=0.1, faults=[expired_link(on=1)]) as sim, on(sim) as veo:
        clip = await veo.generate("A dog", save_to=tmp_path / "dog.mp4")
        assert is_whole(clip.files[0])
        assert len(sim.requests_to()) == 1


class _TwoWeeksLater(VeoSession):
    """A session whose clock is 15 days ahead."""

    def _wall_clock(self) -> float:
        return super()._wall_clock() + 15 * 86_400.0


async def test_saved_clip_does_not_expire_and_an_old_link_that_fails_offers_a_new_take(tmp_path: Path) -> None:
    """After two weeks a saved file is still the clip. Saving a clip that has no file is tried nevertheless."""
    ledger = MemoryLedger()
    async with Simulator(duration_s=0.1, faults=[expired_link(times=4)]) as sim:
        async with on(sim, ledger=ledger, account="studio") as veo:
            await veo.generate("A dog", key="dog")
            clip = await veo.generate("A cat", key="cat")
            with pytest.raises(errors.DownloadFailed) as caught:
                await veo.save(clip, tmp_path / "cat.mp4")
            assert clip.expires_at is not None
            assert f"until {clip.expires_at:%Y-%m-%d}" in caught.value.remedy
            assert "take=2" in caught.value.remedy
            saved = await veo.generate("A cat", key="cat", save_to=tmp_path)
        async with on(sim, ledger=ledger, account="studio", kind=_TwoWeeksLater) as later:
            assert await later.generate("A cat", key="cat") == saved
            with pytest.raises(errors.ClipExpired):
                await later.generate("A dog", key="dog")
            assert is_whole((await later.generate("A dog", key="dog", save_to=tmp_path)).files[0])
        assert len(sim.charges) == 2


_LOST = "Temporarily supports records within 14 days."


@pytest.mark.parametrize(("code", "text"), [(455, "Maintenance"), (500, "Internal Error"), (422, _LOST)])
async def test_link_is_renewed_although_the_record_cannot_be_read(
    tmp_path: Path, code: int, text: str, route: RouteName
) -> None:
    """A failed poll ends no job: a direct link needs no record."""
    async with Simulator(duration_s=0.1, faults=[expired_link(on=1)]) as sim, on(sim) as veo:
        clip = await veo.generate("A dog")
        sim.inject(refuse(code, text, endpoint="record-info"))
        saved = await veo.save(clip, tmp_path / "dog.mp4")
        assert is_whole(saved.files[0])
        assert sim.triggered_faults[-1].endpoint == RECORD[route]


async def test_clip_without_a_link_and_a_record_needs_a_new_take(tmp_path: Path) -> None:
    """The error repeats what the provider says about the record, not that it gave no direct link."""
    async with Simulator(duration_s=0.1, faults=[expired_link(on=1)]) as sim, on(sim) as veo:
        clip = await veo.generate("A dog")
        sim.inject(refuse(422, _LOST, endpoint="record-info"), refuse(422, "Invalid URL", endpoint="download-url"))
        with pytest.raises(errors.DownloadFailed, match="14 days") as caught:
            await veo.save(clip, tmp_path / "dog.mp4")
        assert caught.value.remedy.startswith("For a new clip, submit the request with take=2.")


async def test_failed_download_leaves_the_clip_ready(tmp_path: Path) -> None:
    """The link is expired four times in a row. The next session downloads the clip without another charge."""
    ledger = MemoryLedger()
    async with Simulator(duration_s=0.1, faults=[expired_link(times=4)]) as sim:
        async with on(sim, ledger=ledger, account="studio") as veo:
            job = await veo.submit("A dog", key="dog", save_to=tmp_path)
            outcome = await job.finished()
            assert isinstance(outcome, Failed)
            assert isinstance(outcome.error, errors.DownloadFailed)
            assert job.state is JobState.READY
            assert not list(tmp_path.glob("*.mp4"))
        async with on(sim, ledger=ledger, account="studio") as later:
            assert later.ledger.recovered.ready == 1
            clip = await later.job("dog")
            assert is_whole(clip.files[0])
        assert len(sim.requests_to()) == 1
    async with Simulator() as other, on(other, ledger=ledger, account="studio") as last:
        assert last.ledger.recovered.ready == 0
        found = await last.ledger.find("dog")
        assert found is not None
        assert (await found).files == clip.files


async def test_clip_of_an_earlier_run_is_saved_on_request(tmp_path: Path) -> None:
    """The same key again, now with a path."""
    ledger = MemoryLedger()
    async with Simulator(duration_s=0.1) as sim:
        async with on(sim, ledger=ledger) as first:
            await first.generate("A dog", key="dog")
        async with on(sim, ledger=ledger) as second:
            clip = await second.generate("A dog", key="dog", save_to=tmp_path)
            assert is_whole(clip.files[0])
        assert len(sim.requests_to()) == 1


async def test_truncated_downloads_are_resumed(tmp_path: Path) -> None:
    """A broken connection only costs time."""
    faults = [truncate(at=5000, endpoint="download", times=3)]
    async with Simulator(duration_s=0.1, faults=faults) as sim, on(sim) as veo:
        for outcome in [outcome async for outcome in veo.map(["A dog", "A cat", "A fox"], save_to=tmp_path)]:
            assert isinstance(outcome, Done)
            assert is_whole(outcome.clip.files[0])


# --- finished jobs on a ledger ----------------------------------------------------------------------------------


async def test_saved_job_is_not_kept(tmp_path: Path) -> None:
    """Its clip is read from the ledger, also to save it later; each job is counted once, in its last state."""
    async with Simulator(duration_s=0.1) as sim, on(sim, ledger=MemoryLedger()) as veo:
        clip = await veo.generate("A dog", key="dog")
        await let_run()
        assert "dog" not in keys_in_memory()
        for _ in range(2):  # the second time, the files are only checked
            saved = await veo.generate("A dog", key="dog", save_to=tmp_path / "dog.mp4")
            assert (saved.task_id, saved.files) == (clip.task_id, (tmp_path / "dog.mp4",))
            await let_run()
            assert "dog" not in keys_in_memory()
            assert veo.statistics().jobs == {JobState.SAVED: 1}
        assert len(sim.charges) == 1


async def test_file_of_a_job_that_is_not_kept_is_not_given_to_another(tmp_path: Path) -> None:
    """The file itself shows whose it is. One that was never written is free."""
    async with Simulator(duration_s=0.1) as sim, on(sim, ledger=MemoryLedger()) as veo:
        await veo.generate("A dog", key="dog", save_to=tmp_path / "dog.mp4")
        job = await veo.submit("A cow [refuse]", key="cow", save_to=tmp_path / "cow.mp4")
        await job.finished()
        del job
        await let_run()
        assert not {"dog", "cow"} & keys_in_memory()
        with pytest.raises(errors.FileNameTaken):
            await veo.submit("A cat", save_to=tmp_path / "dog.mp4")
        assert (await veo.generate("A bull", save_to=tmp_path / "cow.mp4")).files
        assert len(sim.charges) == 2
