"""Clips that are shown in the size of real ones, although their frames are small: players scale them.

An MP4 file names the size at which a track is shown apart from the size of its frames. So a file of a few kilobytes is
a 4K video for everything that reads its header.
"""

import hashlib
import struct
from functools import cache

import attrs

from . import Asset, Clip, named

_SHORT_SIDE_PX = {"720p": 720, "1080p": 1080, "4k": 2160}
_SIZE = struct.Struct(">II")


@attrs.frozen(kw_only=True)
class PresentedClip(Asset):
    """A clip that is shown in another size."""

    content_type: str = "video/mp4"
    width_px: int
    height_px: int

    @property
    def data(self) -> bytes:
        return _resized(self.name, self.width_px, self.height_px)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def presented_as(clip: Clip, resolution: str) -> PresentedClip:
    """Return *clip*, shown in *resolution*: ``720p``, ``1080p`` or ``4k``."""
    factor = _SHORT_SIDE_PX[resolution] // min(clip.width_px, clip.height_px)
    return PresentedClip(name=clip.name, width_px=factor * clip.width_px, height_px=factor * clip.height_px)


@cache
def _resized(name: str, width_px: int, height_px: int) -> bytes:
    """Return the file with another size in the header of its video, the first track: the end of its ``tkhd`` box."""
    data = bytearray(named(name).data)
    at = data.index(b"tkhd") - 4
    end = at + int.from_bytes(data[at : at + 4])
    data[end - _SIZE.size : end] = _SIZE.pack(width_px << 16, height_px << 16)
    return bytes(data)
