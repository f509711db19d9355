"""Local images: read, uploaded once for any number of jobs, and cached until they expire.

- An unusable image is rejected before anything is queued. Only regular files are read: a pipe could block forever.
- Each content is uploaded once, regardless of how many callers need it, and a few at a time. The session owns the
  upload, so cancelling one caller does not affect the others.
- An upload is free and overwrites an earlier one, so it is retried like a read. It is cached as long as the response
  says, otherwise for the 24 hours that the provider documents, less a margin.
- A file is read again for its upload; if it has changed since the job was submitted, the job is refused.

The cache belongs to one session. Another session uploads the image again, which is free; a shared table would have to
know when the host really deletes a file.
"""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from os import PathLike
from typing import Any

import attrs

from veo_async._api import VeoApi
from veo_async._api.base_urls import is_loopback
from veo_async._base.run_blocking import run_blocking
from veo_async._runtime.clock import TIMER_SLACK_S, loop_time
from veo_async._runtime.job.endings import as_request
from veo_async._runtime.retrying import Retrier
from veo_async._wire import AnyRequest, Upload, VideoRequest, endpoints
from veo_async._wire.hosts import unreachable_reason
from veo_async._wire.images import MAX_IMAGE_BYTES, LocalImage, identify_image, image_problem, is_path, with_image
from veo_async._wire.validation import url_problem
from veo_async.errors import (
    RESUME,
    ClientClosed,
    InvalidRequest,
    Problem,
    ServerError,
    SessionClosed,
    TransportError,
    Unauthorized,
    UploadFailed,
    VeoError,
)

ImageSource = str | PathLike[str] | bytes

FOLDER = "veo-async"
_MAX_CONCURRENT_UPLOADS = 4
_MAX_CHECKED_URLS = 1000
#: Used if the response names no expiry: the shorter of the provider's two documented lifetimes.
_DEFAULT_LIFETIME_S = 24 * 3600.0
#: The provider fetches an image some time after it has accepted the request, and its clock differs from this machine's.
EXPIRY_MARGIN_S = 3600.0


@attrs.frozen
class UploadedImage:
    """An image at a URL from which the provider can download it.

    Attributes:
        url: its URL at the provider.
        sha256: the hash of its content; None if the provider downloaded it from another URL.
        expires_at: until when the URL is safe to use.
    """

    url: str
    sha256: str | None = None
    expires_at: datetime | None = None


@attrs.frozen
class _CachedUpload:
    url: str
    #: The loop's time.
    renew_at: float


@attrs.define(eq=False, repr=False)
class Images:
    """The images of one session."""

    _api: VeoApi = attrs.field(alias="api")
    _retrier: Retrier = attrs.field(alias="retrier")
    #: Returns the wall-clock time.
    _now: Callable[[], float] = attrs.field(alias="now")
    #: Requests another API key after a rejected one; returns whether there is one.
    _renew_key: Callable[[], Awaitable[bool]] = attrs.field(alias="renew_key")
    #: Requests a URL and returns why the provider cannot use it, and a remedy; None: URLs are not checked.
    _find_problem: Callable[[str], Awaitable[tuple[str, str] | None]] | None = attrs.field(
        alias="find_problem", default=None
    )
    #: URLs that were checked and are usable.
    _checked_urls: dict[str, None] = attrs.field(factory=dict, init=False)
    _slots: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(_MAX_CONCURRENT_UPLOADS), init=False)
    _cache: dict[str, _CachedUpload] = attrs.field(factory=dict, init=False)
    _uploading: dict[str, asyncio.Task[_CachedUpload]] = attrs.field(factory=dict, init=False)

    async def prepare_request(self, request: AnyRequest | str, options: Mapping[str, Any]) -> AnyRequest:
        """Return the complete request; its local images are checked and named by their content.

        Raises:
            InvalidRequest: an image cannot be used.
            UploadFailed: an image given as bytes could not be uploaded.
        """
        return await _complete(request, options, self._normalize, self._as_reference)

    async def identify_request(self, request: AnyRequest | str, options: Mapping[str, Any]) -> AnyRequest:
        """Return the complete request; its local images are named by their content, but nothing is uploaded.

        Raises:
            InvalidRequest: a local image cannot be used.
        """
        return await _complete(request, options, _identified, _identified)

    async def upload(self, image: ImageSource) -> UploadedImage:
        """Upload *image* now."""
        self._require_uploads()
        if isinstance(image, str) and not is_path(image):
            self._check_reachable(image)
            call = partial(self._api.upload_from_url, image, folder=FOLDER)
            upload = await self._call("file-url-upload", call, image)
            return UploadedImage(upload.url, None, self._wall_time(loop_time() + self._lifetime_s(upload)))
        content, local = await run_blocking(_inspect, image)
        cached = await self._upload_once(local, content if isinstance(image, bytes) else None)
        return UploadedImage(cached.url, local.digest, self._wall_time(cached.renew_at))

    async def get_url(self, image: LocalImage) -> tuple[str, float]:
        """Return the URL of *image*, uploading it if necessary, and the loop's time at which to renew the upload.

        Raises:
            InvalidRequest: the file is missing or has changed.
            UploadFailed: it could not be uploaded.
        """
        if image.expires_at is not None and self._cached(image) is None:
            left_s = image.expires_at - self._now()
            if left_s <= 0:
                rule = "was passed as bytes and its upload has expired"
                raise image_problem(image.source, rule, "submit the job again with the image")
            return image.source, loop_time() + left_s
        cached = await self._upload_once(image, None)
        return cached.url, cached.renew_at

    async def close(self) -> None:
        """Cancel all uploads."""
        for task in self._uploading.values():
            task.cancel()
        if self._uploading:
            await asyncio.wait(list(self._uploading.values()))

    async def _normalize(self, image: Any) -> Any:
        """Upload bytes and return their reference; return paths as text and everything else unchanged."""
        if isinstance(image, PathLike):
            return os.fsdecode(image)
        if not isinstance(image, bytes):
            return image
        self._require_uploads()
        local = await run_blocking(identify_image, image, "")
        cached = await self._upload_once(local, image)
        expires_at = int(self._now() + cached.renew_at - loop_time())
        return attrs.evolve(local, source=cached.url, expires_at=expires_at).as_reference

    async def _as_reference(self, image: str) -> str:
        if LocalImage.parse(image) is not None:
            self._require_uploads()
            return image
        if not is_path(image):
            self._check_reachable(image)
            await self._check_url(image)
            return image
        self._require_uploads()
        _, local = await run_blocking(_inspect, image)
        return local.as_reference

    def _require_uploads(self) -> None:
        self._api.dialect.require(endpoints.FILE_STREAM_UPLOAD)

    def _check_reachable(self, url: str) -> None:
        """Reject a URL that the provider cannot reach; a malformed one is reported with the other problems."""
        if url_problem(url):
            return
        if reason := unreachable_reason(url, allow_loopback=is_loopback(self._api.base_urls.api)):
            remedy = "pass the file path instead and it will be uploaded"
            raise InvalidRequest.of(Problem("image_urls", url, reason, remedy))

    async def _check_url(self, url: str) -> None:
        if self._find_problem is None or url in self._checked_urls or url_problem(url):
            return
        if (problem := await self._find_problem(url)) is not None:
            raise InvalidRequest.of(Problem("image_urls", url, *problem))
        self._checked_urls[url] = None
        if len(self._checked_urls) > _MAX_CHECKED_URLS:
            del self._checked_urls[next(iter(self._checked_urls))]

    def _cached(self, image: LocalImage) -> _CachedUpload | None:
        cached = self._cache.get(image.digest)
        # The timer of a renewal may fire early.
        return cached if cached is not None and loop_time() + TIMER_SLACK_S < cached.renew_at else None

    async def _upload_once(self, image: LocalImage, content: bytes | None) -> _CachedUpload:
        if (cached := self._cached(image)) is not None:
            return cached
        task = self._uploading.get(image.digest)
        if task is None:
            task = asyncio.create_task(self._upload(image, content), name=f"veo.upload:{image.digest[:12]}")
            self._uploading[image.digest] = task
            task.add_done_callback(lambda done: self._upload_done(image.digest, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise  # the caller was cancelled; the upload continues for the others
            raise SessionClosed("the session was closed before the image was uploaded", remedy=RESUME) from None

    def _upload_done(self, digest: str, task: "asyncio.Task[_CachedUpload]") -> None:
        del self._uploading[digest]
        if not task.cancelled():
            _ = task.exception()  # the callers have raised it, if there were any

    async def _upload(self, image: LocalImage, content: bytes | None) -> _CachedUpload:
        async with self._slots:
            if content is None:
                content = await run_blocking(_reread, image)
            began = loop_time()
            call = partial(self._api.upload_file, content, folder=FOLDER, file_name=image.name)
            upload = await self._call("file-stream-upload", call, image.source)
        renew_at = began + _without_margin(self._lifetime_s(upload))
        cached = self._cache[image.digest] = _CachedUpload(upload.url, renew_at)
        return cached

    async def _call(self, endpoint: Any, call: Callable[[], Any], source: str) -> Upload:
        """Make *call* with retries, and raise `UploadFailed` for every error but a problem of the image."""
        try:
            return await self._call_with_new_key(endpoint, call)
        except (InvalidRequest, ClientClosed):
            raise
        except VeoError as error:
            message = f"the image {source or '(bytes)'} was not uploaded: {error.message}"
            failed = UploadFailed(message, endpoint=endpoint, http_status=error.http_status, body_code=error.body_code)
            failed.retryable = error.retryable or isinstance(error, ServerError | TransportError)
            raise failed from error

    async def _call_with_new_key(self, endpoint: Any, call: Callable[[], Any]) -> Upload:
        """Make *call* with retries; after a rejected key again with the next key, if there is one."""
        try:
            upload: Upload = await self._retrier.call(endpoint, call)
        except Unauthorized:
            if not await self._renew_key():
                raise
            upload = await self._retrier.call(endpoint, call)
        return upload

    def _lifetime_s(self, upload: Upload) -> float:
        """Return the lifetime in seconds, by the host's clock if the response contains both times."""
        if upload.expires_at is None:
            return _DEFAULT_LIFETIME_S
        began = upload.uploaded_at or datetime.fromtimestamp(self._now(), UTC)
        return max(0.0, (upload.expires_at - began).total_seconds())

    def _wall_time(self, at: float) -> datetime:
        """Convert the loop's time *at* to a date."""
        return datetime.fromtimestamp(self._now(), UTC) + timedelta(seconds=at - loop_time())


def _without_margin(life_s: float) -> float:
    """Return *life_s* less the margin, which is a quarter of a short lifetime."""
    return life_s - min(EXPIRY_MARGIN_S, life_s / 4)


def inspect_image(path: str) -> LocalImage:
    """Read and identify the image at *path*; blocks.

    Raises:
        InvalidRequest: it cannot be uploaded.
    """
    return _inspect(path)[1]


async def _complete(
    request: AnyRequest | str,
    options: Mapping[str, Any],
    normalize: Callable[[Any], Awaitable[Any]],
    as_reference: Callable[[str], Awaitable[str]],
) -> AnyRequest:
    """Return the complete request, with the references of its images.

    Args:
        normalize: returns an image of *options*, which may be bytes or a path, as a request can hold it.
        as_reference: returns the reference of an image of the request.
    """
    options = with_image(options)
    if isinstance(given := options.get("image_urls"), list | tuple):
        options["image_urls"] = [await normalize(image) for image in given]
    result = as_request(request, options)
    if not isinstance(result, VideoRequest) or not result.image_urls:
        return result
    references = [await as_reference(image) for image in result.image_urls]
    return attrs.evolve(result, image_urls=references) if tuple(references) != result.image_urls else result


async def _identified(image: Any) -> Any:
    """Return the reference of a local image that was passed as bytes or by its path; anything else is not changed."""
    if isinstance(image, bytes):
        return (await run_blocking(identify_image, image, "")).as_reference
    if isinstance(image, PathLike) or (isinstance(image, str) and is_path(image)):
        _, local = await run_blocking(_inspect, os.fsdecode(image))
        return local.as_reference
    return image


def _inspect(image: ImageSource) -> tuple[bytes, LocalImage]:
    if isinstance(image, bytes):
        return image, identify_image(image, "")
    path = os.path.abspath(os.fsdecode(image))
    content = _content(path)
    return content, identify_image(content, path)


def _reread(image: LocalImage) -> bytes:
    content = _content(image.source)
    if identify_image(content, image.source).digest != image.digest:
        rule = "has changed since the job was submitted"
        raise image_problem(image.source, rule, "submit the new image under another key")
    return content


def _content(path: str) -> bytes:
    """Read the file at *path*, at most one byte more than the limit."""
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise image_problem(path, "is not a regular file", "name a JPEG, PNG or WebP file")
            return file.read(MAX_IMAGE_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and os.path.isdir(path):  # the error for that is another one on Windows
            raise image_problem(path, "is a folder", "name a file in it") from None
        reason = getattr(error, "strerror", None) or str(error)
        raise image_problem(path, f"cannot be read: {reason}", "use an existing file or a URL") from None


def _open_nonblocking(path: str, flags: int) -> int:
    """Open *path* without blocking: opening a pipe would wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
