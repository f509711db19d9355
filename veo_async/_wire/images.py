"""Local images: detecting their type, and how a request refers to them until they are uploaded.

A request refers to a local image as ``sha256://<digest>.<extension>/<source>``. The digest identifies the image, so the
same image makes the same request regardless of its folder and of the URL of its upload. The source is what a later
session needs to upload it again: for a file its path; bytes are uploaded immediately, so for bytes it is the URL of
that upload with its expiry. These references are never sent to the provider.
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

#: The provider recommends this limit for one of its uploads; a first frame in 4K as PNG is well below it.
MAX_IMAGE_BYTES = 10 * 1024 * 1024
#: How much of a file is enough to detect its type.
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
    """An image that must be uploaded before the provider can see it."""

    digest: str
    extension: str
    #: A path, or the URL of uploaded bytes.
    source: str
    #: When the URL expires, by the wall clock; None for a path.
    expires_at: int | None = None

    @property
    def name(self) -> str:
        """The name of its upload; the same image always has the same name."""
        return f"{self.digest}.{self.extension}"

    @property
    def as_reference(self) -> str:
        """The reference that a request holds."""
        expires_at = "" if self.expires_at is None else f"?until={self.expires_at}"
        return f"sha256://{self.name}/{quote(os.fsencode(self.source))}{expires_at}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the image to which *text* refers, or None if *text* is an ordinary URL."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            return None
        digest, extension, source, expires_at = match.groups()
        return cls(digest, extension, os.fsdecode(unquote_to_bytes(source)), int(expires_at) if expires_at else None)


def is_path(image: str) -> bool:
    """Return True if *image* is a path rather than a URL."""
    return "://" not in image


def identify_image(content: bytes, source: str) -> LocalImage:
    """Return the local image with these bytes.

    Raises:
        InvalidRequest: the provider does not accept this type, or the image is too large.
    """
    if (problem := size_problem(len(content)) or content_problem(content)) is not None:
        raise image_problem(source, *problem)
    extension = _extension(content) or ""
    return LocalImage(hashlib.sha256(content).hexdigest(), extension, source)


def size_problem(size: int) -> tuple[str, str] | None:
    """Return why an image of *size* bytes cannot be used and what to do, or None."""
    if size <= MAX_IMAGE_BYTES:
        return None
    return f"is larger than {MAX_IMAGE_BYTES // 1024**2} MiB", "make it smaller; 4K is the largest useful size"


def content_problem(head: bytes) -> tuple[str, str] | None:
    """Return why an image that begins with *head* cannot be used and what to do, or None."""
    if _extension(head) is not None:
        return None
    return f"is {_type_name(head)}, not a JPEG, PNG or WebP", "convert it to one of these"


def image_problem(source: str, rule: str, remedy: str) -> InvalidRequest:
    """Return the error for an image from *source*."""
    return InvalidRequest.of(Problem("image", source or "bytes", rule, remedy))


def with_image(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *options* with ``image`` (one or several) moved to ``image_urls``."""
    merged = dict(options)
    if (image := merged.pop("image", None)) is not None:
        if merged.get("image_urls"):
            rule, remedy = "cannot be combined with image_urls", "put all images into image_urls"
            raise image_problem(str(image)[:80], rule, remedy)
        merged["image_urls"] = tuple(image) if isinstance(image, list | tuple) else (image,)
    return merged


def by_content(request: AnyRequest) -> AnyRequest:
    """Return *request* with each local image reduced to its digest, for comparing two requests."""
    local = local_images(request)
    if not isinstance(request, VideoRequest) or not local:
        return request
    by_content = [f"sha256:{image.digest}" if (image := LocalImage.parse(url)) else url for url in request.image_urls]
    return attrs.evolve(request, image_urls=by_content)


def local_images(request: AnyRequest | None) -> tuple[LocalImage, ...]:
    """Return the images of *request* that must be uploaded first."""
    urls = request.image_urls if isinstance(request, VideoRequest) else ()
    return tuple(image for url in urls if (image := LocalImage.parse(url)))


def _extension(content: bytes) -> str | None:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def _type_name(content: bytes) -> str:
    if not content:
        return "empty"
    return next((name for pattern, name in _OTHER_TYPES if pattern.match(content[:HEAD_BYTES])), "of an unknown type")
