"""Films for the simulator's download host: real MP4 files, small enough to live in the package.

Each is H.264 with a quiet AAC track and its index in front, so whatever plays, probes or stores a video
can be tried on it. The pictures are far smaller than what they stand for: a "4k" clip is the *answer* of the
4K endpoint, with a badge in its corner. ``render.py`` beside this file makes them all again.

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
    """The file's bytes, read once per process: on the first download, never on import."""
    return resources.files(__name__).joinpath(name).read_bytes()


@cache
def _sha256(name: str) -> str:
    return hashlib.sha256(_read(name)).hexdigest()


@attrs.frozen(kw_only=True)
class Asset:
    """A file that the download host can serve."""

    #: The file's name, here and as the last part of its address.
    name: str
    content_type: str

    @property
    def data(self) -> bytes:
        """The whole file."""
        return _read(self.name)

    @property
    def sha256(self) -> str:
        """The file's digest, in hex."""
        return _sha256(self.name)

    @property
    def etag(self) -> str:
        """A strong validator, quotes included, as the header wants it."""
        return f'"{self.sha256[:32]}"'


@attrs.frozen(kw_only=True)
class Clip(Asset):
    """A film, and what it promises about itself."""

    content_type: str = "video/mp4"
    kind: Kind
    #: What it shows; a key of ``scenes.SCENES``.
    scene: str
    #: ``16:9`` or ``9:16``.
    aspect_ratio: str
    #: Seconds, of picture and sound alike.
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


#: Everything there is; for every kind something in either ratio.
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

#: The still that the 4K endpoint names beside its video.
POSTER = Asset(name="poster.jpg", content_type="image/jpeg")

_BY_NAME: dict[str, Asset] = {asset.name: asset for asset in (*CLIPS, POSTER)}


def named(name: str) -> Asset:
    """The file called *name*; `KeyError` when there is none."""
    return _BY_NAME[name]


def choose(
    *,
    task_number: int,
    aspect_ratio: str = "16:9",
    duration: int = 8,
    kind: Kind = "generate",
) -> Clip:
    """The clip that a task results in: the same one for the same arguments, in every process.

    Args:
        task_number: Any whole number; neighbours get different pictures where there is more than one.
        aspect_ratio: ``9:16`` is portrait, all else landscape; so is ``Auto``, as nobody looks at the image.
        duration: In seconds; the nearest there is. Upgrades and extensions have one length only.
        kind: One of `KINDS`.

    Raises:
        ValueError: *kind* is none of these.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; it is {kind!r}")
    shape = "9:16" if aspect_ratio == "9:16" else "16:9"
    fitting = [clip for clip in CLIPS if clip.kind == kind and clip.aspect_ratio == shape]
    nearest_s = min((clip.duration_s for clip in fitting), key=lambda seconds: abs(seconds - duration))
    best = [clip for clip in fitting if clip.duration_s == nearest_s]
    return best[task_number % len(best)]
