"""`Saver`: every file of a clip from its URLs to the disk, whole, known by its hash, and once."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver

from veo_async._api.base_urls import BASE_URL_VARIABLES, is_loopback
from veo_async._base.run_blocking import run_blocking
from veo_async._rules.rng import Rng
from veo_async.errors import DownloadFailed, UsageError

from .connections import open_http_session
from .disk_space import DiskPause, DiskWriter
from .failures import Advice, AttemptFailed
from .fetch import Fetcher
from .limits import DownloadLimits, SpeedMonitor
from .link_set import LinkSet, Renew
from .mp4 import IncompleteVideo
from .partial_file import PartialFile
from .retrying import RetryPolicy
from .saved_file import Destination, SavedFile, destinations, finalize, find_saved

__all__ = ["SavedFile", "Saver"]

T = TypeVar("T")

_DISK_REMEDY = "Mend the folder or choose another, then save again; the clip itself is safe with the provider."


class Saver:
    """Saves clips, a few files at a time; open it with ``async with``, and end all saving before it closes.

    Args:
        base_url: where the API is, as for `VeoSession`. Only its host matters: results may lie on this very machine
            if the API does, and otherwise at public addresses alone.
        max_downloads: how many files are on their way at the same time.
        bounds: how large, how slow, how long, how often.
        on_pause: called when downloads stop because a disk is full, and again when they go on.
        resolver: asks for the addresses of names; they are checked whoever found them.
        rng: spreads the pauses between attempts.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        max_downloads: int = 4,
        bounds: DownloadLimits | None = None,
        on_pause: Callable[[DiskPause], None] | None = None,
        resolver: AbstractResolver | None = None,
        rng: Rng | None = None,
    ) -> None:
        if max_downloads < 1:
            raise UsageError(f"max_downloads={max_downloads}: at least one download must be allowed")
        self._bounds = bounds or DownloadLimits()
        self._allow_loopback = is_loopback(base_url or _base_from_environment())
        self._disk = DiskWriter(retry_s=self._bounds.disk_retry_s, on_pause=on_pause)
        self._slots = asyncio.Semaphore(max_downloads)
        self._at_once = max_downloads
        self._resolver = resolver
        self._rng = rng or random.Random()  # noqa: S311  # jitter, not a secret
        self._pool: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._pool = open_http_session(
            allow_loopback=self._allow_loopback, resolver=self._resolver, limit=self._at_once
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    @property
    def paused(self) -> DiskPause | None:
        """Why downloads stand still: a disk is full. None when they do not."""
        return self._disk.paused

    async def save(
        self,
        urls: Sequence[str],
        destination: str | os.PathLike[str],
        *,
        name: str,
        renew: Renew | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> tuple[SavedFile, ...]:
        """Save what *urls* lead to; one file each, in their order, and a small JSON beside each.

        What an earlier call has saved is not fetched again, and what it had begun is gone on with. When one file
        fails the others are still saved, so a second call has only that one to fetch.

        Args:
            urls: all links of one clip.
            destination: a folder, where the files are called ``name.mp4``, ``name-2.mp4`` …; or a path that ends in
                ``.mp4``, which then is replaced.
            name: the job's key or the task's id; whatever is unsafe in it is changed.
            renew: called for fresh links when these have expired, three times at most.
            about: what the JSON tells: request, task id (``task_id``), seeds, credits, times. URLs lose their queries.

        Raises:
            DownloadFailed: a file could not be fetched, is no complete MP4, or could not be written.
            UsageError: there is nothing to save, or the path is none.
        """
        urls, where = _checked(urls, destination)
        fetcher = self._fetcher()
        targets = await _translate_errors(run_blocking(destinations, where, name, len(urls), metadata))
        links = LinkSet(urls, renew, self._bounds.max_link_renewals)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        self._outcome(fetcher, destination, links, number), name=f"veo.save:{destination.names[0]}"
                    )
                    for number, destination in enumerate(targets)
                ]
        except ExceptionGroup as broken:
            raise broken.exceptions[0] from None  # what `renew` or `on_pause` raised leaves as itself
        return _all_saved([task.result() for task in tasks], metadata)

    def _fetcher(self) -> Fetcher:
        if self._pool is None:
            raise DownloadFailed("the saver is not open", remedy="Use it inside its `async with` block.")
        return Fetcher(http=self._pool, disk=self._disk, allow_loopback=self._allow_loopback)

    async def _outcome(
        self, fetcher: Fetcher, destination: Destination, links: LinkSet, number: int
    ) -> SavedFile | DownloadFailed:
        """One file; a failure is a value here, so that it disturbs no other file of the clip."""
        try:
            async with self._slots:
                return await _translate_errors(self._save(fetcher, destination, links, number))
        except DownloadFailed as failure:
            return failure

    async def _save(self, fetcher: Fetcher, destination: Destination, links: LinkSet, number: int) -> SavedFile:
        if (there := await run_blocking(find_saved, destination)) is not None:
            return there
        partial = PartialFile(destination.folder, destination.names[0], destination.clip_id)
        try:
            await self._disk.run(destination.folder, partial.open)
            return await self._download(fetcher, partial, destination, links, number)
        finally:
            await run_blocking(partial.close)

    async def _download(
        self, fetcher: Fetcher, partial: PartialFile, destination: Destination, links: LinkSet, number: int
    ) -> SavedFile:
        speed, retries = SpeedMonitor(self._bounds), RetryPolicy(self._bounds)
        while True:
            url, generation, before = links.urls[number], links.generation, partial.size
            try:
                if not partial.is_complete:
                    await fetcher.attempt(url, partial, speed)
                return await self._disk.run(destination.folder, finalize, partial, destination, url)
            except IncompleteVideo as exc:
                failure = AttemptFailed(f"what was sent is not a whole video: {exc}", advice=Advice.RESTART)
            except AttemptFailed as exc:
                failure = exc
            can_renew = links.can_renew(generation)
            step = retries.next_action(failure, bytes_gained=partial.size - before, can_renew=can_renew, rng=self._rng)
            if step is None:
                await _discard_if_useless(failure, partial)
                raise failure
            if step.restart:
                await run_blocking(partial.restart)
            if step.renew:
                await links.renew(generation)
            wait_s = min(step.wait_s, speed.left_s)  # whatever a host wishes, our own bound comes first
            await asyncio.sleep(wait_s)
            speed.add_wait(wait_s)


async def _discard_if_useless(failure: AttemptFailed, partial: PartialFile) -> None:
    if failure.advice is Advice.DISCARD:
        await run_blocking(partial.discard)


async def _translate_errors(work: Awaitable[T]) -> T:
    """*work*, with its troubles in words for the caller."""
    try:
        return await work
    except AttemptFailed as failure:
        error = DownloadFailed(failure.reason, http_status=failure.status, remedy=failure.remedy)
    except OSError as exc:
        error = DownloadFailed(f"the file could not be written: {exc.strerror or exc}", remedy=_DISK_REMEDY)
    raise error


def _all_saved(
    outcomes: Sequence[SavedFile | DownloadFailed], metadata: Mapping[str, Any] | None
) -> tuple[SavedFile, ...]:
    """The files, if all are there; otherwise the first failure, raised."""
    saved = tuple(each for each in outcomes if isinstance(each, SavedFile))
    for failure in outcomes:
        if isinstance(failure, DownloadFailed):
            task_id = (metadata or {}).get("task_id")
            failure.add_evidence(task_id=str(task_id) if task_id else None)
            if saved:
                failure.add_note(f"{len(saved)} of the clip's {len(outcomes)} files were saved")
            raise failure
    return saved


def _checked(urls: Sequence[str], where: str | os.PathLike[str]) -> tuple[tuple[str, ...], Path]:
    links = (urls,) if isinstance(urls, str) else tuple(urls)
    if not links:
        raise UsageError("urls: there is none, so there is nothing to save")
    path = Path(where)
    if "\0" in str(path):
        raise UsageError("destination: no path has a NUL in it")
    return links, path


def _base_from_environment() -> str:
    return next((os.environ[each] for each in BASE_URL_VARIABLES if os.environ.get(each)), "")
