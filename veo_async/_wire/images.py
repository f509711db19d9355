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

from veo_async.errors import InvalidRequest, Problem

from .requests import AnyRequest, VideoRequest

#: A first frame of 4K as PNG is well below it, and the provider's page recommends it for one form of upload.
MAX_IMAGE_BYTES = 10 * 1024 * 1024
#: As much of a file as tells what it is.
HEAD_BYTES = 64

_REFERENCE = re.compile(r"sha256://([0-9a-f]{64})\.(jpg|png|webp)/([^?]*)(?:\?until=([0-9]{1,12}))?")
_OTHER_TYPES = (
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
    extension: str
    #: A path, or the URL of bytes that were uploaded.
    source: str
    #: For a URL: until when it holds, by the wall clock.
    expires_at: int | None = None

    @property
    def name(self) -> str:
        """What its upload is called: the same picture, the same name."""
        return f"{self.digest}.{self.extension}"

    @property
    def as_reference(self) -> str:
        """How a request holds it."""
        expires_at = "" if self.expires_at is None else f"?until={self.expires_at}"
        return f"sha256://{self.name}/{quote(os.fsencode(self.source))}{expires_at}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The picture that a request holds as *text*; None when that is a URL like any other."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            return None
        digest, extension, source, expires_at = match.groups()
        return cls(digest, extension, os.fsdecode(unquote_to_bytes(source)), int(expires_at) if expires_at else None)


def is_path(image: str) -> bool:
    """Whether *image* names a file rather than a URL."""
    return "://" not in image


def identify_image(content: bytes, source: str) -> LocalImage:
    """What *content* is.

    Raises:
        InvalidRequest: it is no picture that the provider takes, or too large.
    """
    if (why := size_problem(len(content)) or content_problem(content)) is not None:
        raise image_problem(source, *why)
    extension = _ending(content) or ""
    return LocalImage(hashlib.sha256(content).hexdigest(), extension, source)


def size_problem(size: int) -> tuple[str, str] | None:
    """Why a picture of *size* bytes cannot be used, and what to do."""
    if size <= MAX_IMAGE_BYTES:
        return None
    return f"is larger than {MAX_IMAGE_BYTES // 1024**2} MiB", "make it smaller; the clip has at most 4K"


def content_problem(head: bytes) -> tuple[str, str] | None:
    """Why what begins with *head* is no picture that the provider takes, and what to do."""
    if _ending(head) is not None:
        return None
    return f"is {_type_name(head)}, not a JPEG, PNG or WebP", "convert it to one of these"


def image_problem(source: str, rule: str, remedy: str) -> InvalidRequest:
    """Why the image from *source* cannot be used."""
    return InvalidRequest.of(Problem("image", source or "bytes", rule, remedy))


def with_image(options: Mapping[str, Any]) -> dict[str, Any]:
    """*options* with ``image``, one or several, as its ``image_urls``."""
    gathered = dict(options)
    if (image := gathered.pop("image", None)) is not None:
        if gathered.get("image_urls"):
            raise image_problem(str(image)[:80], "stands beside image_urls", "put all of them into image_urls")
        gathered["image_urls"] = tuple(image) if isinstance(image, list | tuple) else (image,)
    return gathered


def by_content(request: AnyRequest) -> AnyRequest:
    """*request* with its local images by their content alone: what makes two requests the same."""
    local = local_images(request)
    if not isinstance(request, VideoRequest) or not local:
        return request
    by_content = [f"sha256:{image.digest}" if (image := LocalImage.parse(url)) else url for url in request.image_urls]
    return attrs.evolve(request, image_urls=by_content)


def local_images(request: AnyRequest | None) -> tuple[LocalImage, ...]:
    """The pictures of *request* that have to be uploaded first."""
    urls = request.image_urls if isinstance(request, VideoRequest) else ()
    return tuple(image for url in urls if (image := LocalImage.parse(url)))


def _ending(content: bytes) -> str | None:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def _type_name(content: bytes) -> str:
    if not content:
        return "empty"
    return next((told for pattern, told in _OTHER_TYPES if pattern.match(content[:HEAD_BYTES])), "of no known kind")
