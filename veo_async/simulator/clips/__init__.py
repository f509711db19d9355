"""Videos for the simulator's download host: real MP4 files, small enough to be part of the package.

Each has an H.264 track, a quiet AAC track and its index at the front, so that players, probes and storage can be tested
with it. The frames are much smaller than those of real clips: a "4k" clip is what the 4K endpoint returns, with a badge
in its corner. ``render.py`` in this folder renders all files again.

    clip = choose(task_number=7, aspect_ratio="9:16", duration=8)
    clip.name, clip.etag, len(clip.data)
"""

import hashlib
from functools import cache
from importlib import resources
from typing import Literal

import attrs

__all__ = ["CLIPS", "KINDS", "POSTER", "Asset", "Clip", "Kind", "choose", "named"]

#: What a clip is the result of.
Kind = Literal["generate", "extend", "1080p", "4k"]
KINDS: tuple[Kind, ...] = ("generate", "extend", "1080p", "4k")


@cache
def _read(name: str) -> bytes:
    """Return the file's bytes. They are read once per process, on the first download and never on import."""
    return resources.files(__name__).joinpath(name).read_bytes()


@cache
def _sha256(name: str) -> str:
    return hashlib.sha256(_read(name)).hexdigest()


@attrs.frozen(kw_only=True)
class Asset:
    """A file that the download host can serve."""

    #: The file's name in this folder.
    name: str
    content_type: str

    @property
    def data(self) -> bytes:
        """The whole file."""
        return _read(self.name)

    @property
    def sha256(self) -> str:
        """The file's SHA-256 digest in hex."""
        return _sha256(self.name)

    @property
    def etag(self) -> str:
        """The value of the ETag header: a strong validator, quotes included."""
        return f'"{self.sha256[:32]}"'


@attrs.frozen(kw_only=True)
class Clip(Asset):
    """A video and its properties."""

    content_type: str = "video/mp4"
    kind: Kind
    #: A key of ``scenes.SCENES``.
    scene: str
    #: ``16:9`` or ``9:16``.
    aspect_ratio: str
    #: The duration of both tracks, in seconds.
    duration_s: int
    width_px: int
    height_px: int


def _clip(scene: str, aspect_ratio: str, duration_s: int, kind: Kind = "generate") -> Clip:
    long_px, short_px = (640, 360) if kind in ("1080p", "4k") else (320, 180)
    is_portrait = aspect_ratio == "9:16"
    ending = {"generate": "", "extend": "-extended", "1080p": "-1080p", "4k": "-4k"}[kind]
    return Clip(
        name=f"{scene}-{aspect_ratio.replace(':', 'x')}-{duration_s}s{ending}.mp4",
        kind=kind,
        scene=scene,
        aspect_ratio=aspect_ratio,
        duration_s=duration_s,
        width_px=short_px if is_portrait else long_px,
        height_px=long_px if is_portrait else short_px,
    )


#: All clips. Every kind exists in both aspect ratios.
CLIPS: tuple[Clip, ...] = (
    _clip("dusk", "16:9", 8),
    _clip("night", "16:9", 8),
    _clip("city", "16:9", 4),
    _clip("city", "16:9", 6),
    _clip("dusk", "9:16", 8),
    _clip("city", "9:16", 4),
    _clip("city", "9:16", 6),
    _clip("dusk", "16:9", 8, "1080p"),
    _clip("dusk", "9:16", 8, "1080p"),
    _clip("dusk", "16:9", 8, "4k"),
    _clip("dusk", "9:16", 8, "4k"),
    _clip("dusk", "16:9", 16, "extend"),
    _clip("dusk", "9:16", 16, "extend"),
)

#: The poster image that the 4K endpoint returns with its video.
POSTER = Asset(name="poster.jpg", content_type="image/jpeg")

_BY_NAME: dict[str, Asset] = {asset.name: asset for asset in (*CLIPS, POSTER)}


def named(name: str) -> Asset:
    """Return the file called *name*.

    Raises:
        KeyError: there is no such file.
    """
    return _BY_NAME[name]


def choose(
    *,
    task_number: int,
    aspect_ratio: str = "16:9",
    duration: int = 8,
    kind: Kind = "generate",
) -> Clip:
    """Return the clip for a task: the same one for the same arguments, in every process.

    Args:
        task_number: Selects among several clips; consecutive numbers get different ones.
        aspect_ratio: ``9:16`` is portrait. Everything else is landscape, including ``Auto``, because the simulator does
            not inspect the image.
        duration: In seconds; the clip with the nearest duration is used. Upgrades and extensions have only one.
        kind: One of `KINDS`.

    Raises:
        ValueError: *kind* is not one of these.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: must be one of {', '.join(KINDS)}")
    shape = "9:16" if aspect_ratio == "9:16" else "16:9"
    candidates = [clip for clip in CLIPS if clip.kind == kind and clip.aspect_ratio == shape]
    nearest_s = min((clip.duration_s for clip in candidates), key=lambda seconds: abs(seconds - duration))
    best = [clip for clip in candidates if clip.duration_s == nearest_s]
    return best[task_number % len(best)]
