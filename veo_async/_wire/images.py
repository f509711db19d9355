"""Images that are not at a URL yet: what they are by their bytes, and how a request holds them until they are uploaded.

A request holds a local image as ``sha256://<digest>.<ending>/<where it comes from>``. The digest is what the job is
known by, so that the same picture is the same request from whatever folder and whatever its upload's URL was; where it
comes from is what a later session needs to upload it again. For a file that is its path. Bytes are kept nowhere: they
are uploaded at once, and what stands there is their URL and until when it holds. None of this ever goes on the wire.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote, unquote_to_bytes

import attrs

from veo_async.errors import Fault, InvalidRequest

from .requests import AnyRequest, VideoRequest

#: A first frame of 4K as PNG is well below it, and the provider's page recommends it for one form of upload.
MOST_BYTES = 10 * 1024 * 1024
#: As much of a file as tells what it is.
HEAD_BYTES = 64

_HELD = re.compile(r"sha256://([0-9a-f]{64})\.(jpg|png|webp)/([^?]*)(?:\?until=([0-9]{1,12}))?")
_OTHERS = (
    (re.compile(rb"GIF8"), "a GIF"),
    (re.compile(rb"BM"), "a BMP"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF"),
    (re.compile(rb"....ftyp(heic|heix|hevc|mif1|msf1)", re.DOTALL), "a HEIC"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "an AVIF"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE), "a web page"),
    (re.compile(rb"\s*<(\?xml|svg)", re.IGNORECASE), "an SVG or other XML"),
)


@attrs.frozen
class LocalImage:
    """One picture that has to be uploaded before the provider can see it."""

    digest: str
    ending: str
    #: A path, or the URL of bytes that were uploaded.
    source: str
    #: For a URL: until when it holds, by the wall clock.
    until: int | None = None

    @property
    def name(self) -> str:
        """What its upload is called: the same picture, the same name."""
        return f"{self.digest}.{self.ending}"

    @property
    def held(self) -> str:
        """How a request holds it."""
        until = "" if self.until is None else f"?until={self.until}"
        return f"sha256://{self.name}/{quote(os.fsencode(self.source))}{until}"

    @classmethod
    def of(cls, text: str) -> Self | None:
        """The picture that a request holds as *text*; None when that is a URL like any other."""
        match = _HELD.fullmatch(text)
        if match is None:
            return None
        digest, ending, source, until = match.groups()
        return cls(digest, ending, os.fsdecode(unquote_to_bytes(source)), int(until) if until else None)


def is_path(image: str) -> bool:
    """Whether *image* names a file rather than a URL."""
    return "://" not in image


def inspected(content: bytes, source: str) -> LocalImage:
    """What *content* is.

    Raises:
        InvalidRequest: it is no picture that the provider takes, or too large.
    """
    if (why := size_fault(len(content)) or content_fault(content)) is not None:
        raise refused(source, *why)
    ending = _ending(content) or ""
    return LocalImage(hashlib.sha256(content).hexdigest(), ending, source)


def size_fault(size: int) -> tuple[str, str] | None:
    """Why a picture of *size* bytes cannot be used, and what to do."""
    if size <= MOST_BYTES:
        return None
    return f"is larger than {MOST_BYTES // 1024**2} MiB", "make it smaller; the clip has at most 4K"


def content_fault(head: bytes) -> tuple[str, str] | None:
    """Why what begins with *head* is no picture that the provider takes, and what to do."""
    if _ending(head) is not None:
        return None
    return f"is {_described(head)}, not a JPEG, PNG or WebP", "convert it to one of these"


def refused(source: str, rule: str, remedy: str) -> InvalidRequest:
    """Why the image from *source* cannot be used."""
    return InvalidRequest.of(Fault("image", source or "bytes", rule, remedy))


def with_image(options: Mapping[str, Any]) -> dict[str, Any]:
    """*options* with ``image``, one or several, as its ``image_urls``."""
    gathered = dict(options)
    if (image := gathered.pop("image", None)) is not None:
        if gathered.get("image_urls"):
            raise refused(str(image)[:80], "stands beside image_urls", "put all of them into image_urls")
        gathered["image_urls"] = tuple(image) if isinstance(image, list | tuple) else (image,)
    return gathered


def content_of(request: AnyRequest) -> AnyRequest:
    """*request* with its local images by their content alone: what makes two requests the same."""
    local = local_images(request)
    if not isinstance(request, VideoRequest) or not local:
        return request
    by_content = [f"sha256:{image.digest}" if (image := LocalImage.of(url)) else url for url in request.image_urls]
    return attrs.evolve(request, image_urls=by_content)


def local_images(request: AnyRequest | None) -> tuple[LocalImage, ...]:
    """The pictures of *request* that have to be uploaded first."""
    urls = request.image_urls if isinstance(request, VideoRequest) else ()
    return tuple(image for url in urls if (image := LocalImage.of(url)))


def _ending(content: bytes) -> str | None:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def _described(content: bytes) -> str:
    if not content:
        return "empty"
    return next((told for pattern, told in _OTHERS if pattern.match(content[:HEAD_BYTES])), "of no known kind")
