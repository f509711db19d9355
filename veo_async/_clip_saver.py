"""`ClipSaver`: saves a session's clips with `media` and renews their links through the API."""

import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import attrs

from ._api import VeoApi
from ._runtime.job.outcome import Clip
from ._runtime.log import logger_for
from ._runtime.ready.resolution import requested_resolution, wrong_sizes
from ._runtime.ready.saving import sidecar_metadata
from ._runtime.retrying import Retrier
from ._wire import Record, RouteName
from .errors import DownloadFailed, RecordExpired, RecordNotFound, VeoError
from .media import DiskPause, Saver
from .media.names import clip_stem

_logger = logger_for(__name__)

_NEW_TAKE: Final = "For a new clip, submit the request with take=2."


class ClipSaver:
    """Saves the clips of one session. It opens nothing before the first clip.

    Args:
        read_record: returns a task's record, read on its route.
        retrier: retries failed reads.
        new_saver: returns the saver, which reports its pauses to ``on_pause=``.
    """

    def __init__(
        self,
        api: VeoApi,
        read_record: Callable[[str, RouteName], Awaitable[Record]],
        retrier: Retrier,
        new_saver: Callable[..., Saver],
    ) -> None:
        self._api, self._read_record, self._retrier, self._new_saver = api, read_record, retrier, new_saver
        self._saver: Saver | None = None

    async def save(self, clip: Clip, target: str) -> Clip:
        """Save the videos of *clip* to a file or into a folder, and return the clip with its files.

        Raises:
            DownloadFailed: at least one video could not be saved.
        """
        renewals = itertools.count()

        async def renew() -> tuple[str, ...]:
            return await self._renewed_urls(clip, is_first=next(renewals) == 0)

        saver = await self._get_saver()
        try:
            files = await saver.save(
                clip.urls,
                target,
                name=clip.key,
                stem=clip_stem(clip.key, clip.first_prompt),
                renew=renew,
                metadata=sidecar_metadata(clip),
            )
        except DownloadFailed as error:
            error.add_evidence(remedy=_remedy_for(error, clip))
            raise
        paths, sizes = tuple(file.path for file in files), tuple(file.video_size for file in files)
        saved = attrs.evolve(clip, files=paths, sizes=sizes)
        if not all(file.already_saved for file in files):
            _warn_about_resolution(saved)
        return saved

    async def close(self) -> None:
        """Close the saver."""
        if self._saver is not None:
            await self._saver.__aexit__(None, None, None)

    async def _renewed_urls(self, clip: Clip, *, is_first: bool) -> tuple[str, ...]:
        """Return fresh links: first those in the record, if they changed, later direct links, valid for minutes.

        A direct link needs no record. If there is neither, the error about the record explains more.
        """
        urls, problem = clip.urls, None
        try:
            urls = (await self._read_record(clip.task_id, clip.route)).urls or clip.urls
        except VeoError as error:
            problem = error
        if is_first and urls != clip.urls:
            return urls
        call = self._retrier.call
        try:
            return tuple([(await call("download-url", partial(self._api.download_url, url))).url for url in urls])
        except VeoError as error:
            raise problem or error from None

    async def _get_saver(self) -> Saver:
        if self._saver is None:
            self._saver = self._new_saver(on_pause=_log_pause)
            await self._saver.__aenter__()
        return self._saver


def _remedy_for(error: DownloadFailed, clip: Clip) -> str | None:
    """Return what to do about *error*; None if it says so itself."""
    if isinstance(error.__cause__, RecordNotFound | RecordExpired):
        return _NEW_TAKE
    is_link_refused = 400 <= (error.http_status or 0) < 500  # also the renewed one
    if clip.expires_at is not None and (is_link_refused or error.remedy == DownloadFailed.remedy):
        return f"Save it again: the provider keeps the clip until {clip.expires_at:%Y-%m-%d}. {_NEW_TAKE}"
    return None


def _warn_about_resolution(clip: Clip) -> None:
    for width, height in wrong_sizes(clip):
        _logger.warning(
            "the video of job %s is %d × %d, although %s was requested",
            clip.key,
            width,
            height,
            requested_resolution(clip),
            extra={"action": "resolution-differs", "job_key": clip.key, "task_id": clip.task_id},
        )


def _log_pause(pause: DiskPause) -> None:
    extra = {"action": "paused" if pause.is_full else "resumed", "reason": "disk"}
    if pause.is_full:
        _logger.warning("downloads paused, no space in %s: %s", pause.folder, pause.reason, extra=extra)
    else:
        _logger.info("downloads resumed in %s", pause.folder, extra=extra)
