"""Clips to files, with links that are renewed: the runtime has the clips, `media` knows how to save; here they meet."""

import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from ._api import VeoApi
from ._rules.rng import Rng
from ._runtime.job.outcome import Clip
from ._runtime.log import logger_for
from ._runtime.ready.saving import sidecar_metadata
from ._runtime.retrying import Retrier
from ._wire import Record
from .media import DiskPause, Saver

_logger = logger_for(__name__)


class ClipSaver:
    """Saves clips of one session; nothing is opened before the first.

    Args:
        look: reads a task's record.
        max_downloads: how many files are fetched at once.
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
        self._api, self._look, self._reads, self._at_once, self._rng = api, read_record, retrier, max_downloads, rng
        self._saver: Saver | None = None

    async def save(self, clip: Clip, path: Path) -> tuple[Path, ...]:
        """Save *clip*'s videos to a file or into a folder; where they are.

        Raises:
            DownloadFailed: not all of them are there.
        """
        renewals = itertools.count()

        async def renew() -> tuple[str, ...]:
            return await self._renewed_urls(clip, is_first=next(renewals) == 0)

        saver = await self._get_saver()
        files = await saver.save(clip.urls, path, name=clip.key, renew=renew, metadata=sidecar_metadata(clip))
        return tuple(file.path for file in files)

    async def close(self) -> None:
        """All saving has ended."""
        if self._saver is not None:
            await self._saver.__aexit__(None, None, None)

    async def _renewed_urls(self, clip: Clip, *, is_first: bool) -> tuple[str, ...]:
        """The record may hold fresh links; after that, direct ones are asked for, which live for minutes."""
        urls = (await self._look(clip.task_id)).urls or clip.urls
        if is_first and urls != clip.urls:
            return urls
        ask = self._reads.call
        return tuple([(await ask("download-url", partial(self._api.download_url, url))).url for url in urls])

    async def _get_saver(self) -> Saver:
        if self._saver is None:
            base_url = self._api.base_urls.api
            self._saver = Saver(base_url=base_url, max_downloads=self._at_once, on_pause=_log_pause, rng=self._rng)
            await self._saver.__aenter__()
        return self._saver


def _log_pause(pause: DiskPause) -> None:
    extra = {"action": "paused" if pause.is_full else "resumed", "reason": "disk"}
    if pause.is_full:
        _logger.warning("downloads wait for room in %s: %s", pause.folder, pause.reason, extra=extra)
    else:
        _logger.info("downloads go on in %s", pause.folder, extra=extra)
