"""Where jobs save their clips: what names a file, what names a folder, and which files are never replaced."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.sessions import session_arguments
from veo_async import Done, Failed, Refused, VeoSession, errors
from veo_async._rules.lifecycle import JobState
from veo_async.ledger import MemoryLedger
from veo_async.simulator import Simulator

pytestmark = pytest.mark.realtime


def on(sim: Simulator, **options: Any) -> VeoSession:
    return VeoSession(sim.api_key, **session_arguments(base_url=sim.url, poll_every=0.1, **options))


def task_of(video: Path) -> str:
    """Return the task that the sidecar of *video* names."""
    return str(json.loads(video.with_suffix(".json").read_text())["task_id"])


# --- whose file it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["another clip", "the user"])
async def test_taken_file_name_is_refused_before_anything_is_sent(owner: str, tmp_path: Path) -> None:
    """Nothing is queued or paid for, and the file stays as it is."""
    target = tmp_path / "x.mp4"
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        if owner == "the user":
            target.write_bytes(b"mine")
        else:
            await veo.generate("A dog", save_to=target)
        before, sent = target.read_bytes(), len(sim.requests_to())
        with pytest.raises(
            errors.FileNameTaken, match=rf"save_to=.*x\.mp4.*{owner if owner != 'the user' else 'exists'}"
        ):
            await veo.generate("A cat", save_to=target)
        [outcome] = await veo.gather("A cat", save_to=target)
        assert isinstance(outcome, Refused)
        assert (target.read_bytes(), len(sim.requests_to())) == (before, sent)


async def test_two_jobs_of_a_session_cannot_share_a_file_name(tmp_path: Path) -> None:
    """The second is refused although the file does not exist yet."""
    target = tmp_path / "x.mp4"
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        first = await veo.submit("A dog", save_to=target)
        with pytest.raises(errors.UsageError, match=rf"save_to=.*{first.key}"):
            await veo.submit("A cat", save_to=target)
        assert await veo.submit("A dog", save_to=target)
        clip = await first
        assert len(sim.requests_to()) == 1
    assert task_of(target) == clip.task_id


async def test_file_name_of_a_job_from_an_earlier_session_is_taken(tmp_path: Path) -> None:
    """The job waits on the ledger, and its file does not exist yet."""
    target, ledger = tmp_path / "x.mp4", MemoryLedger()
    async with Simulator(duration_s=5.0) as sim:
        async with on(sim, ledger=ledger) as veo:
            await (await veo.submit("A dog", key="dog", save_to=target)).accepted()
        async with on(sim, ledger=ledger) as veo:
            with pytest.raises(errors.UsageError, match=r"save_to=.*'dog'"):
                await veo.submit("A cat", save_to=target)


async def test_file_name_is_free_again_when_its_file_is_gone(tmp_path: Path) -> None:
    """The clip was saved and moved away, so the next one may have its name."""
    target = tmp_path / "x.mp4"
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        await veo.generate("A dog", save_to=target)
        target.rename(tmp_path / "y.mp4")
        target.with_suffix(".json").rename(tmp_path / "y.json")
        clip = await veo.generate("A cat", save_to=target)
        assert clip.files == (target,)
        refused = await veo.submit("A fox [refuse]", save_to=tmp_path / "z.mp4")
        assert isinstance(await refused.finished(), Refused)
        assert (await veo.generate("An owl", save_to=tmp_path / "z.mp4")).files


async def test_overwrite_replaces_the_file_of_another_clip(tmp_path: Path) -> None:
    """`Files(overwrite=True)` is the user's word for it."""
    target = tmp_path / "x.mp4"
    async with Simulator(duration_s=0.1) as sim, on(sim, overwrite=True) as veo:
        await veo.generate("A dog", save_to=target)
        clip = await veo.generate("A cat", save_to=target)
    assert clip.files == (target,)
    assert task_of(target) == clip.task_id


async def test_name_taken_while_the_clip_was_made_fails_the_saving_only(tmp_path: Path) -> None:
    """The clip is kept: it can be saved to another path, through the outcome or by submitting it again."""
    target = tmp_path / "x.mp4"
    async with Simulator(duration_s=0.3) as sim, on(sim) as veo:
        job = await veo.submit("A dog", save_to=target)
        target.write_bytes(b"mine")
        outcome = await job.finished()
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, errors.DownloadFailed)
        assert job.state is JobState.READY
        assert outcome.clip is not None
        saved = await veo.save(outcome.clip, tmp_path / "y.mp4")
        assert saved.files == (tmp_path / "y.mp4",)
        clip = await veo.generate("A dog", save_to=tmp_path / "z.mp4")
        assert clip.files == (tmp_path / "z.mp4",)
        assert len(sim.requests_to()) == 1
    assert target.read_bytes() == b"mine"


async def test_two_sessions_with_one_file_name_keep_the_first_clip(tmp_path: Path) -> None:
    """They share nothing but the folder: the second clip is not saved, the first is not replaced."""
    target = tmp_path / "x.mp4"
    async with Simulator(duration_s=0.3) as sim, on(sim) as one, on(sim) as two:
        jobs = [await one.submit("A dog", save_to=target), await two.submit("A cat", save_to=target)]
        outcomes = [await job.finished() for job in jobs]
    [done] = [outcome for outcome in outcomes if isinstance(outcome, Done)]
    [failed] = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert "another clip" in str(failed.error)
    assert task_of(target) == done.clip.task_id


@pytest.mark.parametrize("damage", ["gone", "truncated", "edited"])
async def test_saved_clip_is_checked_before_it_is_reported_as_saved(damage: str, tmp_path: Path) -> None:
    """Asking again for a saved clip downloads it again unless its file is there; nothing is paid for again."""
    target, ledger = tmp_path / "x.mp4", MemoryLedger()
    async with Simulator(duration_s=0.1) as sim:
        async with on(sim, ledger=ledger, account="a") as veo:
            first = await veo.generate("A dog", save_to=target)
            content = target.read_bytes()
        async with on(sim, ledger=ledger, account="a") as veo:
            again = await veo.generate("A dog", save_to=target)
            assert again.files == first.files
            assert len(sim.requests_to("download")) == 1
            match damage:
                case "gone":
                    target.unlink()
                case "truncated":
                    target.write_bytes(content[:-1])
                case _:
                    target.write_bytes(content[:-1] + b"x")
            again = await veo.generate("A dog", save_to=target)
            assert again.files == (target,)
            assert target.read_bytes() == content
        assert len(sim.requests_to()) == 1


async def test_saved_clip_whose_name_now_holds_another_clip_is_not_reported_as_saved(tmp_path: Path) -> None:
    """The file is the other clip's, so asking for the first one again is an error and not "saved"."""
    target, ledger = tmp_path / "x.mp4", MemoryLedger()
    async with Simulator(duration_s=0.1) as sim:
        async with on(sim, ledger=ledger, overwrite=True) as veo:
            await veo.generate("A dog", save_to=target)
            await veo.generate("A cat", save_to=target)
        async with on(sim, ledger=ledger) as veo:
            with pytest.raises(errors.UsageError, match="another clip"):
                await veo.generate("A dog", save_to=target)


async def test_saved_clip_is_also_saved_elsewhere_on_request(tmp_path: Path) -> None:
    """The same job with another target: both files exist, and the outcome names the new one."""
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        await veo.generate("A dog", save_to=tmp_path / "a.mp4")
        clip = await veo.generate("A dog", save_to=tmp_path / "b.mp4")
        assert clip.files == (tmp_path / "b.mp4",)
        assert len(sim.requests_to()) == 1
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


# --- files and folders --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mov", "clips.v2", "a.MKV"])
async def test_name_with_another_ending_is_refused_with_both_remedies(name: str, tmp_path: Path) -> None:
    """It names neither a clip nor, without a slash, a folder; nothing is made or sent."""
    async with Simulator() as sim, on(sim) as veo:
        for target in (str(tmp_path / name), tmp_path / name):
            with pytest.raises(errors.UsageError, match=rf"save_to=.*\.mp4.*{name}/"):
                await veo.generate("A dog", save_to=target)
            with pytest.raises(errors.UsageError, match=rf"save_to=.*\.mp4.*{name}/"):
                veo.map(["A dog"], save_to=target)
        assert sim.requests_to() == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["clips", "clips/", "a.mov/", "a.mp4/"])
async def test_name_with_a_slash_or_without_an_ending_is_a_folder(name: str, tmp_path: Path) -> None:
    """A slash at the end makes any name a folder, on the ledger, too."""
    ledger = MemoryLedger()
    async with Simulator(duration_s=0.1) as sim, on(sim, ledger=ledger) as veo:
        clip = await veo.generate("A dog", key="dog", save_to=f"{tmp_path}{os.sep}{name}")
    assert clip.files == (tmp_path / name / "dog.mp4",)


async def test_existing_folder_needs_no_slash(tmp_path: Path) -> None:
    """It is one already."""
    folder = tmp_path / "clips.v2"
    folder.mkdir()
    async with Simulator(duration_s=0.1) as sim, on(sim) as veo:
        clip = await veo.generate("A dog", key="dog", save_to=folder)
        assert clip.files == (folder / "dog.mp4",)


@pytest.mark.parametrize("name", ["missing/clips/", "missing/clips", "missing/clips/dog.mp4"])
async def test_only_one_level_of_folders_is_created(name: str, tmp_path: Path) -> None:
    """A folder that is missing with its parent is more likely a mistake; the error names the missing one."""
    async with Simulator() as sim, on(sim) as veo:
        with pytest.raises(errors.UsageError, match=r"save_to=.*missing.*does not exist"):
            await veo.generate("A dog", save_to=f"{tmp_path}/{name}")
        assert sim.requests_to() == ()
    with pytest.raises(errors.UsageError, match=r"save_to=.*missing.*does not exist"):
        VeoSession("kie_0123456789abcdef", save_to=f"{tmp_path}/missing/clips/")
    assert list(tmp_path.iterdir()) == []


async def test_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    """Nothing can be saved below a file."""
    (tmp_path / "clips").write_text("mine")
    async with Simulator() as sim, on(sim) as veo:
        for name in ("clips", "clips/", "clips/dog.mp4"):
            with pytest.raises(errors.UsageError, match=r"save_to=.*not a folder"):
                await veo.generate("A dog", save_to=f"{tmp_path}/{name}")
        assert sim.requests_to() == ()


def test_folder_of_a_session_cannot_be_a_file(tmp_path: Path) -> None:
    """All its jobs would get the same name."""
    with pytest.raises(errors.UsageError, match=r"save_to=.*must be a folder"):
        VeoSession("kie_0123456789abcdef", save_to=tmp_path / "dog.mp4")
