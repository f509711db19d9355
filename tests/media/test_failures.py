"""Responses that are not videos are rejected, and every download has limits (rows 75 and 78)."""

import asyncio
from pathlib import Path

import attrs
import pytest

from tests.edges.raw_server import Behaviour, Visit, http, raw_server
from veo_async.errors import DownloadFailed
from veo_async.media import DownloadLimits
from veo_async.media.failures import Advice, AttemptFailed
from veo_async.media.limits import SpeedMonitor
from veo_async.media.retrying import RetryAction, RetryPolicy, backoff
from veo_async.simulator import Simulator, corrupt_body, endless_body, gzip_bomb, html_page, not_mp4, refuse, slow_body

from .support import BIG, QUICK, WHOLE, left_over, saver, serving, sim_clip, video
from .test_mp4 import box

JSON = b'{"code":404,"msg":"gone"}'


@pytest.mark.parametrize(
    ("response", "reason", "remaining"),
    [
        (http(b"<html>sign in</html>", headers=("Content-Type: text/html",)), "received text/html", []),
        (http(JSON, headers=("Content-Type: application/json; charset=utf-8",)), "received application/json", []),
        (http(b"<html>sign in</html>"), "not a complete MP4", ["json", "part"]),
        (http(JSON, headers=("Content-Type: video/mp4",)), "not a complete MP4", ["json", "part"]),
        (video(b""), "not a complete MP4", []),
        (video(WHOLE[:-1]), "not a complete MP4", ["json", "part"]),
        (video(box(b"moov") + box(b"mdat")), "start with an ftyp box", ["json", "part"]),
        (video(box(b"ftyp") + box(b"mdat")), "no moov", ["json", "part"]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + WHOLE, "interrupted", ["json", "part"]),
        (video(headers=("Content-Encoding: gzip",)), "compressed", []),
        (http(b"no", status="403 Forbidden"), "expired", []),
        (http(b"no", status="418 I'm a teapot"), "refused the download", []),
        (http(b"", status="302 Found"), "without a target", []),
        (b"nonsense\r\n\r\n", "interrupted", []),
    ],
    ids=[
        "HTML", "JSON", "HTML without a type", "JSON as a video", "0 bytes", "one byte short", "no ftyp", "no moov",
        "interrupted", "compressed", "expired", "other status", "redirect without a target", "not HTTP",
    ],
)  # fmt: skip
async def test_response_that_is_not_a_video_is_rejected(
    response: bytes, reason: str, remaining: list[str], tmp_path: Path
) -> None:
    """An existing file is not changed, and the received bytes are kept in a partial file."""
    target = tmp_path / "dog.mp4"
    target.write_bytes(b"older")
    async with raw_server(serving(response)) as server, saver(overwrite=True) as downloads:
        with pytest.raises(DownloadFailed, match=reason) as caught:
            await downloads.save([f"{server.url}/v/1.mp4?sig=SECRET"], target, name="dog")
    assert caught.value.retryable
    assert "SECRET" not in str(caught.value)
    assert target.read_bytes() == b"older"
    assert left_over(tmp_path) == remaining
    assert not (tmp_path / "dog.json").exists()


async def test_download_is_retried_after_wrong_responses(tmp_path: Path) -> None:
    """A web page, random bytes, a compressed body and a JSON error are each followed by another attempt."""
    faults = [
        html_page(endpoint="download", on=1),
        not_mp4(on=2),
        corrupt_body("gzip", endpoint="download", on=3),
        not_mp4("json", on=4),
    ]
    async with Simulator(faults=faults) as sim, saver() as downloads:
        (saved,) = await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        assert len(sim.triggered_faults) == 4
    assert saved.path.read_bytes() == BIG


async def test_video_without_index_is_rejected(tmp_path: Path) -> None:
    """After five attempts the download fails, and the received bytes are kept in a partial file."""
    async with Simulator(faults=[not_mp4("no-moov")]) as sim, saver() as downloads:
        with pytest.raises(DownloadFailed, match="no moov box"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        assert len(sim.requests_to("download")) == 5
    assert left_over(tmp_path) == ["json", "part"]


async def test_web_page_makes_the_saver_renew_the_link(tmp_path: Path) -> None:
    """A web page instead of a video is treated like an expired link."""
    async with Simulator() as sim, saver() as downloads:
        fresh = sim_clip(sim, "x.mp4")

        async def renew() -> list[str]:
            return [fresh]

        page = http(b"<html>", headers=("Content-Type: text/html",))
        async with raw_server(serving(page)) as server:
            await downloads.save([f"{server.url}/x"], tmp_path, name="d", renew=renew)
    assert (tmp_path / "d.mp4").read_bytes() == BIG


async def test_endless_body_is_stopped_at_the_size_limit(tmp_path: Path) -> None:
    """The received bytes are deleted."""
    small = attrs.evolve(QUICK, max_bytes=3_000_000)
    async with Simulator(faults=[endless_body(endpoint="download")]) as sim, saver(limits=small) as downloads:
        with pytest.raises(DownloadFailed, match="larger than 3000000"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 3000000000\r\n\r\n",
    ],
)
async def test_body_announced_above_the_size_limit_is_not_read(response: bytes, tmp_path: Path) -> None:
    """The default limit is 2 GiB."""
    async with raw_server(serving(response)) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match="larger"):
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")


async def test_compressed_body_is_never_decompressed(tmp_path: Path) -> None:
    """A small body that decompresses to a huge one is rejected."""
    async with Simulator(faults=[gzip_bomb(16 * 1024**2, endpoint="download")]) as sim, saver() as downloads:
        with pytest.raises(DownloadFailed, match="compressed"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")


@pytest.mark.veo_virtual_time
async def test_one_byte_per_second_is_too_slow(tmp_path: Path) -> None:
    """Each attempt is stopped after 30 s, and the download fails after five attempts."""
    async with (
        Simulator(faults=[slow_body(1.0, endpoint="download")]) as sim,
        saver(limits=DownloadLimits()) as downloads,
    ):
        began = sim.now()
        with pytest.raises(DownloadFailed, match="slower than 1,024 bytes"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        assert 150 <= sim.now() - began <= 200
        assert len(sim.requests_to("download")) == 5
        await asyncio.sleep(5)  # until the server notices the closed connection


def silent_after(head: bytes) -> Behaviour:
    async def behave(visit: Visit) -> None:
        await visit.read_head()
        await visit.send(head)
        await visit.reader.read()

    return behave


@pytest.mark.parametrize(
    ("head", "reason"),
    [(b"", "TimeoutError"), (b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", "slower than")],
    ids=["before the headers", "after the headers"],
)
async def test_silent_server_times_out(head: bytes, reason: str, tmp_path: Path) -> None:
    """A server that sends nothing more is given up, before and after the response headers."""
    soon = attrs.evolve(QUICK, headers_timeout_s=0.05, speed_window_s=0.05, max_attempts=2)
    async with raw_server(silent_after(head)) as server, saver(limits=soon) as downloads:
        with pytest.raises(DownloadFailed, match=reason):
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")


async def test_all_attempts_share_one_time_limit(tmp_path: Path) -> None:
    """The limit counts the network time of all attempts for one file."""
    soon = attrs.evolve(QUICK, total_timeout_s=0.05)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n"
    async with raw_server(silent_after(head)) as server, saver(limits=soon) as downloads:
        with pytest.raises(DownloadFailed, match="took longer than"):
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")


@pytest.mark.veo_virtual_time
async def test_retry_after_cannot_exceed_the_time_limit(tmp_path: Path) -> None:
    """A long ``Retry-After`` is cut to the time that remains for the download."""
    busy = refuse(503, form="http", retry_after=86_400, endpoint="download")
    async with Simulator(faults=[busy]) as sim, saver(limits=DownloadLimits(total_timeout_s=10)) as downloads:
        began = sim.now()
        with pytest.raises(DownloadFailed, match="longer than 10 s"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        assert sim.now() - began <= 11


class FixedRng:
    """Always returns 0.5."""

    def random(self) -> float:
        return 0.5


def test_speed_monitor_checks_speed_and_total_time() -> None:
    """The speed is measured over a window, the time over all attempts."""
    speed = SpeedMonitor(DownloadLimits(min_bytes_per_s=10, speed_window_s=10, total_timeout_s=25))
    speed.add_bytes(100, 9.0)
    assert speed.read_timeout_s() == 1.0
    speed.add_bytes(0, 1.0)
    assert speed.read_timeout_s() == 10.0
    with pytest.raises(AttemptFailed, match="slower than 10 bytes") as caught:
        speed.add_bytes(99, 10.0)
    assert caught.value.advice is Advice.RESUME
    assert speed.read_timeout_s() == 5.0
    with pytest.raises(AttemptFailed, match="longer than 25 s") as caught:
        speed.add_wait(5.0)
    assert caught.value.advice is Advice.STOP


def test_retry_policy_gives_up_after_five_attempts_without_progress() -> None:
    """Progress resets the count, and the advice of a failure decides what follows."""
    policy = RetryPolicy(DownloadLimits())
    failure = AttemptFailed("x")
    for _ in range(4):
        assert policy.next_action(failure, bytes_gained=0, can_renew=True, rng=FixedRng()) is not None
    assert policy.next_action(failure, bytes_gained=10**6, can_renew=True, rng=FixedRng()) == RetryAction(wait_s=0.75)
    assert policy.next_action(
        AttemptFailed("x", advice=Advice.RENEW), bytes_gained=0, can_renew=True, rng=FixedRng()
    ) == RetryAction(renew=True)
    assert (
        policy.next_action(
            AttemptFailed("x", advice=Advice.RENEW, status=403), bytes_gained=0, can_renew=False, rng=FixedRng()
        )
        is None
    )
    assert (
        policy.next_action(AttemptFailed("x", advice=Advice.STOP), bytes_gained=10**6, can_renew=True, rng=FixedRng())
        is None
    )
    assert policy.next_action(
        AttemptFailed("x", retry_after_s=9), bytes_gained=0, can_renew=True, rng=FixedRng()
    ) == RetryAction(wait_s=9)


def test_backoff_doubles_up_to_a_maximum() -> None:
    """The delay grows from one second to 30 seconds."""
    assert [backoff(n, DownloadLimits(), FixedRng()) for n in (1, 2, 3, 99)] == [0.75, 1.5, 3.0, 22.5]
