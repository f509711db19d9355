"""Files and bytes as images: checked at once, uploaded once, known by what they show, and renewed in time."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.internals import engine_of, parts_of
from veo_async import VideoRequest, errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.events import Paused
from veo_async._runtime.job.outcome import Done, Refused
from veo_async._runtime.queued.image_uploads import MIN_RENEWAL_INTERVAL_S
from veo_async._runtime.queued.images import Images, inspect_image
from veo_async._wire.images import LocalImage
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.simulator import MemoryTransport, delay, rate_limited, refuse

from .support import at_every_await, let_run, memory, now, session_on, world
from .test_resume import InlineExecutor, on

pytestmark = pytest.mark.veo_virtual_time

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff\xe0" + bytes(64)
WEBP = b"RIFF\x10\0\0\0WEBPVP8 " + bytes(16)
UPLOAD = "file-stream-upload"


def uploads(sim: MemoryTransport) -> int:
    return len([call for call in sim.requests if call.endpoint == UPLOAD])


def sent_images(sim: MemoryTransport) -> list[list[str]]:
    return [call.body.get("imageUrls", []) for call in sim.requests if call.endpoint == "generate"]


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    return path


@pytest.mark.parametrize(
    ("content", "ending"), [(PNG, "png"), (JPEG, "jpg"), (WEBP, "webp")], ids=["png", "jpeg", "webp"]
)
async def test_a_file_is_uploaded_under_its_content_and_its_url_is_sent(
    tmp_path: Path, content: bytes, ending: str
) -> None:
    """Whatever it is called; nothing of its path is told to anybody."""
    path = tmp_path / "my secret.txt"
    path.write_bytes(content)
    async with world() as (veo, sim):
        await veo.generate("A dog", image=path)
        [[url]] = sent_images(sim)
        assert url.startswith("https://")
        assert url.endswith(f".{ending}")
        assert "secret" not in str([call.content for call in sim.requests])


async def test_fifty_jobs_with_one_image_are_one_upload(cat: Path, tmp_path: Path) -> None:
    """From two folders, at once."""
    twin = tmp_path / "twin.jpeg"
    twin.write_bytes(PNG)
    async with world() as (veo, sim):
        outcomes = await veo.gather(*(VideoRequest(f"Dog {n}", image_urls=[[cat, twin][n % 2]]) for n in range(50)))
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert uploads(sim) == 1
        assert len(sim.charges) == 50


async def test_the_same_picture_from_another_folder_is_the_same_job(cat: Path, tmp_path: Path) -> None:
    """As a path, as bytes and as a copy; another picture is another."""
    twin = tmp_path / "other"
    twin.write_bytes(PNG)
    async with world() as (veo, sim):
        first = await veo.submit("A dog", image=str(cat))
        for again in (twin, PNG):
            assert (await veo.submit("A dog", image=again)).key == first.key
        assert (await veo.submit("A dog", image=JPEG)).key != first.key
        await veo.drain()
        assert len(sim.charges) == 2


async def test_a_changed_file_under_the_same_key_is_key_reused(cat: Path) -> None:
    """The name is the same, the picture is not."""
    async with world() as (veo, _):
        # Before its upload the changed file would refuse the job, and what ended unpaid may be asked for anew.
        await (await veo.submit("A dog", key="k", image=cat)).accepted()
        cat.write_bytes(JPEG)
        with pytest.raises(errors.KeyReused):
            await veo.submit("A dog", key="k", image=cat)


async def refusal(veo: Any, image: Any) -> str:
    with pytest.raises(errors.InvalidRequest) as caught:
        await veo.submit("A dog", image=image)
    assert veo.jobs() == []
    return str(caught.value)


async def test_what_cannot_work_is_refused_before_anything_is_queued(tmp_path: Path) -> None:
    """Kinds, sizes, hostile names, a folder, and a pipe, which makes nobody wait."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    async with world() as (veo, sim):
        assert "not a regular file" in await refusal(veo, tmp_path / "pipe")
        assert "is a folder" in await refusal(veo, tmp_path)
        for name in ("../../x.png", "a\0b.png", "x" * 300 + ".png", str(tmp_path / "loop"), ""):
            assert "image=" in await refusal(veo, name)
        for content, told in (
            (b"", "is empty"),
            (b"GIF89a....", "is a GIF"),
            (b"\0\0\0\x18ftypisom", "is a video"),
            (b"<!DOCTYPE html>", "is a web page"),
            (b"hello", "of an unknown type"),
            (PNG + bytes(10 * 1024**2), "larger than 10 MiB"),
        ):
            (tmp_path / "file.png").write_bytes(content)
            assert told in await refusal(veo, tmp_path / "file.png")
            assert told in await refusal(veo, content)
        assert sim.requests == ()


def test_an_unreadable_file_is_told_as_such(cat: Path) -> None:
    """Whoever may read everything looks as somebody else."""
    cat.chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(errors.InvalidRequest, match="cannot be read: Permission denied"):
            inspect_image(str(cat))
    finally:
        os.seteuid(me)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "https://localhost/a.png",
        "https://10.0.0.1/a.png",
        "https://169.254.169.254/a.png",
        "https://[::1]/a.png",
        "https://printer.local/a.png",
        "https://user:word@example.com/a.png",
        "ftp://example.com/a.png",
    ],
)
async def test_a_url_that_the_provider_cannot_reach_is_refused(url: str) -> None:
    """Before anything is queued."""
    async with world() as (veo, _):
        with pytest.raises(errors.InvalidRequest):
            await veo.submit("A dog", image=url)
        assert veo.jobs() == []


async def test_a_file_that_changes_or_goes_before_its_upload_refuses_its_job_alone(cat: Path, tmp_path: Path) -> None:
    """It is never sent."""
    gone = tmp_path / "gone.png"
    gone.write_bytes(WEBP)
    others = [tmp_path / f"other-{n}.png" for n in range(4)]
    for n, other in enumerate(others):
        other.write_bytes(PNG + bytes([n]))
    # Four are uploaded at once and slowly: the other two have not been read again yet.
    async with world(faults=[delay(20.0, endpoint=UPLOAD, times=4)]) as (veo, sim):
        jobs = [await veo.submit("A dog", key=path.stem, image=path) for path in (*others, cat, gone)]
        cat.write_bytes(JPEG)
        gone.unlink()
        *done, changed, lost = [await job.finished() for job in jobs]
        assert all(isinstance(outcome, Done) for outcome in done)
        assert isinstance(changed, Refused)
        assert isinstance(lost, Refused)
        assert "has changed since" in changed.reason
        assert "No such file" in lost.reason
        assert len(sim.charges) == 4


@pytest.mark.parametrize("form", ["real", "quickstart"])
async def test_an_image_that_has_lapsed_while_its_job_waited_is_renewed(cat: Path, form: str) -> None:
    """In both forms of the answer; nothing else is sent in the meantime, and what is sent is fresh."""
    life_s = 3 * 86400 if form == "quickstart" else 86400
    async with world(upload_form=form, faults=[refuse(402, "no credits", on=1)]) as (veo, sim):
        job = await veo.submit("A dog", image=cat)
        await asyncio.sleep(60)
        assert job.state is JobState.QUEUED
        sim.account().credits = 0
        await asyncio.sleep(life_s - 3600 - 120)
        assert uploads(sim) == 1
        await asyncio.sleep(120)
        assert uploads(sim) == 2
        sim.account().credits = 1000
        await job


async def test_within_its_time_an_upload_is_used_again(cat: Path) -> None:
    """And after it no longer."""
    async with world() as (veo, sim):
        await veo.generate("A dog", image=cat)
        await asyncio.sleep(22 * 3600)
        await veo.generate("A cat", image=cat)
        assert uploads(sim) == 1
        await asyncio.sleep(3600)
        await veo.generate("A fox", image=cat)
        assert uploads(sim) == 2


async def test_an_upload_is_tried_again_as_reads_are(cat: Path) -> None:
    """A 500 of the upload host, twice."""
    async with world(faults=[refuse(500, "Internal server error", form="http", endpoint=UPLOAD, times=2)]) as (
        veo,
        sim,
    ):
        await veo.generate("A dog", image=cat)
        assert uploads(sim) == 3


async def test_a_refused_upload_refuses_its_job_alone_in_the_hosts_words(cat: Path, tmp_path: Path) -> None:
    """And the same key may be used again."""
    faults = [refuse(400, "File type not supported", form="http", endpoint=UPLOAD, on=1)]
    async with world(faults=faults) as (veo, sim):
        refused = await (await veo.submit("A dog", key="k", image=cat)).finished()
        assert isinstance(refused, Refused)
        assert isinstance(refused.error, errors.UploadFailed)
        assert "File type not supported" in refused.reason
        assert refused.error.http_status == 400
        await veo.generate("A dog", key="k", image=cat)
        assert len(sim.charges) == 1


async def test_an_upload_holds_no_slot_and_nobody_up(cat: Path) -> None:
    """Others are sent while it is slow."""
    async with world(session={"max_in_flight": 1}, faults=[delay(60.0, endpoint=UPLOAD)]) as (veo, _):
        slow = await veo.submit("A dog", image=cat)
        await (await veo.submit("A cat")).accepted()
        assert slow.state is JobState.QUEUED


async def test_a_job_that_waits_for_its_upload_can_be_abandoned(cat: Path) -> None:
    """It is never sent, and another that wants the same picture gets it."""
    async with world(faults=[delay(20.0, endpoint=UPLOAD)]) as (veo, sim):
        one, other = await veo.submit("A dog", image=cat), await veo.submit("A cat", image=cat)
        await asyncio.sleep(1)
        await one.abandon()
        await other
        assert (one.state, uploads(sim), len(sim.charges)) == (JobState.ABANDONED, 1, 1)


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    """Wherever it is cancelled; another that waits for the same upload is not disturbed."""
    sim = memory()
    async with session_on(sim) as veo:

        async def nothing_is_left() -> None:
            await let_run()
            assert (await veo.upload(PNG)).url
            assert parts_of(veo).images._uploading == {}
            parts_of(veo).images._cache.clear()

        assert await at_every_await(lambda: veo.upload(PNG), nothing_is_left) >= 2


async def test_a_session_that_is_closed_meanwhile_says_so() -> None:
    """To whoever waits for an upload."""
    sim = memory(faults=[delay(60.0, endpoint=UPLOAD)])
    async with session_on(sim) as veo:
        waiting = asyncio.create_task(veo.upload(PNG))
        await asyncio.sleep(1)
    with pytest.raises(errors.SessionClosed):
        await waiting


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("given", ["path", "bytes"])
async def test_a_later_session_uploads_again_what_a_queued_job_wants(
    cat: Path, tmp_path: Path, kind: str, given: str
) -> None:
    """From its path; bytes stand as their URL."""
    ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "veo.db", executor=InlineExecutor())
    sim = memory(faults=[rate_limited(times=3)])
    async with on(sim, ledger) as first:
        await first.submit("A dog", key="k", image=cat if given == "path" else PNG)
        await let_run()
    before = uploads(sim)
    async with on(sim, ledger) as second:
        job = await second.submit("A dog", key="k", image=cat)
        await job
    assert uploads(sim) == before + (given == "path")
    assert len(sim.charges) == 1
    assert all(url.startswith("https://") for urls in sent_images(sim) for url in urls)


async def test_upload_gives_the_url() -> None:
    """Of bytes, and of a URL that the provider fetches itself."""
    async with world() as (veo, sim):
        brought = await veo.upload(PNG)
        assert brought.sha256 is not None
        assert brought.url.endswith(f"{brought.sha256}.png")
        assert brought.expires_at is not None
        fetched = await veo.upload("https://example.com/cat.png")
        assert fetched.sha256 is None
        assert [call.endpoint for call in sim.requests] == [UPLOAD, "file-url-upload"]


async def test_a_provider_without_uploads_takes_urls_only(cat: Path) -> None:
    """Said before anything is queued."""
    async with world(session={"provider": "apikley"}, dialect="apikley") as (veo, _):
        with pytest.raises(errors.UnsupportedByProvider):
            await veo.submit("A dog", image=cat)


UPLOAD = "file-stream-upload"


async def test_a_deadline_that_passes_during_the_upload(cat: Path) -> None:
    """Not sent in time means never sent, whatever it waited for."""
    async with world(faults=[delay(100, endpoint=UPLOAD)]) as (veo, sim):
        outcome = await (await veo.submit("A dog", image=cat, send_within=50)).finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.DeadlineExceeded)
        assert not sim.charges


async def test_an_upload_that_lives_for_half_an_hour_is_renewed_in_time(cat: Path) -> None:
    """By what the host says; of so short a life a quarter is kept back."""
    slow = {"rate": (1, 7200.0)}
    async with world(upload_form="quickstart", upload_ttl_s=1800.0, session=slow) as (veo, sim):
        jobs = [await veo.submit(f"Dog {n}", image=cat) for n in range(2)]
        assert [type(await job.finished()) for job in jobs] == [Done, Done]
        assert sim.count(UPLOAD) > 1


async def test_an_upload_that_has_expired_already_is_not_renewed_without_a_pause(
    cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer that fires early, or a host whose clock is wrong, makes each upload due again at once."""
    calls = 0

    async def get_url(self: Images, image: LocalImage) -> tuple[str, float]:
        nonlocal calls
        calls += 1
        if calls > 100:
            raise errors.UploadFailed("this would never end")
        return "https://files.example/cat.png", now()

    monkeypatch.setattr(Images, "get_url", get_url)
    async with world(session={"rate": (1, 100.0)}, rate=(1, 100.0)) as (veo, _):
        await veo.submit("A fox", image=cat)
        job = await veo.submit("A dog", image=cat)
        await asyncio.sleep(60)
        assert job.state is JobState.QUEUED
        assert calls <= 2 + 60 / MIN_RENEWAL_INTERVAL_S
        await job


async def test_the_uploads_of_a_sent_job_are_not_renewed(cat: Path) -> None:
    """Its timer ends with the request."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog", image=cat)
        live = engine_of(veo).registry.by_key[job.key]
        await asyncio.sleep(0)
        await job.accepted()
        assert live not in engine_of(veo).uploads
        await asyncio.sleep(2 * 86400)
        assert uploads(sim) == 1


async def test_a_key_that_was_rotated_before_the_upload(cat: Path) -> None:
    """The provider of keys is asked for another one, as for a creation."""
    keys = iter(["sim-old", "sim-new"])
    sim = memory(api_key="sim-new")

    async def ask() -> str:
        return next(keys)

    async with session_on(sim, api_key=ask) as veo:
        assert isinstance(await (await veo.submit("A dog", image=cat)).finished(), Done)


async def test_an_upload_host_that_is_broken_for_a_while_is_waited_out(cat: Path) -> None:
    """It costs nothing to ask again, and the job has lost nothing but time."""
    async with world(faults=[refuse(500, "down", form="http", endpoint=UPLOAD, times=10)]) as (veo, sim):
        assert isinstance(await (await veo.submit("A dog", image=cat)).finished(), Done)
        assert len(sim.charges) == 1


async def test_an_upload_host_that_stays_broken_refuses_the_job(cat: Path) -> None:
    """After a quarter of an hour and more, with the host's words; nothing was sent."""
    async with world(faults=[refuse(500, "down", form="http", endpoint=UPLOAD)]) as (veo, sim):
        outcome = await (await veo.submit("A dog", image=cat)).finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.UploadFailed)
        assert "down" in outcome.reason
        assert not sim.charges


async def test_a_job_that_waits_for_its_upload_says_so(cat: Path) -> None:
    """Not sent, and in no queue: who listens is told what it waits for."""
    async with world(faults=[delay(30, endpoint=UPLOAD)]) as (veo, _):
        job = await veo.submit("A dog", image=cat)
        await asyncio.sleep(5)
        assert await anext(job.events()) == Paused(job.key, "waiting-for-upload")
        assert isinstance(await job.finished(), Done)
