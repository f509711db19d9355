"""Rows 75 and 78: what is no video is not kept under a video's name, and nothing goes on for ever."""

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
    ("answer", "why", "left"),
    [
        (http(b"<html>sign in</html>", headers=("Content-Type: text/html",)), "page came", []),
        (http(JSON, headers=("Content-Type: application/json; charset=utf-8",)), "page came", []),
        (http(b"<html>sign in</html>"), "not a whole video", ["json", "part"]),
        (http(JSON, headers=("Content-Type: video/mp4",)), "not a whole video", ["json", "part"]),
        (video(b""), "not a whole video", []),
        (video(WHOLE[:-1]), "not a whole video", ["json", "part"]),
        (video(box(b"moov") + box(b"mdat")), "begin like an MP4", ["json", "part"]),
        (video(box(b"ftyp") + box(b"mdat")), "no moov", ["json", "part"]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + WHOLE, "broke off", ["json", "part"]),
        (video(headers=("Content-Encoding: gzip",)), "packed", []),
        (http(b"no", status="403 Forbidden"), "expired", []),
        (http(b"no", status="418 I'm a teapot"), "refused it", []),
        (http(b"", status="302 Found"), "nowhere", []),
        (b"nonsense\r\n\r\n", "broke off", []),
    ],
    ids=[
        "HTML", "JSON", "HTML without a type", "JSON as a video", "0 bytes", "one byte short", "no ftyp", "no moov",
        "breaks off", "packed", "expired", "other status", "redirect to nowhere", "no HTTP",
    ],
)  # fmt: skip
async def test_what_is_no_video_is_rejected(answer: bytes, why: str, left: list[str], tmp_path: Path) -> None:
    """Row 75: no file under the final name, an older one stays as it was, what came is kept as a part."""
    target = tmp_path / "dog.mp4"
    target.write_bytes(b"older")
    async with raw_server(serving(answer)) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match=why) as caught:
            await downloads.save([f"{server.url}/v/1.mp4?sig=SECRET"], target, name="dog")
    assert caught.value.retryable
    assert "SECRET" not in str(caught.value)
    assert target.read_bytes() == b"older"
    assert left_over(tmp_path) == left
    assert not (tmp_path / "dog.json").exists()


async def test_pages_and_garbage_in_between_are_overcome(tmp_path: Path) -> None:
    """Row 75: a page, noise, packed noise, an error, then the film."""
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


async def test_a_film_without_its_index_is_told(tmp_path: Path) -> None:
    """Row 75: all its bytes came, five times, and no player would play them; what came is kept as a part."""
    async with Simulator(faults=[not_mp4("no-moov")]) as sim, saver() as downloads:
        with pytest.raises(DownloadFailed, match="no moov box"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        assert len(sim.requests_to("download")) == 5
    assert left_over(tmp_path) == ["json", "part"]


async def test_a_page_is_as_good_as_an_expired_link(tmp_path: Path) -> None:
    """Row 75: where links can be renewed, they are."""
    async with Simulator() as sim, saver() as downloads:
        fresh = sim_clip(sim, "x.mp4")

        async def renew() -> list[str]:
            return [fresh]

        page = http(b"<html>", headers=("Content-Type: text/html",))
        async with raw_server(serving(page)) as server:
            await downloads.save([f"{server.url}/x"], tmp_path, name="d", renew=renew)
    assert (tmp_path / "d.mp4").read_bytes() == BIG


async def test_a_body_without_an_end_is_cut(tmp_path: Path) -> None:
    """Row 78: at the bound, and what came is thrown away."""
    small = attrs.evolve(QUICK, max_bytes=3_000_000)
    async with Simulator(faults=[endless_body(endpoint="download")]) as sim, saver(bounds=small) as downloads:
        with pytest.raises(DownloadFailed, match="larger than 3000000"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 3000000000\r\n\r\n",
    ],
)
async def test_an_announced_monster_is_not_begun(answer: bytes, tmp_path: Path) -> None:
    """Row 78: 2 GiB, unless one says otherwise."""
    async with raw_server(serving(answer)) as server, saver() as downloads:
        with pytest.raises(DownloadFailed, match="larger"):
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")


async def test_a_bomb_stays_packed(tmp_path: Path) -> None:
    """Row 78: what unpacks to a gigabyte is never unpacked."""
    async with Simulator(faults=[gzip_bomb(16 * 1024**2, endpoint="download")]) as sim, saver() as downloads:
        with pytest.raises(DownloadFailed, match="packed"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")


@pytest.mark.veo_virtual_time
async def test_one_byte_a_second_is_too_slow(tmp_path: Path) -> None:
    """Row 78: half a minute of that is enough; after five of them it is told."""
    async with (
        Simulator(faults=[slow_body(1.0, endpoint="download")]) as sim,
        saver(bounds=DownloadLimits()) as downloads,
    ):
        began = sim.now()
        with pytest.raises(DownloadFailed, match="less than 1024 bytes"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        assert 150 <= sim.now() - began <= 200
        assert len(sim.requests_to("download")) == 5
        await asyncio.sleep(5)  # the host notices that nobody listens


def silent_after(head: bytes) -> Behaviour:
    async def behave(visit: Visit) -> None:
        await visit.read_head()
        await visit.send(head)
        await visit.reader.read()

    return behave


@pytest.mark.parametrize(
    ("head", "why"),
    [(b"", "TimeoutError"), (b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", "less than")],
    ids=["before the head", "after it"],
)
async def test_silence_is_not_waited_out(head: bytes, why: str, tmp_path: Path) -> None:
    """Row 78: neither before the head of an answer nor after it."""
    soon = attrs.evolve(QUICK, headers_timeout_s=0.05, speed_window_s=0.05, max_attempts=2)
    async with raw_server(silent_after(head)) as server, saver(bounds=soon) as downloads:
        with pytest.raises(DownloadFailed, match=why):
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")


async def test_all_attempts_together_have_a_bound(tmp_path: Path) -> None:
    """Row 78: however often something comes."""
    soon = attrs.evolve(QUICK, total_timeout_s=0.05)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n"
    async with raw_server(silent_after(head)) as server, saver(bounds=soon) as downloads:
        with pytest.raises(DownloadFailed, match="took longer than"):
            await downloads.save([f"{server.url}/x"], tmp_path, name="d")


@pytest.mark.veo_virtual_time
async def test_a_host_that_wants_patience_gets_no_more_than_there_is(tmp_path: Path) -> None:
    """Row 78: the wish of ``Retry-After`` ends where our own bound does."""
    busy = refuse(503, form="http", retry_after=86_400, endpoint="download")
    async with Simulator(faults=[busy]) as sim, saver(bounds=DownloadLimits(total_timeout_s=10)) as downloads:
        began = sim.now()
        with pytest.raises(DownloadFailed, match="longer than 10 s"):
            await downloads.save([sim_clip(sim, "x.mp4")], tmp_path, name="d")
        assert sim.now() - began <= 11


class Even:
    def random(self) -> float:
        return 0.5


def test_pace_by_hand() -> None:
    """Bytes over each span, and seconds altogether."""
    pace = SpeedMonitor(DownloadLimits(min_bytes_per_s=10, speed_window_s=10, total_timeout_s=25))
    pace.add_bytes(100, 9.0)
    assert pace.read_timeout_s() == 1.0
    pace.add_bytes(0, 1.0)
    assert pace.read_timeout_s() == 10.0
    with pytest.raises(AttemptFailed, match="less than 10 bytes") as caught:
        pace.add_bytes(99, 10.0)
    assert caught.value.advice is Advice.RESUME
    assert pace.read_timeout_s() == 5.0
    with pytest.raises(AttemptFailed, match="longer than 25 s") as caught:
        pace.add_wait(5.0)
    assert caught.value.advice is Advice.STOP


def test_tries_by_hand() -> None:
    """Five in a row that bring nothing; one that brings something begins the count anew."""
    max_attempts = RetryPolicy(DownloadLimits())
    broke = AttemptFailed("x")
    for _ in range(4):
        assert max_attempts.next_action(broke, bytes_gained=0, can_renew=True, rng=Even()) is not None
    assert max_attempts.next_action(broke, bytes_gained=10**6, can_renew=True, rng=Even()) == RetryAction(wait_s=0.75)
    assert max_attempts.next_action(
        AttemptFailed("x", advice=Advice.RENEW), bytes_gained=0, can_renew=True, rng=Even()
    ) == RetryAction(renew=True)
    assert (
        max_attempts.next_action(
            AttemptFailed("x", advice=Advice.RENEW, status=403), bytes_gained=0, can_renew=False, rng=Even()
        )
        is None
    )
    assert (
        max_attempts.next_action(AttemptFailed("x", advice=Advice.STOP), bytes_gained=10**6, can_renew=True, rng=Even())
        is None
    )
    assert max_attempts.next_action(
        AttemptFailed("x", retry_after_s=9), bytes_gained=0, can_renew=True, rng=Even()
    ) == RetryAction(wait_s=9)


def test_backoff_doubles_within_bounds() -> None:
    """From a second to half a minute."""
    assert [backoff(n, DownloadLimits(), Even()) for n in (1, 2, 3, 99)] == [0.75, 1.5, 3.0, 22.5]
