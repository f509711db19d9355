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
from veo_async._base.run_blocking import blocking
from veo_async._runtime.job.endings import as_request
from veo_async._runtime.retrying import Reads
from veo_async._wire import AnyRequest, Upload, VideoRequest, endpoints
from veo_async._wire.hosts import unreachable
from veo_async._wire.images import MOST_BYTES, LocalImage, inspected, is_path, refused, with_image
from veo_async._wire.validation import url_fault
from veo_async.errors import (
    Fault,
    InvalidRequest,
    ServerBroken,
    SessionClosed,
    TransportError,
    Unauthorized,
    UploadFailed,
    VeoError,
)

ImageSource = str | PathLike[str] | bytes

FOLDER = "veo-async"
_AT_ONCE = 4
_MOST_FINE = 1000
#: What is believed where the answer does not say: the shorter of what the provider's pages claim.
_LIFE_S = 24 * 3600.0
#: The provider fetches an image some time after it has accepted the job, and its clock is not ours.
MARGIN_S = 3600.0


@attrs.frozen
class Uploaded:
    """A picture where the provider can fetch it."""

    url: str
    #: What it holds; None where the provider fetched it itself.
    sha256: str | None = None
    #: Until when it can be relied upon to be there.
    expires_at: datetime | None = None


@attrs.frozen
class _Kept:
    url: str
    #: By the loop's clock.
    renew_at: float


class Images:
    """The images of one session.

    Args:
        now: the wall clock.
        renew_key: the key was refused; whether there is another one now.
        fault_of: asks a URL why the provider certainly cannot use it, and what to do; None: no URL is asked.
    """

    def __init__(
        self,
        api: VeoApi,
        reads: Reads,
        now: Callable[[], float],
        *,
        renew_key: Callable[[], Awaitable[bool]],
        fault_of: Callable[[str], Awaitable[tuple[str, str] | None]] | None = None,
    ) -> None:
        self._api, self._reads, self._now = api, reads, now
        self._renew_key, self._fault_of = renew_key, fault_of
        #: URLs that were asked and answered well.
        self._fine: dict[str, None] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._kept: dict[str, _Kept] = {}
        self._under_way: dict[str, asyncio.Task[_Kept]] = {}

    async def prepared(self, request: AnyRequest | str, options: Mapping[str, Any]) -> AnyRequest:
        """The whole request, its local images checked and held by their content.

        Raises:
            InvalidRequest: an image cannot be used.
            UploadFailed: bytes could not be uploaded.
        """
        options = with_image(options)
        if isinstance(given := options.get("image_urls"), list | tuple):
            options["image_urls"] = [await self._named(image) for image in given]
        wanted = as_request(request, options)
        if not isinstance(wanted, VideoRequest) or not wanted.image_urls:
            return wanted
        held = [await self._held(image) for image in wanted.image_urls]
        return attrs.evolve(wanted, image_urls=held) if tuple(held) != wanted.image_urls else wanted

    async def upload(self, image: ImageSource) -> Uploaded:
        """Bring *image* to the provider, at once."""
        self._require_host()
        if isinstance(image, str) and not is_path(image):
            self._require_fetchable(image)
            ask = partial(self._api.upload_url, image, folder=FOLDER)
            return self._told(await self._patiently("file-url-upload", ask, image))
        content, local = await blocking(_looked_at, image)
        kept = await self._once(local, content if isinstance(image, bytes) else None)
        return Uploaded(kept.url, local.digest, self._wall(kept.renew_at))

    async def url_of(self, image: LocalImage) -> tuple[str, float]:
        """Where *image* is, and when, by the loop's clock, it has to be brought again.

        Raises:
            InvalidRequest: it is not there any more as it was.
            UploadFailed: it could not be uploaded.
        """
        if image.until is not None and self._fresh(image) is None:
            left = image.until - self._now()
            if left <= 0:
                told = "was given as bytes, and its upload has expired meanwhile"
                raise refused(image.source, told, "submit the job again with the image")
            return image.source, _now() + left
        kept = await self._once(image, None)
        return kept.url, kept.renew_at

    async def close(self) -> None:
        """Nobody waits for an upload any more."""
        for task in self._under_way.values():
            task.cancel()
        if self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    async def _named(self, image: Any) -> Any:
        """Bytes as the request holds them, paths as text; everything else as it is."""
        if isinstance(image, PathLike):
            return os.fsdecode(image)
        if not isinstance(image, bytes):
            return image
        self._require_host()
        local = await blocking(inspected, image, "")
        kept = await self._once(local, image)
        until = int(self._now() + kept.renew_at - _now())
        return attrs.evolve(local, source=kept.url, until=until).held

    async def _held(self, image: str) -> str:
        if LocalImage.of(image) is not None:
            self._require_host()
            return image
        if not is_path(image):
            self._require_fetchable(image)
            await self._ask(image)
            return image
        self._require_host()
        _, local = await blocking(_looked_at, image)
        return local.held

    def _require_host(self) -> None:
        self._api.dialect.require(endpoints.FILE_STREAM_UPLOAD)

    def _require_fetchable(self, url: str) -> None:
        """What is no URL at all is told with the other faults of the request."""
        if url_fault(url):
            return
        if why := unreachable(url, allow_loopback=is_loopback(self._api.addresses.api)):
            raise InvalidRequest.of(Fault("image_urls", url, why, "pass the file itself, and it is uploaded"))

    async def _ask(self, url: str) -> None:
        if self._fault_of is None or url in self._fine or url_fault(url):
            return
        if (why := await self._fault_of(url)) is not None:
            raise InvalidRequest.of(Fault("image_urls", url, *why))
        self._fine[url] = None
        if len(self._fine) > _MOST_FINE:
            del self._fine[next(iter(self._fine))]

    def _fresh(self, image: LocalImage) -> _Kept | None:
        kept = self._kept.get(image.digest)
        return kept if kept is not None and _now() < kept.renew_at else None

    async def _once(self, image: LocalImage, content: bytes | None) -> _Kept:
        if (kept := self._fresh(image)) is not None:
            return kept
        task = self._under_way.get(image.digest)
        if task is None:
            task = asyncio.create_task(self._brought(image, content), name="veo.upload")
            self._under_way[image.digest] = task
            task.add_done_callback(lambda done: self._has_come(image.digest, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise  # whoever waited was cancelled; the upload goes on for the others
            raise SessionClosed("the session was closed before the image was uploaded") from None

    def _has_come(self, digest: str, task: "asyncio.Task[_Kept]") -> None:
        del self._under_way[digest]
        if not task.cancelled():
            _ = task.exception()  # whoever waited has it; if nobody did, nobody misses it

    async def _brought(self, image: LocalImage, content: bytes | None) -> _Kept:
        async with self._room:
            if content is None:
                content = await blocking(_unchanged, image)
            began = _now()
            ask = partial(self._api.upload_file, content, folder=FOLDER, file_name=image.name)
            upload = await self._patiently("file-stream-upload", ask, image.source)
        kept = self._kept[image.digest] = _Kept(upload.url, began + _without_margin(self._life(upload)))
        return kept

    async def _patiently(self, endpoint: Any, ask: Callable[[], Any], source: str) -> Upload:
        try:
            return await self._asked(endpoint, ask)
        except InvalidRequest:
            raise
        except VeoError as error:
            told = f"the image {source or '(bytes)'} was not uploaded: {error.message}"
            failed = UploadFailed(told, endpoint=endpoint, http_status=error.http_status, body_code=error.body_code)
            failed.retryable = error.retryable or isinstance(error, ServerBroken | TransportError)
            raise failed from error

    async def _asked(self, endpoint: Any, ask: Callable[[], Any]) -> Upload:
        """*ask*, patiently; when the key is refused, with the next one if there is one."""
        try:
            upload: Upload = await self._reads.patiently(endpoint, ask)
        except Unauthorized:
            if not await self._renew_key():
                raise
            upload = await self._reads.patiently(endpoint, ask)
        return upload

    def _life(self, upload: Upload) -> float:
        """Seconds that it is there; by the host's own clock where it tells both times."""
        if upload.expires_at is None:
            return _LIFE_S
        began = upload.uploaded_at or datetime.fromtimestamp(self._now(), UTC)
        return max(0.0, (upload.expires_at - began).total_seconds())

    def _told(self, upload: Upload) -> Uploaded:
        return Uploaded(upload.url, None, self._wall(_now() + self._life(upload)))

    def _wall(self, at: float) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC) + timedelta(seconds=at - _now())


def _without_margin(life_s: float) -> float:
    """What of its life is to be relied upon; of a short one a quarter is kept back, not all of it."""
    return life_s - min(MARGIN_S, life_s / 4)


def look_at(path: str) -> LocalImage:
    """What lies at *path*; blocks.

    Raises:
        InvalidRequest: nothing that could be uploaded.
    """
    return _looked_at(path)[1]


def _looked_at(image: ImageSource) -> tuple[bytes, LocalImage]:
    if isinstance(image, bytes):
        return image, inspected(image, "")
    path = os.path.abspath(os.fsdecode(image))
    content = _content(path)
    return content, inspected(content, path)


def _unchanged(image: LocalImage) -> bytes:
    content = _content(image.source)
    if inspected(content, image.source).digest != image.digest:
        told = "has changed since the job was submitted"
        raise refused(image.source, told, "submit the job again, under another key, for the new picture")
    return content


def _content(path: str) -> bytes:
    """The bytes at *path*, one more than may be at most."""
    try:
        with open(path, "rb", opener=_unwaiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise refused(path, "is no regular file", "name a JPEG, PNG or WebP file")
            return file.read(MOST_BYTES + 1)
    except IsADirectoryError:
        raise refused(path, "is a folder", "name a file in it") from None
    except (OSError, ValueError) as why:
        told = getattr(why, "strerror", None) or str(why)
        raise refused(path, f"cannot be read: {told}", "name a file that is there, or give a URL") from None


def _unwaiting(path: str, flags: int) -> int:
    """Open *path* at once: a pipe would be waited for, for as long as nobody writes."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _now() -> float:
    return asyncio.get_running_loop().time()
