"""Still frames of saved videos, for contact sheets and for the gallery.

Reading a video needs PyAV, and changing its frame needs Pillow: both are in the extra ``media``, which is imported only
when a frame is read. Everything here blocks; an event loop calls it in a thread.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer
    from PIL.Image import Image


class MediaExtraMissing(ImportError):
    """The extra ``media`` is not installed."""


def require_media(remedy: str = "pip install 'veo-async[media]'") -> None:
    """Check that the extra is installed.

    Raises:
        MediaExtraMissing: it is not; the text is *remedy*.
    """
    try:
        import av  # noqa: F401  # only checks that it is installed
        import PIL  # noqa: F401  # only checks that it is installed
    except ModuleNotFoundError as exc:
        raise MediaExtraMissing(remedy) from exc


def read_frame(video: Path) -> "tuple[Image | None, float | None]":
    """Return a frame from the middle of *video* and its length in seconds; None for what cannot be read."""
    import av  # an optional dependency
    from av.error import FFmpegError

    try:
        with av.open(str(video)) as container:
            length_s = None if container.duration is None else container.duration / av.time_base
            return next(_frames_from_middle(container), None), length_s
    except (FFmpegError, OSError, ValueError, RuntimeError, IndexError):  # all of them occur with damaged files
        return None, None


def _frames_from_middle(container: "InputContainer") -> "Iterator[Image]":
    """Yield the frames from the last keyframe before the middle on; seeking to it is fast for any length."""
    if container.duration:
        container.seek(container.duration // 2)
    for frame in container.decode(container.streams.video[0]):
        as_image: Callable[[], Image] = frame.to_image  # PyAV does not annotate the return type
        yield as_image()
