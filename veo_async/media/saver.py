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

from veo_async._api.base_urls import BASE_VARIABLES, is_loopback
from veo_async._base.run_blocking import blocking
from veo_async._rules.rng import Rng
from veo_async.errors import DownloadFailed, UsageError

from .connections import open_pool
from .disk_space import Disk, Paused
from .failures import Setback, Then
from .fetch import Fetcher
from .limits import Bounds, Pace
from .link_set import Links, Renew
from .mp4 import NotWhole
from .partial_file import Part
from .retrying import Tries
from .saved_file import Place, SavedFile, find_saved, places, settle

__all__ = ["SavedFile", "Saver"]

T = TypeVar("T")

_MEND_THE_DISK = "Mend the folder or choose another, then save again; the clip itself is safe with the provider."


class Saver:
    """Saves clips, a few files at a time; open it with ``async with``, and end all saving before it closes.

    Args:
        base_url: where the API is, as for `VeoSession`. Only its host matters: results may lie on this very machine
            if the API does, and otherwise at public addresses alone.
        at_once: how many files are on their way at the same time.
        bounds: how large, how slow, how long, how often.
        on_pause: called when downloads stop because a disk is full, and again when they go on.
        resolver: asks for the addresses of names; they are checked whoever found them.
        rng: spreads the pauses between attempts.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        at_once: int = 4,
        bounds: Bounds | None = None,
        on_pause: Callable[[Paused], None] | None = None,
        resolver: AbstractResolver | None = None,
        rng: Rng | None = None,
    ) -> None:
        if at_once < 1:
            raise UsageError(f"at_once={at_once}: at least one download must be allowed")
        self._bounds = bounds or Bounds()
        self._allow_loopback = is_loopback(base_url or _base_from_environment())
        self._disk = Disk(retry_s=self._bounds.disk_retry_s, on_pause=on_pause)
        self._slots = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._resolver = resolver
        self._rng = rng or random.Random()  # noqa: S311  # jitter, not a secret
        self._pool: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._pool = open_pool(allow_loopback=self._allow_loopback, resolver=self._resolver, limit=self._at_once)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    @property
    def paused(self) -> Paused | None:
        """Why downloads stand still: a disk is full. None when they do not."""
        return self._disk.paused

    async def save(
        self,
        urls: Sequence[str],
        folder_or_file: str | os.PathLike[str],
        *,
        name: str,
        renew: Renew | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> tuple[SavedFile, ...]:
        """Save what *urls* lead to; one file each, in their order, and a small JSON beside each.

        What an earlier call has saved is not fetched again, and what it had begun is gone on with. When one file
        fails the others are still saved, so a second call has only that one to fetch.

        Args:
            urls: all links of one clip.
            folder_or_file: a folder, where the files are called ``name.mp4``, ``name-2.mp4`` …; or a path that ends in
                ``.mp4``, which then is replaced.
            name: the job's key or the task's id; whatever is unsafe in it is changed.
            renew: called for fresh links when these have expired, three times at most.
            about: what the JSON tells: request, task id (``task_id``), seeds, credits, times. URLs lose their queries.

        Raises:
            DownloadFailed: a file could not be fetched, is no complete MP4, or could not be written.
            UsageError: there is nothing to save, or the path is none.
        """
        urls, where = _checked(urls, folder_or_file)
        fetcher = self._fetcher()
        targets = await _told(blocking(places, where, name, len(urls), about))
        links = Links(urls, renew, self._bounds.renewals)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._outcome(fetcher, place, links, number), name=f"veo.save:{place.names[0]}")
                    for number, place in enumerate(targets)
                ]
        except ExceptionGroup as broken:
            raise broken.exceptions[0] from None  # what `renew` or `on_pause` raised leaves as itself
        return _all_of([task.result() for task in tasks], about)

    def _fetcher(self) -> Fetcher:
        if self._pool is None:
            raise DownloadFailed("open the Saver with `async with` first")
        return Fetcher(pool=self._pool, disk=self._disk, allow_loopback=self._allow_loopback)

    async def _outcome(self, fetcher: Fetcher, place: Place, links: Links, number: int) -> SavedFile | DownloadFailed:
        """One file; a failure is a value here, so that it disturbs no other file of the clip."""
        try:
            async with self._slots:
                return await _told(self._save(fetcher, place, links, number))
        except DownloadFailed as failure:
            return failure

    async def _save(self, fetcher: Fetcher, place: Place, links: Links, number: int) -> SavedFile:
        if (there := await blocking(find_saved, place)) is not None:
            return there
        part = Part(place.folder, place.names[0], place.owner)
        try:
            await self._disk.work(place.folder, part.open)
            return await self._until_whole(fetcher, part, place, links, number)
        finally:
            await blocking(part.close)

    async def _until_whole(self, fetcher: Fetcher, part: Part, place: Place, links: Links, number: int) -> SavedFile:
        pace, tries = Pace(self._bounds), Tries(self._bounds)
        while True:
            url, generation, before = links.urls[number], links.generation, part.size
            try:
                if not part.is_full:
                    await fetcher.attempt(url, part, pace)
                return await self._disk.work(place.folder, settle, part, place, url)
            except NotWhole as exc:
                setback = Setback(f"what was sent is not a whole video: {exc}", then=Then.RESTART)
            except Setback as exc:
                setback = exc
            can_renew = links.can_renew(generation)
            step = tries.after(setback, gained=part.size - before, can_renew=can_renew, rng=self._rng)
            if step is None:
                await _drop_if_worthless(setback, part)
                raise setback
            if step.restart:
                await blocking(part.restart)
            if step.renew:
                await links.renew(generation)
            wait_s = min(step.wait_s, pace.left_s)  # whatever a host wishes, our own bound comes first
            await asyncio.sleep(wait_s)
            pace.spent(wait_s)


async def _drop_if_worthless(setback: Setback, part: Part) -> None:
    if setback.then is Then.DISCARD:
        await blocking(part.discard)


async def _told(work: Awaitable[T]) -> T:
    """*work*, with its troubles in words for the caller."""
    try:
        return await work
    except Setback as setback:
        failure = DownloadFailed(setback.reason, http_status=setback.status, remedy=setback.remedy)
    except OSError as exc:
        failure = DownloadFailed(f"the file could not be written: {exc.strerror or exc}", remedy=_MEND_THE_DISK)
    raise failure


def _all_of(outcomes: Sequence[SavedFile | DownloadFailed], about: Mapping[str, Any] | None) -> tuple[SavedFile, ...]:
    """The files, if all are there; otherwise the first failure, raised."""
    saved = tuple(each for each in outcomes if isinstance(each, SavedFile))
    for failure in outcomes:
        if isinstance(failure, DownloadFailed):
            task_id = (about or {}).get("task_id")
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
        raise UsageError("folder_or_file: no path has a NUL in it")
    return links, path


def _base_from_environment() -> str:
    return next((os.environ[each] for each in BASE_VARIABLES if os.environ.get(each)), "")
