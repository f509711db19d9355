"""Rows 73 and 74: links that expire, bytes that break off, and hosts that lie about what they send."""

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


async def test_expired_link_is_renewed_and_the_download_goes_on(tmp_path: Path) -> None:
    """Row 73: half a clip, 403, a fresh link with another name, and the other half."""
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


async def test_other_bytes_behind_the_fresh_link_begin_again(tmp_path: Path) -> None:
    """Row 73: another ETag is another file; the half that was there is not mixed into it."""
    faults = [truncate(at=HALF, endpoint="download", on=1), expired_link(on=2)]
    other = BIG + bytes([0, 0, 0, 8]) + b"free"
    async with Simulator(faults=faults) as sim, saver() as downloads:
        fresh = sim_clip(sim, "fresh.mp4", other, etag='"v2"')

        async def renew() -> Sequence[str]:
            return [fresh]

        (saved,) = await downloads.save([sim_clip(sim, "old.mp4")], tmp_path, name="d", renew=renew)
    assert saved.path.read_bytes() == other


async def test_links_are_renewed_three_times_at_most(tmp_path: Path) -> None:
    """Row 73: then it is told, without the signature."""
    asked = 0
    async with Simulator(faults=[expired_link()]) as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4")

        async def renew() -> Sequence[str]:
            nonlocal asked
            asked += 1
            return [url]

        with pytest.raises(DownloadFailed, match="expired") as caught:
            await downloads.save([url], tmp_path, name="d", renew=renew)
    assert asked == 3
    assert caught.value.http_status == 403
    assert "SECRET" not in str(caught.value)


async def test_files_of_one_clip_are_renewed_together(tmp_path: Path) -> None:
    """Row 73: four links expire at once, and one question answers for all."""
    asked = 0
    async with Simulator() as sim, saver() as downloads:
        old = [sim_clip(sim, f"old{n}.mp4", ttl_s=0) for n in range(4)]
        fresh = [sim_clip(sim, f"new{n}.mp4") for n in range(4)]

        async def renew() -> Sequence[str]:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.01)
            return fresh

        await downloads.save(old, tmp_path, name="d", renew=renew)
    assert asked == 1
    assert len(list(tmp_path.glob("*.mp4"))) == 4


async def test_what_stands_in_the_way_of_renewal_is_told(tmp_path: Path) -> None:
    """Row 73: the provider's answer is the cause; and fewer links than files are no links."""

    async def gone() -> Sequence[str]:
        raise NotFound("no such task")

    async def none() -> Sequence[str]:
        return []

    async with Simulator() as sim, saver() as downloads:
        url = sim_clip(sim, "x.mp4", ttl_s=0)
        with pytest.raises(DownloadFailed, match="could not be renewed") as caught:
            await downloads.save([url], tmp_path, name="d", renew=gone)
        with pytest.raises(DownloadFailed, match="0 came"):
            await downloads.save([url], tmp_path, name="d", renew=none)
    assert isinstance(caught.value.__cause__, NotFound)


async def test_an_error_of_the_callers_own_leaves_as_itself(tmp_path: Path) -> None:
    """Row 73: what ``renew`` raises beyond our errors is not wrapped in a group."""

    async def broken() -> Sequence[str]:
        raise ZeroDivisionError

    async with Simulator() as sim, saver() as downloads:
        urls = [sim_clip(sim, f"{n}.mp4", ttl_s=0) for n in range(2)]
        with pytest.raises(ZeroDivisionError):
            await downloads.save(urls, tmp_path, name="d", renew=broken)


@pytest.mark.parametrize(
    ("faults", "asked"),
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
        ([rate_limited(retry_after=0, endpoint="download", on=1)], [None, None]),
    ],
    ids=[
        "truncated",
        "reset in the middle",
        "wrong length",
        "no length",
        "200 to a range",
        "range lies about its start",
        "range lies about the total",
        "416 to a range",
        "the rest of another version",
        "416 to no range",
        "truncated twice",
        "503",
        "429",
    ],
)
async def test_lies_and_breaks_are_overcome(
    faults: list[Fault], asked: list[int | None] | None, tmp_path: Path
) -> None:
    """Row 74: resumed where that is safe, begun again where it is not, and byte for byte right in the end."""
    async with Simulator(faults=faults) as sim, saver() as downloads:
        (saved,) = await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        if asked is not None:
            assert ranges(sim) == [None if each is None else f"bytes={each}-" for each in asked]
        assert sim.triggered_faults
    assert saved.path.read_bytes() == BIG
    assert saved.sha256 == hashlib.sha256(BIG).hexdigest()
    assert left_over(tmp_path) == []


async def test_416_may_mean_that_all_is_there(tmp_path: Path) -> None:
    """Row 74: a body without a length breaks off at its very end; the host says there is no more, and it is true."""
    head = b'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n'
    cut = head + b"%x\r\n" % len(WHOLE) + WHOLE  # and no last chunk
    beyond = (
        b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n"
        + f"Content-Range: bytes */{len(WHOLE)}\r\n\r\n".encode()
    )
    seen: list[bytes] = []
    async with raw_server(serving(cut, beyond, seen=seen)) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert saved.path.read_bytes() == WHOLE
    assert f"bytes={len(WHOLE)}-".encode() in seen[1]
    assert b'If-Range: "v"' in seen[1]


async def test_a_later_run_goes_on(tmp_path: Path) -> None:
    """Row 74: what one run got, the next need not ask for again; nothing but the two files is left then."""
    never = attrs.evolve(QUICK, max_attempts=1)
    async with Simulator(faults=[truncate(at=HALF, endpoint="download", on=1)]) as sim:
        url = sim_clip(sim, "x.mp4")
        async with saver(bounds=never) as downloads:
            with pytest.raises(DownloadFailed, match="broke off"):
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


async def test_a_part_of_another_clip_is_left_alone(tmp_path: Path) -> None:
    """Row 74: the same name, another task: its bytes are neither used nor thrown away."""
    never = attrs.evolve(QUICK, max_attempts=1)
    async with Simulator(faults=[truncate(at=HALF, endpoint="download", on=1)]) as sim:
        async with saver(bounds=never) as downloads:
            with pytest.raises(DownloadFailed):
                await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d", metadata={"task_id": "one"})
        other = sim_clip(sim, "y.mp4", WHOLE)
        async with saver() as downloads:
            (saved,) = await downloads.save([other], tmp_path, name="d", metadata={"task_id": "two"})
    assert saved.path.read_bytes() == WHOLE
    assert left_over(tmp_path) == ["json", "part"]


@pytest.mark.parametrize("when", [1, 2])
async def test_a_cancelled_download_leaves_nothing_that_looks_finished(when: int, tmp_path: Path) -> None:
    """Row 74: only the part, and a later call goes on with it."""
    arrived = asyncio.Event()

    async def behave(visit: Visit) -> None:
        await visit.read_head()
        if when == 2:
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
    assert left_over(tmp_path) == ([] if when == 1 else ["json", "part"])


async def test_last_modified_ties_the_rest_only_to_the_same_link(tmp_path: Path) -> None:
    """Row 74: without a strong ETag, the same date, the same length and the same address are needed."""
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


async def test_an_unasked_part_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    """Row 74: 206 where no range was asked for."""
    part = video(WHOLE[20:], status="206 Partial Content", headers=("Content-Range: bytes 20-30/40",))
    async with raw_server(serving(part, video())) as server, saver() as downloads:
        (saved,) = await downloads.save([f"{server.url}/x"], tmp_path, name="d")
    assert saved.path.read_bytes() == WHOLE
