"""Images from files and bytes: checked early, uploaded once per content, and renewed before they expire."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.internals import engine_of, forget_uploads, uploads_in_flight
from veo_async import VideoRequest, errors
from veo_async._ports import Ledger
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.events import Paused
from veo_async._runtime.job.outcome import Done, Refused
from veo_async._runtime.queued.image_uploads import MIN_RENEWAL_INTERVAL_S
from veo_async._runtime.queued.images import Images, inspect_image
from veo_async._wire.images import LocalImage
from veo_async.simulator import MemoryTransport, delay, rate_limited, refuse

from .ledgers import session_with_ledger
from .support import at_every_await, let_run, memory, now, session_on, world

pytestmark = pytest.mark.veo_virtual_time

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff\xe0" + bytes(64)
WEBP = b"RIFF\x10\0\0\0WEBPVP8 " + bytes(16)
UPLOAD = "file-stream-upload"


def uploads(sim: MemoryTransport) -> int:
    """Return how many files were uploaded."""
    return len([call for call in sim.requests if call.endpoint == UPLOAD])


def sent_images(sim: MemoryTransport) -> list[list[str]]:
    """Return the image URLs of every submission."""
    return [call.body.get("imageUrls", []) for call in sim.requests if call.endpoint == "generate"]


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    return path


@pytest.mark.parametrize(
    ("content", "ending"), [(PNG, "png"), (JPEG, "jpg"), (WEBP, "webp")], ids=["png", "jpeg", "webp"]
)
async def test_file_is_uploaded_under_its_content_hash_and_its_url_is_sent(
    tmp_path: Path, content: bytes, ending: str
) -> None:
    """The file's name and path stay private, and its type comes from its content."""
    path = tmp_path / "my secret.txt"
    path.write_bytes(content)
    async with world() as (veo, sim):
        await veo.generate("A dog", image=path)
        [[url]] = sent_images(sim)
        assert url.startswith("https://")
        assert url.endswith(f".{ending}")
        assert "secret" not in str([call.content for call in sim.requests])


async def test_fifty_jobs_with_one_image_share_one_upload(cat: Path, tmp_path: Path) -> None:
    """The image lies in two folders, and all jobs are submitted together."""
    twin = tmp_path / "twin.jpeg"
    twin.write_bytes(PNG)
    async with world() as (veo, sim):
        outcomes = await veo.gather(*(VideoRequest(f"Dog {n}", image_urls=[[cat, twin][n % 2]]) for n in range(50)))
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert uploads(sim) == 1
        assert len(sim.charges) == 50


async def test_same_image_from_another_source_is_the_same_job(cat: Path, tmp_path: Path) -> None:
    """As a path, as a copy and as bytes; another image is another job."""
    twin = tmp_path / "other"
    twin.write_bytes(PNG)
    async with world() as (veo, sim):
        first = await veo.submit("A dog", image=str(cat))
        for again in (twin, PNG):
            assert (await veo.submit("A dog", image=again)).key == first.key
        assert (await veo.submit("A dog", image=JPEG)).key != first.key
        await veo.drain()
        assert len(sim.charges) == 2


async def test_changed_file_under_the_same_key_is_rejected(cat: Path) -> None:
    """The file name is the same, but the image is not."""
    async with world() as (veo, _):
        # Before the upload, the changed file would refuse the job, and the key of a refused job may be used again.
        await (await veo.submit("A dog", key="k", image=cat)).accepted()
        cat.write_bytes(JPEG)
        with pytest.raises(errors.KeyReused):
            await veo.submit("A dog", key="k", image=cat)


async def refusal(veo: Any, image: Any) -> str:
    """Return the message of the error for a request with *image*."""
    with pytest.raises(errors.InvalidRequest) as caught:
        await veo.submit("A dog", image=image)
    assert veo.jobs() == []
    return str(caught.value)


async def test_unusable_image_is_rejected_before_anything_is_queued(tmp_path: Path) -> None:
    """Wrong types and sizes, hostile names, a folder, and a pipe, which must not block."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    async with world() as (veo, sim):
        assert "not a regular file" in await refusal(veo, tmp_path / "pipe")
        assert "is a folder" in await refusal(veo, tmp_path)
        for name in ("../../x.png", "a\0b.png", "x" * 300 + ".png", str(tmp_path / "loop"), ""):
            assert "image=" in await refusal(veo, name)
        for content, problem in (
            (b"", "is empty"),
            (b"GIF89a....", "is a GIF"),
            (b"\0\0\0\x18ftypisom", "is a video"),
            (b"<!DOCTYPE html>", "is a web page"),
            (b"hello", "is of an unknown type"),
            (PNG + bytes(10 * 1024**2), "larger than 10 MiB"),
        ):
            (tmp_path / "file.png").write_bytes(content)
            assert problem in await refusal(veo, tmp_path / "file.png")
            assert problem in await refusal(veo, content)
        assert sim.requests == ()


def test_unreadable_file_is_rejected_with_the_reason(cat: Path) -> None:
    """Root can read every file, so the test runs as another user then."""
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
async def test_url_that_the_provider_cannot_reach_is_rejected(url: str) -> None:
    """The error is raised before anything is queued."""
    async with world() as (veo, _):
        with pytest.raises(errors.InvalidRequest):
            await veo.submit("A dog", image=url)
        assert veo.jobs() == []


async def test_file_that_changes_or_disappears_before_its_upload_refuses_its_job(cat: Path, tmp_path: Path) -> None:
    """The job is never sent, and no other job is affected."""
    gone = tmp_path / "gone.png"
    gone.write_bytes(WEBP)
    others = [tmp_path / f"other-{n}.png" for n in range(4)]
    for n, other in enumerate(others):
        other.write_bytes(PNG + bytes([n]))
    # Four slow uploads occupy all workers, so the other two files are read again only after the change.
    async with world(faults=[delay(20.0, endpoint=UPLOAD, times=4)]) as (veo, sim):
        jobs = [await veo.submit("A dog", key=path.stem, image=path) for path in (*others, cat, gone)]
        cat.write_bytes(JPEG)
        gone.unlink()
        *done, changed, lost = [await job.finished() for job in jobs]
        assert all(isinstance(outcome, Done) for outcome in done)
        assert isinstance(changed, Refused)
        assert isinstance(lost, Refused)
        assert "has changed since" in changed.detail
        assert "No such file" in lost.detail
        assert len(sim.charges) == 4


@pytest.mark.parametrize("form", ["real", "quickstart"])
async def test_upload_that_expires_while_its_job_waits_is_renewed(cat: Path, form: str) -> None:
    """In both forms of the upload response; the job is sent with the renewed URL."""
    life_s = 3 * 86400 if form == "quickstart" else 86400
    faults = [refuse(402, "no credits", on=1)]
    async with world(upload_form=form, upload_ttl_s=float(life_s), faults=faults) as (veo, sim):
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


async def test_upload_is_reused_until_it_expires(cat: Path) -> None:
    """A job after 22 hours reuses it, one after 23 hours uploads again."""
    async with world() as (veo, sim):
        await veo.generate("A dog", image=cat)
        await asyncio.sleep(22 * 3600)
        await veo.generate("A cat", image=cat)
        assert uploads(sim) == 1
        await asyncio.sleep(3600)
        await veo.generate("A fox", image=cat)
        assert uploads(sim) == 2


async def test_upload_is_retried_like_a_read(cat: Path) -> None:
    """The upload host answers 500 twice."""
    async with world(faults=[refuse(500, "Internal server error", form="http", endpoint=UPLOAD, times=2)]) as (
        veo,
        sim,
    ):
        await veo.generate("A dog", image=cat)
        assert uploads(sim) == 3


async def test_refused_upload_refuses_its_job_with_the_hosts_message(cat: Path, tmp_path: Path) -> None:
    """Other jobs continue, and the same key may be used again."""
    faults = [refuse(400, "File type not supported", form="http", endpoint=UPLOAD, on=1)]
    async with world(faults=faults) as (veo, sim):
        refused = await (await veo.submit("A dog", key="k", image=cat)).finished()
        assert isinstance(refused, Refused)
        assert isinstance(refused.error, errors.UploadFailed)
        assert "File type not supported" in refused.detail
        assert refused.error.http_status == 400
        await veo.generate("A dog", key="k", image=cat)
        assert len(sim.charges) == 1


async def test_upload_occupies_no_slot(cat: Path) -> None:
    """Other jobs are sent while the upload is slow."""
    async with world(session={"max_in_flight": 1}, faults=[delay(60.0, endpoint=UPLOAD)]) as (veo, _):
        slow = await veo.submit("A dog", image=cat)
        await (await veo.submit("A cat")).accepted()
        assert slow.state is JobState.QUEUED


async def test_job_waiting_for_its_upload_can_be_abandoned(cat: Path) -> None:
    """It is never sent, and another job with the same image uses the upload."""
    async with world(faults=[delay(20.0, endpoint=UPLOAD)]) as (veo, sim):
        one, other = await veo.submit("A dog", image=cat), await veo.submit("A cat", image=cat)
        await asyncio.sleep(1)
        await one.abandon()
        await other
        assert (one.state, uploads(sim), len(sim.charges)) == (JobState.ABANDONED, 1, 1)


async def test_cancelled_upload_leaks_nothing() -> None:
    """Cancelled at every await; the next upload of the same image works."""
    sim = memory()
    async with session_on(sim) as veo:

        async def check_nothing_is_left() -> None:
            await let_run()
            assert (await veo.upload(PNG)).url
            assert not uploads_in_flight(veo)
            forget_uploads(veo)

        assert await at_every_await(lambda: veo.upload(PNG), check_nothing_is_left) >= 2


async def test_upload_in_a_closed_session_raises_session_closed() -> None:
    """The caller that waits for the upload gets the error."""
    sim = memory(faults=[delay(60.0, endpoint=UPLOAD)])
    async with session_on(sim) as veo:
        waiting = asyncio.create_task(veo.upload(PNG))
        await asyncio.sleep(1)
    with pytest.raises(errors.SessionClosed):
        await waiting


@pytest.mark.parametrize("given", ["path", "bytes"])
async def test_later_session_uploads_the_images_of_queued_jobs_again(cat: Path, ledger: Ledger, given: str) -> None:
    """From their paths; bytes are on the ledger as the URL of their upload."""
    sim = memory(faults=[rate_limited(times=3)])
    async with session_with_ledger(sim, ledger) as first:
        await first.submit("A dog", key="k", image=cat if given == "path" else PNG)
        await let_run()
    before = uploads(sim)
    async with session_with_ledger(sim, ledger) as second:
        job = await second.submit("A dog", key="k", image=cat)
        await job
    assert uploads(sim) == before + (given == "path")
    assert len(sim.charges) == 1
    assert all(url.startswith("https://") for urls in sent_images(sim) for url in urls)


async def test_upload_returns_the_url() -> None:
    """For bytes, and for a URL that the provider fetches itself."""
    async with world() as (veo, sim):
        uploaded = await veo.upload(PNG)
        assert uploaded.sha256 is not None
        assert uploaded.url.endswith(f"{uploaded.sha256}.png")
        assert uploaded.expires_at is not None
        fetched = await veo.upload("https://example.com/cat.png")
        assert fetched.sha256 is None
        assert [call.endpoint for call in sim.requests] == [UPLOAD, "file-url-upload"]


async def test_provider_without_uploads_accepts_urls_only(cat: Path) -> None:
    """The error is raised before anything is queued."""
    async with world(session={"provider": "apikley"}, dialect="apikley") as (veo, _):
        with pytest.raises(errors.UnsupportedByProvider):
            await veo.submit("A dog", image=cat)


async def test_deadline_that_passes_during_the_upload_refuses_the_job(cat: Path) -> None:
    """A job that was not sent in time is never sent, whatever it waited for."""
    async with world(faults=[delay(100, endpoint=UPLOAD)]) as (veo, sim):
        outcome = await (await veo.submit("A dog", image=cat, send_within=50)).finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.DeadlineExceeded)
        assert not sim.charges


async def test_upload_that_lives_half_an_hour_is_renewed_in_time(cat: Path) -> None:
    """The host states the lifetime; a quarter of so short a one is kept as a margin."""
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


async def test_rotated_key_is_renewed_during_an_upload(cat: Path) -> None:
    """The key provider is called again, as for a generation."""
    keys = iter(["sim-old", "sim-new"])
    sim = memory(api_key="sim-new")

    async def next_key() -> str:
        return next(keys)

    async with session_on(sim, api_key=next_key) as veo:
        assert isinstance(await (await veo.submit("A dog", image=cat)).finished(), Done)


async def test_upload_survives_a_temporary_outage_of_the_host(cat: Path) -> None:
    """Retrying an upload is free, so the job only waits."""
    async with world(faults=[refuse(500, "down", form="http", endpoint=UPLOAD, times=10)]) as (veo, sim):
        assert isinstance(await (await veo.submit("A dog", image=cat)).finished(), Done)
        assert len(sim.charges) == 1


async def test_upload_host_that_stays_broken_refuses_the_job(cat: Path) -> None:
    """After more than a quarter of an hour, with the host's message; nothing was sent."""
    async with world(faults=[refuse(500, "down", form="http", endpoint=UPLOAD)]) as (veo, sim):
        outcome = await (await veo.submit("A dog", image=cat)).finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.UploadFailed)
        assert "down" in outcome.detail
        assert not sim.charges


async def test_job_waiting_for_its_upload_is_reported_as_paused(cat: Path) -> None:
    """Its events name the upload as the reason."""
    async with world(faults=[delay(30, endpoint=UPLOAD)]) as (veo, _):
        job = await veo.submit("A dog", image=cat)
        await asyncio.sleep(5)
        assert await anext(job.events()) == Paused(job.key, "waiting-for-upload")
        assert isinstance(await job.finished(), Done)
