"""Whether a saved video has the resolution that was requested."""

from veo_async._runtime.job.outcome import Clip
from veo_async._wire import UpgradeRequest, VideoRequest

#: The shorter side of the picture, in pixels.
_SHORT_SIDE_PX = {"720p": 720, "1080p": 1080, "4k": 2160}
#: Encoders round sizes up to multiples of 16.
_TOLERANCE_PX = 16


def requested_resolution(clip: Clip) -> str | None:
    """Return the resolution that the request of *clip* names; None if it leaves it to the provider."""
    match clip.request:
        case VideoRequest(resolution=resolution):
            return resolution
        case UpgradeRequest(to=resolution):
            return resolution
        case _:
            return None


def has_resolution(size: tuple[int, int], resolution: str) -> bool:
    """Whether a video of *size* has *resolution*; a name that is newer than this library has every size."""
    short_px = _SHORT_SIDE_PX.get(resolution)
    return short_px is None or abs(min(size) - short_px) <= _TOLERANCE_PX


def wrong_sizes(clip: Clip) -> list[tuple[int, int]]:
    """Return the sizes of the saved videos of *clip* that do not have the requested resolution."""
    resolution = requested_resolution(clip)
    if resolution is None:
        return []
    return [size for size in clip.sizes if size is not None and not has_resolution(size, resolution)]
