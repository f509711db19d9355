"""Servers, clips and savers for the tests of downloads."""

import random
from pathlib import Path
from typing import Any

import attrs

from tests.edges.raw_server import Behaviour, Visit, http
from veo_async.media import DownloadLimits, Saver
from veo_async.simulator import Simulator

from .test_mp4 import WHOLE, box

__all__ = ["BIG", "LOOPBACK", "QUICK", "WHOLE", "left_over", "saver", "serving", "sim_clip", "video"]

LOOPBACK = "http://127.0.0.1"
#: A clip of several chunks, in which no two kilobytes are equal.
BIG = box(b"ftyp", b"isom") + box(b"moov", b"index") + box(b"mdat", random.Random(5).randbytes(900_000))
#: The default number of attempts, without the delays.
QUICK = DownloadLimits(backoff_first_s=0.001, backoff_max_s=0.002, disk_retry_s=0.01)


@attrs.frozen
class Bytes:
    """A file on the simulator's file host."""

    data: bytes
    etag: str = '"v1"'
    content_type: str = "video/mp4"


def sim_clip(sim: Simulator, name: str, data: bytes = BIG, *, ttl_s: float = 3600.0, etag: str = '"v1"') -> str:
    """Return a URL on *sim* that serves *data*, with something like a signature in its query."""
    url = sim._provider.files.put(name, Bytes(data, etag), now=sim.now(), ttl_s=ttl_s)
    return f"{url}?sig=SECRET"


def saver(**options: Any) -> Saver:
    """Return a saver that may download from loopback and does not wait between attempts."""
    return Saver(**{"base_url": LOOPBACK, "limits": QUICK, **options})


def video(data: bytes = WHOLE, *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    """Return a response that contains a video."""
    return http(data, status=status, headers=("Content-Type: video/mp4", *headers))


def serving(*responses: bytes, seen: list[bytes] | None = None) -> Behaviour:
    """Send one response after the other; repeat the last one forever."""
    remaining = list(responses)

    async def behave(visit: Visit) -> None:
        request = await visit.read_head()
        if seen is not None:
            seen.append(request)
        await visit.send(remaining.pop(0) if len(remaining) > 1 else remaining[0])

    return behave


def left_over(folder: Path) -> list[str]:
    """Return the endings of the hidden files in *folder*: everything except videos and their sidecars."""
    names = (path.name for path in folder.iterdir())
    return sorted(name.split(".")[-1] for name in names if name.startswith("."))
