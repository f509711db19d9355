"""Expired links are renewed, interrupted downloads resumed, and wrong responses detected (rows 73 and 74)."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from tests.edges.raw_server import Visit, raw_server
from veo_async.errors import DownloadFailed, NotFound
from veo_async.simulator import (
    Fault,
    Simulator,
    changed_file,
    expired_link,
    ignored_range,
    range_not_satisfiable,
    rate_limited,
    refuse,
    reset_connection,
    truncate,
    wrong_length,
    wrong_range,
)

from .support import BIG, QUICK, WHOLE, left_over, saver, serving, sim_clip, video

HALF = len(BIG) // 2


def ranges(sim: Simulator) -> list[str | None]:
    return [seen.headers.get("range") for seen in sim.requests_to("download")]


async def test_expired_link_is_renewed_and_the_download_resumed(tmp_path: Path) -> None:
    """The first half comes from the old link, the second half from a fresh link with another path."""
    faults = [truncate(at=HALF, endpoint="download", on=1), expired_link(on=2)]
    async with Simulator(faults=faults) as sim, saver() as downloads:
        fresh = sim_clip(sim, "fresh.mp4")

        async def renew() -> Sequence[str]:
            return [fresh]

        (saved,) = await downloads.save([sim_clip(sim, "old.mp4")], tmp_path, name="d", renew=renew)
        assert ranges(sim) == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
        assert not [seen for seen in sim.requests_to("download") if seen.has_key]
    assert saved.path.read_bytes() == BIG
    assert saved.sha256 == hashlib.sha256(BIG).hexdigest()
    assert left_over(tmp_path) == []


async def test_fresh_link_to_another_version_restarts_the_download(tmp_path: Path) -> None:
    """If the ETag differs, the bytes of the two versions are not mixed."""
    faults = [truncate(at=HALF, endpoint="download", on=1), expired_link(on=2)]
    other = BIG + bytes([0, 0, 0, 8]) + b"free"
    async with Simulator(faults=faults) as sim, saver() as downloads:
        fresh = sim_clip(sim, "fresh.mp4", other, etag='"v2"')

        async def renew() -> Sequence[str]:
            return [fresh]

        (saved,) = await downloads.save([sim_clip(sim, "old.mp4")], tmp_path, name="d", renew=renew)
    assert saved.path.read_bytes() == other


async def test_links_are_renewed_at_most_three_times(tmp_path: Path) -> None:
    """Then the download fails, with an error that does not contain the signature."""
    renewals = 0
    async with Simulator(faults=[expired_link()]) as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")

        async def renew() -> Sequence[str]:
            nonlocal renewals
            renewals += 1
            return [url]

        with pytest.raises(DownloadFailed, match="expired") as caught:
            await downloads.save([url], tmp_path, name="d", renew=renew)
    assert renewals == 3
    assert caught.value.http_status == 403
    assert "SECRET" not in str(caught.value)


async def test_files_of_one_clip_are_renewed_together(tmp_path: Path) -> None:
    """Four links that expire together are renewed by one call."""
    renewals = 0
    async with Simulator() as sim, saver() as downloads:
        old = [sim_clip(sim, f"old{n}.mp4", ttl_s=0) for n in range(4)]
        fresh = [sim_clip(sim, f"new{n}.mp4") for n in range(4)]

        async def renew() -> Sequence[str]:
            nonlocal renewals
            renewals += 1
            await asyncio.sleep(0.01)
            return fresh

        await downloads.save(old, tmp_path, name="d", renew=renew)
    assert renewals == 1
    assert len(list(tmp_path.glob("*.mp4"))) == 4


async def test_failed_renewal_is_reported(tmp_path: Path) -> None:
    """The provider's error is the cause. Too few fresh links are an error, too."""

    async def gone() -> Sequence[str]:
        raise NotFound("no such task")

    async def none() -> Sequence[str]:
        return []

    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4", ttl_s=0)
        with pytest.raises(DownloadFailed, match="could not be renewed") as caught:
            await downloads.save([url], tmp_path, name="d", renew=gone)
        with pytest.raises(DownloadFailed, match="returned 0"):
            await downloads.save([url], tmp_path, name="d", renew=none)
    assert isinstance(caught.value.__cause__, NotFound)


async def test_error_of_the_renew_callback_reaches_the_caller_unwrapped(tmp_path: Path) -> None:
    """Other errors than ours that ``renew`` raises are not wrapped in an exception group."""

    async def broken() -> Sequence[str]:
        raise ZeroDivisionError

    async with Simulator() as sim, saver() as downloads:
        urls = [sim_clip(sim, f"{n}.mp4", ttl_s=0) for n in range(2)]
        with pytest.raises(ZeroDivisionError):
            await downloads.save(urls, tmp_path, name="d", renew=broken)


@pytest.mark.parametrize(
    ("faults", "starts"),
    [
        ([truncate(at=HALF, endpoint="download", on=1)], [None, HALF]),
        ([reset_connection("middle", endpoint="download", on=1)], None),
        ([wrong_length(at=HALF, on=1)], [None, None]),
        ([wrong_length(at=0, on=1)], [None, None]),
        ([truncate(at=HALF, endpoint="download", on=1), ignored_range(on=2)], [None, HALF]),
        ([truncate(at=HALF, endpoint="download", on=1), wrong_range("start", on=2)], [None, HALF, None]),
        ([truncate(at=HALF, endpoint="download", on=1), wrong_range("total", on=2)], [None, HALF, None]),
        ([truncate(at=HALF, endpoint="download", on=1), range_not_satisfiable(on=2)], [None, HALF, None]),
        ([truncate(at=HALF, endpoint="download", on=1), changed_file(on=2)], [None, HALF, None]),
        ([range_not_satisfiable(on=1)], [None, None]),
        ([truncate(at=HALF, endpoint="download", on=1), truncate(at=1000, endpoint="download", on=2)], None),
        ([refuse(503, form="http", endpoint="download", on=1)], [None, None]),
        ([rate_limited(retry_after=0, form="http", endpoint="download", on=1)], [None, None]),
    ],
    ids=[
        "truncated",
        "connection reset",
        "wrong length",
        "no length",
        "200 to a range request",
        "wrong start of the range",
        "wrong total of the range",
        "416 to a range request",
        "the rest of another version",
        "416 to a full request",
        "truncated twice",
        "503",
        "429",
    ],
)
async def test_interrupted_or_wrong_response_is_resumed_or_restarted(
    faults: list[Fault], starts: list[int | None] | None, tmp_path: Path
) -> None:
    """The download is resumed where that is safe and restarted otherwise, and the file is correct to the byte."""
    async with Simulator(faults=faults) as sim, saver() as downloads:
        (saved,) = await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        if starts is not None:
            assert ranges(sim) == [None if start is None else f"bytes={start}-" for start in starts]
        assert sim.triggered_faults
    assert saved.path.read_bytes() == BIG
    assert saved.sha256 == hashlib.sha256(BIG).hexdigest()
    assert left_over(tmp_path) == []


async def test_416_at_our_length_means_the_file_is_complete(tmp_path: Path) -> None:
    """A body without a length breaks off after its last byte, and the server has no more bytes to send."""
    head = b'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n'
    cut = head + b"%x\r\n" % len(WHOLE) + WHOLE  # the last chunk is missing
    no_more = (
        b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n"
        + f"Content-Range: bytes */{len(WHOLE)}\r\n\r\n".encode()
    )
    seen: list[bytes] = []
    async with raw_server(serving(cut, no_more, seen=seen)) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert saved.path.read_bytes() == WHOLE
    assert f"bytes={len(WHOLE)}-".encode() in seen[1]
    assert b'If-Range: "v"' in seen[1]


async def test_later_run_resumes_the_download(tmp_path: Path) -> None:
    """A later run requests only the missing bytes, and leaves only the video and its sidecar."""
    never = attrs.evolve(QUICK, max_attempts=1)
    async with Simulator(faults=[truncate(at=HALF, endpoint="download", on=1)]) as sim:
        url = sim_clip(sim, "x.mp4")
        async with saver(limits=never) as downloads:
            with pytest.raises(DownloadFailed, match="interrupted"):
                await downloads.save([url], tmp_path, name="d")
        assert left_over(tmp_path) == ["json", "part"]
        part = next(tmp_path.glob(".*.part"))
        assert part.read_bytes() == BIG[:HALF]
        assert part.stat().st_mode & 0o777 == 0o600
        assert "SECRET" not in part.with_name(part.name + ".json").read_text()
        async with saver() as downloads:
            (saved,) = await downloads.save([url], tmp_path, name="d")
        assert ranges(sim) == [None, f"bytes={HALF}-"]
    assert saved.path.read_bytes() == BIG
    assert left_over(tmp_path) == []


async def test_partial_file_of_another_clip_is_left_alone(tmp_path: Path) -> None:
    """The bytes of a clip with the same name and another task id are neither used nor deleted."""
    never = attrs.evolve(QUICK, max_attempts=1)
    async with Simulator(faults=[truncate(at=HALF, endpoint="download", on=1)]) as sim:
        async with saver(limits=never) as downloads:
            with pytest.raises(DownloadFailed):
                await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d", metadata={"task_id": "one"})
        other = sim_clip(sim, "y.mp4", WHOLE)
        async with saver() as downloads:
            (saved,) = await downloads.save([other], tmp_path, name="d", metadata={"task_id": "two"})
    assert saved.path.read_bytes() == WHOLE
    assert left_over(tmp_path) == ["json", "part"]


@pytest.mark.parametrize("has_data", [False, True])
async def test_cancelled_download_leaves_at_most_a_partial_file(has_data: bool, tmp_path: Path) -> None:
    """No file gets a final name, and received bytes are kept for a later run."""
    arrived = asyncio.Event()

    async def behave(visit: Visit) -> None:
        await visit.read_head()
        if has_data:
            head = f'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Type: video/mp4\r\nContent-Length: {len(BIG)}\r\n\r\n'
            await visit.send(head.encode() + BIG[:HALF])
        arrived.set()
        await visit.reader.read()

    async with raw_server(behave) as server, saver() as downloads:
        saving = asyncio.create_task(downloads.save([f"{server.url}/x"], tmp_path, name="d"))
        await arrived.wait()
        await asyncio.sleep(0.05)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
    assert not list(tmp_path.glob("*.mp4"))
    assert left_over(tmp_path) == (["json", "part"] if has_data else [])


async def test_last_modified_is_enough_to_resume_from_the_same_link(tmp_path: Path) -> None:
    """Without a strong ETag, a download is resumed if the date, the length and the URL are the same."""
    day = "Last-Modified: Mon, 05 Jan 2026 10:00:00 GMT"
    weak = 'ETag: W/"v"'
    first = f"HTTP/1.1 200 OK\r\n{day}\r\n{weak}\r\nContent-Length: {len(WHOLE)}\r\n\r\n".encode() + WHOLE[:20]
    rest = video(
        WHOLE[20:],
        status="206 Partial Content",
        headers=(day, f"Content-Range: bytes 20-{len(WHOLE) - 1}/{len(WHOLE)}"),
    )
    seen: list[bytes] = []
    async with raw_server(serving(first, rest, seen=seen)) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert b"If-Range: Mon, 05 Jan 2026 10:00:00 GMT" in seen[1]
    assert saved.path.read_bytes() == WHOLE


async def test_partial_response_to_a_full_request_is_rejected(tmp_path: Path) -> None:
    """A 206 is not accepted if no range was requested."""
    part = video(WHOLE[20:], status="206 Partial Content", headers=("Content-Range: bytes 20-30/40",))
    async with raw_server(serving(part, video())) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert saved.path.read_bytes() == WHOLE
