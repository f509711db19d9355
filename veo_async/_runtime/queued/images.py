"""Local images on their way to a URL: read, uploaded once for however many jobs want them, and kept until they lapse.

The contract:

- What cannot be used is refused before anything is queued, and nothing but a regular file is ever read: a pipe must
  not make anybody wait.
- One upload per content, whoever asks and however many at once; a few at a time. It belongs to the session: whoever
  waits for it may be cancelled without harm to the others.
- An upload is free and overwrites its like, so it is tried again as reads are. What comes of it is kept for as long as
  the answer says, else for the shorter of the provider's two claims (24 hours, three days), less a margin.
- A file is read again for its upload; if it is not what it was when the job was submitted, the job is refused.

What is kept is kept in the session alone: another session uploads again, once per picture and for nothing, which is
cheaper than a table that would have to be right about a host that forgets when it likes.
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
from veo_async._runtime.job.endings import as_request
from veo_async._runtime.retrying import Retrier
from veo_async._wire import AnyRequest, Upload, VideoRequest, endpoints
from veo_async._wire.hosts import unreachable_reason
from veo_async._wire.images import MAX_IMAGE_BYTES, LocalImage, identify_image, image_problem, is_path, with_image
from veo_async._wire.validation import url_problem
from veo_async.errors import (
    RESUME,
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
_AT_ONCE = 4
_MAX_CHECKED_URLS = 1000
#: What is believed where the answer does not say: the shorter of what the provider's pages claim.
_DEFAULT_LIFETIME_S = 24 * 3600.0
#: The provider fetches an image some time after it has accepted the job, and its clock is not ours.
EXPIRY_MARGIN_S = 3600.0


@attrs.frozen
class UploadedImage:
    """A picture where the provider can fetch it."""

    url: str
    #: What it holds; None where the provider fetched it itself.
    sha256: str | None = None
    #: Until when it can be relied upon to be there.
    expires_at: datetime | None = None


@attrs.frozen
class _CachedUpload:
    url: str
    #: By the loop's clock.
    renew_at: float


class Images:
    """The images of one session.

    Args:
        now: the wall clock.
        renew_key: the key was refused; whether there is another one now.
        find_problem: asks a URL why the provider certainly cannot use it, and what to do; None: no URL is asked.
    """

    def __init__(
        self,
        api: VeoApi,
        reads: Retrier,
        now: Callable[[], float],
        *,
        renew_key: Callable[[], Awaitable[bool]],
        find_problem: Callable[[str], Awaitable[tuple[str, str] | None]] | None = None,
    ) -> None:
        self._api, self._reads, self._now = api, reads, now
        self._renew_key, self._fault_of = renew_key, find_problem
        #: URLs that were asked and answered well.
        self._checked_urls: dict[str, None] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._kept: dict[str, _CachedUpload] = {}
        self._under_way: dict[str, asyncio.Task[_CachedUpload]] = {}

    async def prepare_request(self, request: AnyRequest | str, options: Mapping[str, Any]) -> AnyRequest:
        """The whole request, its local images checked and held by their content.

        Raises:
            InvalidRequest: an image cannot be used.
            UploadFailed: bytes could not be uploaded.
        """
        options = with_image(options)
        if isinstance(given := options.get("image_urls"), list | tuple):
            options["image_urls"] = [await self._normalize(image) for image in given]
        wanted = as_request(request, options)
        if not isinstance(wanted, VideoRequest) or not wanted.image_urls:
            return wanted
        held = [await self._as_reference(image) for image in wanted.image_urls]
        return attrs.evolve(wanted, image_urls=held) if tuple(held) != wanted.image_urls else wanted

    async def upload(self, image: ImageSource) -> UploadedImage:
        """Bring *image* to the provider, at once."""
        self._require_uploads()
        if isinstance(image, str) and not is_path(image):
            self._check_reachable(image)
            ask = partial(self._api.upload_from_url, image, folder=FOLDER)
            return self._as_uploaded_image(await self._with_retries("file-url-upload", ask, image))
        content, local = await run_blocking(_inspect, image)
        kept = await self._upload_once(local, content if isinstance(image, bytes) else None)
        return UploadedImage(kept.url, local.digest, self._wall(kept.renew_at))

    async def get_url(self, image: LocalImage) -> tuple[str, float]:
        """Where *image* is, and when, by the loop's clock, it has to be brought again.

        Raises:
            InvalidRequest: it is not there any more as it was.
            UploadFailed: it could not be uploaded.
        """
        if image.expires_at is not None and self._cached(image) is None:
            left = image.expires_at - self._now()
            if left <= 0:
                told = "was given as bytes, and its upload has expired meanwhile"
                raise image_problem(image.source, told, "submit the job again with the image")
            return image.source, _now() + left
        kept = await self._upload_once(image, None)
        return kept.url, kept.renew_at

    async def close(self) -> None:
        """Nobody waits for an upload any more."""
        for task in self._under_way.values():
            task.cancel()
        if self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    async def _normalize(self, image: Any) -> Any:
        """Bytes as the request holds them, paths as text; everything else as it is."""
        if isinstance(image, PathLike):
            return os.fsdecode(image)
        if not isinstance(image, bytes):
            return image
        self._require_uploads()
        local = await run_blocking(identify_image, image, "")
        kept = await self._upload_once(local, image)
        until = int(self._now() + kept.renew_at - _now())
        return attrs.evolve(local, source=kept.url, expires_at=until).as_reference

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
        """What is no URL at all is told with the other faults of the request."""
        if url_problem(url):
            return
        if why := unreachable_reason(url, allow_loopback=is_loopback(self._api.base_urls.api)):
            raise InvalidRequest.of(Problem("image_urls", url, why, "pass the file itself, and it is uploaded"))

    async def _check_url(self, url: str) -> None:
        if self._fault_of is None or url in self._checked_urls or url_problem(url):
            return
        if (why := await self._fault_of(url)) is not None:
            raise InvalidRequest.of(Problem("image_urls", url, *why))
        self._checked_urls[url] = None
        if len(self._checked_urls) > _MAX_CHECKED_URLS:
            del self._checked_urls[next(iter(self._checked_urls))]

    def _cached(self, image: LocalImage) -> _CachedUpload | None:
        kept = self._kept.get(image.digest)
        return kept if kept is not None and _now() < kept.renew_at else None

    async def _upload_once(self, image: LocalImage, content: bytes | None) -> _CachedUpload:
        if (kept := self._cached(image)) is not None:
            return kept
        task = self._under_way.get(image.digest)
        if task is None:
            task = asyncio.create_task(self._upload(image, content), name="veo.upload")
            self._under_way[image.digest] = task
            task.add_done_callback(lambda done: self._upload_done(image.digest, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise  # whoever waited was cancelled; the upload goes on for the others
            raise SessionClosed("the session was closed before the image was uploaded", remedy=RESUME) from None

    def _upload_done(self, digest: str, task: "asyncio.Task[_CachedUpload]") -> None:
        del self._under_way[digest]
        if not task.cancelled():
            _ = task.exception()  # whoever waited has it; if nobody did, nobody misses it

    async def _upload(self, image: LocalImage, content: bytes | None) -> _CachedUpload:
        async with self._room:
            if content is None:
                content = await run_blocking(_reread, image)
            began = _now()
            ask = partial(self._api.upload_file, content, folder=FOLDER, file_name=image.name)
            upload = await self._with_retries("file-stream-upload", ask, image.source)
        kept = self._kept[image.digest] = _CachedUpload(upload.url, began + _without_margin(self._lifetime_s(upload)))
        return kept

    async def _with_retries(self, endpoint: Any, ask: Callable[[], Any], source: str) -> Upload:
        try:
            return await self._with_new_key(endpoint, ask)
        except InvalidRequest:
            raise
        except VeoError as error:
            told = f"the image {source or '(bytes)'} was not uploaded: {error.message}"
            failed = UploadFailed(told, endpoint=endpoint, http_status=error.http_status, body_code=error.body_code)
            failed.retryable = error.retryable or isinstance(error, ServerError | TransportError)
            raise failed from error

    async def _with_new_key(self, endpoint: Any, ask: Callable[[], Any]) -> Upload:
        """*ask*, patiently; when the key is refused, with the next one if there is one."""
        try:
            upload: Upload = await self._reads.call(endpoint, ask)
        except Unauthorized:
            if not await self._renew_key():
                raise
            upload = await self._reads.call(endpoint, ask)
        return upload

    def _lifetime_s(self, upload: Upload) -> float:
        """Seconds that it is there; by the host's own clock where it tells both times."""
        if upload.expires_at is None:
            return _DEFAULT_LIFETIME_S
        began = upload.uploaded_at or datetime.fromtimestamp(self._now(), UTC)
        return max(0.0, (upload.expires_at - began).total_seconds())

    def _as_uploaded_image(self, upload: Upload) -> UploadedImage:
        return UploadedImage(upload.url, None, self._wall(_now() + self._lifetime_s(upload)))

    def _wall(self, at: float) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC) + timedelta(seconds=at - _now())


def _without_margin(life_s: float) -> float:
    """What of its life is to be relied upon; of a short one a quarter is kept back, not all of it."""
    return life_s - min(EXPIRY_MARGIN_S, life_s / 4)


def inspect_image(path: str) -> LocalImage:
    """What lies at *path*; blocks.

    Raises:
        InvalidRequest: nothing that could be uploaded.
    """
    return _inspect(path)[1]


def _inspect(image: ImageSource) -> tuple[bytes, LocalImage]:
    if isinstance(image, bytes):
        return image, identify_image(image, "")
    path = os.path.abspath(os.fsdecode(image))
    content = _content(path)
    return content, identify_image(content, path)


def _reread(image: LocalImage) -> bytes:
    content = _content(image.source)
    if identify_image(content, image.source).digest != image.digest:
        told = "has changed since the job was submitted"
        raise image_problem(image.source, told, "submit the job again, under another key, for the new picture")
    return content


def _content(path: str) -> bytes:
    """The bytes at *path*, one more than may be at most."""
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise image_problem(path, "is no regular file", "name a JPEG, PNG or WebP file")
            return file.read(MAX_IMAGE_BYTES + 1)
    except IsADirectoryError:
        raise image_problem(path, "is a folder", "name a file in it") from None
    except (OSError, ValueError) as why:
        told = getattr(why, "strerror", None) or str(why)
        raise image_problem(path, f"cannot be read: {told}", "name a file that is there, or give a URL") from None


def _open_nonblocking(path: str, flags: int) -> int:
    """Open *path* at once: a pipe would be waited for, for as long as nobody writes."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _now() -> float:
    return asyncio.get_running_loop().time()
