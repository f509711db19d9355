"""Servers, clips and savers for the tests of this room."""

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
#: A clip of several chunks; no two of its kilobytes are alike.
BIG = box(b"ftyp", b"isom") + box(b"moov", b"index") + box(b"mdat", random.Random(5).randbytes(900_000))
#: As patient as ever, but not as slow.
QUICK = DownloadLimits(backoff_first_s=0.001, backoff_max_s=0.002, disk_retry_s=0.01)


@attrs.frozen
class Bytes:
    """What a simulated file host serves."""

    data: bytes
    etag: str = '"v1"'
    content_type: str = "video/mp4"


def sim_clip(sim: Simulator, name: str, data: bytes = BIG, *, ttl_s: float = 3600.0, etag: str = '"v1"') -> str:
    """An address of *sim* that leads to *data*, signed as it were."""
    url = sim._provider.files.put(name, Bytes(data, etag), now=sim.now(), ttl_s=ttl_s)
    return f"{url}?sig=SECRET"


def saver(**options: Any) -> Saver:
    """A saver for a simulator's machine, that loses no time."""
    return Saver(**{"base_url": LOOPBACK, "bounds": QUICK, **options})


def video(data: bytes = WHOLE, *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    return http(data, status=status, headers=("Content-Type: video/mp4", *headers))


def serving(*answers: bytes, seen: list[bytes] | None = None) -> Behaviour:
    """One answer after the other, the last one for ever."""
    left = list(answers)

    async def behave(visit: Visit) -> None:
        request = await visit.read_head()
        if seen is not None:
            seen.append(request)
        await visit.send(left.pop(0) if len(left) > 1 else left[0])

    return behave


def left_over(folder: Path) -> list[str]:
    """The endings of what lies in *folder* besides films and their JSON."""
    names = (path.name for path in folder.iterdir())
    return sorted(name.split(".")[-1] for name in names if name.startswith("."))
