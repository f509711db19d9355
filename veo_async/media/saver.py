"""`Saver`: saves every video of a clip, complete and verified, and each only once."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from aiohttp.abc import AbstractResolver

from veo_async._api.base_urls import BASE_URL_VARIABLES, is_loopback
from veo_async._api.routes import Routes
from veo_async._base.atomic_write import remove_abandoned
from veo_async._base.run_blocking import run_blocking
from veo_async._rules.rng import Rng
from veo_async.errors import DownloadFailed, UsageError

from .connections import FileConnections
from .destinations import Destination, choose_path, destinations
from .disk_space import DiskPause, DiskWriter
from .failures import Advice, AttemptFailed
from .fetch import Fetcher
from .limits import DownloadLimits, SpeedMonitor
from .link_set import LinkSet, Renew
from .mp4 import IncompleteVideo
from .partial_file import PartialFile, names_of_partial_files, remove_partial_files, short_name
from .retrying import RetryPolicy
from .saved_file import SavedFile, finalize, find_saved, strip_queries

T = TypeVar("T")

_DISK_REMEDY = "Fix the folder or choose another, then save again. The provider keeps the clip for some days."


class Saver:
    """Saves clips. Use it with ``async with``, and let all calls of `save` finish before the block ends.

    Args:
        base_url: where the API is, as for `VeoSession`. Only its host matters: if the API is on this machine, videos
            may be too; otherwise only public addresses are allowed.
        max_downloads: how many files are downloaded at the same time.
        limits: the limits on size, speed, duration and retries.
        on_pause: called when downloads pause because a disk is full, and when they resume.
        resolver: resolves host names; its results are checked.
        rng: randomizes the delays between attempts.
        overwrite: replace a file that the caller names although it is not this clip's.
        mode: the permissions of the files; None leaves them to the umask.
        routes: how hosts are reached; by default directly.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        max_downloads: int = 4,
        limits: DownloadLimits | None = None,
        on_pause: Callable[[DiskPause], None] | None = None,
        resolver: AbstractResolver | None = None,
        rng: Rng | None = None,
        overwrite: bool = False,
        mode: int | None = None,
        routes: Routes | None = None,
    ) -> None:
        if max_downloads < 1:
            raise UsageError(f"max_downloads={max_downloads}: at least one download must be allowed")
        self._limits = limits or DownloadLimits()
        self._allow_loopback = is_loopback(base_url or _base_url_from_environment())
        self._disk = DiskWriter(retry_s=self._limits.disk_retry_s, on_pause=on_pause)
        self._slots = asyncio.Semaphore(max_downloads)
        self._max_downloads = max_downloads
        self._overwrite, self._mode = overwrite, mode
        self._resolver, self._routes = resolver, routes
        self._rng = rng or random.Random()  # noqa: S311  # jitter, not a secret
        self._http: FileConnections | None = None
        #: The folders that were cleaned, and the names of the videos that had partial files there.
        self._cleaned: dict[Path, frozenset[str]] = {}

    async def __aenter__(self) -> Self:
        self._http = FileConnections(
            allow_loopback=self._allow_loopback,
            resolver=self._resolver,
            limit=self._max_downloads,
            routes=self._routes,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def paused(self) -> DiskPause | None:
        """The current pause because of a full disk, or None."""
        return self._disk.paused

    async def save(
        self,
        urls: Sequence[str],
        destination: str | os.PathLike[str],
        *,
        name: str,
        stem: str | None = None,
        renew: Renew | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> tuple[SavedFile, ...]:
        """Download each of *urls* to a file with a JSON sidecar, and return the files in the same order.

        Files that an earlier call has saved are not downloaded again, and interrupted downloads are resumed. If one
        file fails, the others are still saved, so that a second call downloads only that one.

        Args:
            urls: all links of one clip.
            destination: a folder, in which the files are named ``name.mp4``, ``name-2.mp4`` and so on; or a path that
                ends in ``.mp4``. Files of other clips, and files that are not ours, are not replaced.
            name: the job's key or the task id, by which the clip is known again.
            stem: what the files are called instead of *name*; by default *name*, with unsafe characters replaced.
            renew: returns fresh links when these have expired; called at most three times.
            metadata: what the sidecar contains: request, task id (``task_id``), seeds, credits, times. The queries of
                URLs are removed.

        Raises:
            DownloadFailed: a file could not be downloaded, is not a complete MP4, or could not be written.
            UsageError: *urls* is empty, or *destination* is not a path.
        """
        urls, target = _checked(urls, destination)
        fetcher, facts = self._fetcher(), strip_queries(dict(metadata or {}))
        options: dict[str, Any] = {"stem": stem, "overwrite": self._overwrite, "mode": self._mode}
        targets = await _translate_errors(run_blocking(destinations, target, name, len(urls), facts, **options))
        for folder in {target.folder for target in targets} - self._cleaned.keys():
            self._cleaned[folder] = await run_blocking(_clean, folder)
        links = LinkSet(urls, renew, self._limits.max_link_renewals)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._outcome(fetcher, target, links, number), name=f"veo.save:{target.names[0]}")
                    for number, target in enumerate(targets)
                ]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # errors of `renew` and `on_pause` reach the caller unwrapped
        return _all_saved([task.result() for task in tasks], metadata)

    def _fetcher(self) -> Fetcher:
        if self._http is None:
            raise DownloadFailed("the saver is not open", remedy="Use it inside its `async with` block.")
        return Fetcher(http=self._http, disk=self._disk, allow_loopback=self._allow_loopback)

    async def _outcome(
        self, fetcher: Fetcher, destination: Destination, links: LinkSet, number: int
    ) -> SavedFile | DownloadFailed:
        """Save one file. Return its failure instead of raising it, so that the other files continue."""
        try:
            async with self._slots:
                return await _translate_errors(self._save(fetcher, destination, links, number))
        except DownloadFailed as failure:
            return failure

    async def _save(self, fetcher: Fetcher, destination: Destination, links: LinkSet, number: int) -> SavedFile:
        folder, name = destination.folder, destination.names[0]
        if (saved := await run_blocking(find_saved, destination)) is not None:
            if short_name(name) in self._cleaned[folder]:  # left by a process that was killed
                await run_blocking(remove_partial_files, folder, name, destination.clip_id)
            return saved
        await run_blocking(choose_path, destination)  # before the download, which would be in vain
        partial = PartialFile(folder, name, destination.clip_id)
        try:
            await self._disk.run(destination.folder, partial.open)
            return await self._download(fetcher, partial, destination, links, number)
        finally:
            await run_blocking(partial.close)

    async def _download(
        self, fetcher: Fetcher, partial: PartialFile, destination: Destination, links: LinkSet, number: int
    ) -> SavedFile:
        speed, retries = SpeedMonitor(self._limits), RetryPolicy(self._limits)
        while True:
            url, generation, before = links.urls[number], links.generation, partial.size
            try:
                if not partial.is_complete:
                    await fetcher.attempt(url, partial, speed)
                return await self._disk.run(destination.folder, finalize, partial, destination, url)
            except IncompleteVideo as exc:
                reason = f"the downloaded file is not a complete MP4: {exc}"
                failure = AttemptFailed(reason, advice=Advice.RESTART)
            except AttemptFailed as exc:
                failure = exc
            can_renew = links.can_renew(generation)
            gained = partial.size - before
            action = retries.next_action(failure, bytes_gained=gained, can_renew=can_renew, rng=self._rng)
            if action is None:
                if failure.advice is Advice.DISCARD:
                    await run_blocking(partial.discard)
                raise failure
            if action.restart:
                await run_blocking(partial.restart)
            if action.renew:
                await links.renew(generation)
            wait_s = min(action.wait_s, speed.remaining_s)  # our time limit counts more than a server's Retry-After
            await asyncio.sleep(wait_s)
            speed.add_wait(wait_s)


def _clean(folder: Path) -> frozenset[str]:
    """Remove abandoned temporary files, and return the names of the videos that have partial files."""
    remove_abandoned(folder)
    return names_of_partial_files(folder)


async def _translate_errors(work: Awaitable[T]) -> T:
    """Await *work*, and turn its errors into `DownloadFailed`."""
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
    """Return the files, or raise the first failure."""
    saved = tuple(outcome for outcome in outcomes if isinstance(outcome, SavedFile))
    for failure in outcomes:
        if isinstance(failure, DownloadFailed):
            task_id = (metadata or {}).get("task_id")
            failure.add_evidence(task_id=str(task_id) if task_id else None)
            if saved:
                failure.add_note(f"{len(saved)} of the clip's {len(outcomes)} files were saved")
            raise failure
    return saved


def _checked(urls: Sequence[str], destination: str | os.PathLike[str]) -> tuple[tuple[str, ...], str]:
    links = (urls,) if isinstance(urls, str) else tuple(urls)
    if not links:
        raise UsageError("urls is empty: nothing to save")
    target = os.fspath(destination)
    if "\0" in target:
        raise UsageError("destination contains a NUL character")
    return links, target


def _base_url_from_environment() -> str:
    return next((os.environ[name] for name in BASE_URL_VARIABLES if os.environ.get(name)), "")
