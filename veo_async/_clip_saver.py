"""`ClipSaver`: saves a session's clips with `media` and renews their links through the API."""

import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from ._api import VeoApi
from ._rules.rng import Rng
from ._runtime.job.outcome import Clip
from ._runtime.log import logger_for
from ._runtime.ready.saving import sidecar_metadata
from ._runtime.retrying import Retrier
from ._wire import Record
from .errors import VeoError
from .media import DiskPause, Saver

_logger = logger_for(__name__)


class ClipSaver:
    """Saves the clips of one session. It opens nothing before the first clip.

    Args:
        read_record: returns a task's record.
        retrier: retries failed reads.
        max_downloads: how many files are downloaded at the same time.
    """

    def __init__(
        self,
        api: VeoApi,
        read_record: Callable[[str], Awaitable[Record]],
        retrier: Retrier,
        *,
        max_downloads: int,
        rng: Rng,
    ) -> None:
        self._api, self._read_record, self._retrier = api, read_record, retrier
        self._max_downloads, self._rng = max_downloads, rng
        self._saver: Saver | None = None

    async def save(self, clip: Clip, path: Path) -> tuple[Path, ...]:
        """Save the videos of *clip* to a file or into a folder, and return their paths.

        Raises:
            DownloadFailed: at least one video could not be saved.
        """
        renewals = itertools.count()

        async def renew() -> tuple[str, ...]:
            return await self._renewed_urls(clip, is_first=next(renewals) == 0)

        saver = await self._get_saver()
        files = await saver.save(clip.urls, path, name=clip.key, renew=renew, metadata=sidecar_metadata(clip))
        return tuple(file.path for file in files)

    async def close(self) -> None:
        """Close the saver."""
        if self._saver is not None:
            await self._saver.__aexit__(None, None, None)

    async def _renewed_urls(self, clip: Clip, *, is_first: bool) -> tuple[str, ...]:
        """Return fresh links: first those in the record, if they changed, later direct links, valid for minutes."""
        urls = clip.urls
        with suppress(VeoError):  # a direct link needs no record
            urls = (await self._read_record(clip.task_id)).urls or clip.urls
        if is_first and urls != clip.urls:
            return urls
        call = self._retrier.call
        return tuple([(await call("download-url", partial(self._api.download_url, url))).url for url in urls])

    async def _get_saver(self) -> Saver:
        if self._saver is None:
            base_url = self._api.base_urls.api
            limit = self._max_downloads
            self._saver = Saver(base_url=base_url, max_downloads=limit, on_pause=_log_pause, rng=self._rng)
            await self._saver.__aenter__()
        return self._saver


def _log_pause(pause: DiskPause) -> None:
    extra = {"action": "paused" if pause.is_full else "resumed", "reason": "disk"}
    if pause.is_full:
        _logger.warning("downloads paused, no space in %s: %s", pause.folder, pause.reason, extra=extra)
    else:
        _logger.info("downloads resumed in %s", pause.folder, extra=extra)
