"""What a job is made of: one with local images is held back until they are at a URL.

When they lapse while it still waits, they are brought again beside the queue, so that it
keeps its place. What cannot be uploaded refuses this job alone, and it was never sent.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from veo_async._rules.lifecycle import JobState
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.transitions import Transitions
from veo_async._wire.images import LocalImage, local_images
from veo_async.errors import UploadFailed, VeoError

from .images import Images

_RETRY_DELAYS_S = (10.0, 30.0, 60.0, 180.0, 600.0)
_NOT_SENT_YET = (JobState.QUEUED, JobState.SENDING)


class ImageUploads:
    """Brings the images of jobs, and brings them again when they lapse.

    Args:
        spawn: runs work as a task that ends with the session.
    """

    def __init__(
        self,
        images: Images,
        queue: FairQueue[LiveJob],
        transitions: Transitions,
        *,
        spawn: Callable[[Any], "asyncio.Task[None]"],
    ) -> None:
        self._images, self._queue, self._transitions, self._spawn = images, queue, transitions, spawn
        self._expiry_timers: dict[LiveJob, asyncio.TimerHandle] = {}

    def close(self) -> None:
        """Nothing will be sent any more."""
        for timer in self._expiry_timers.values():
            timer.cancel()

    async def prepare(self, job: LiveJob) -> None:
        """Wait until the images of *entry* are there, and note where.

        Raises:
            InvalidRequest: one of them is not there any more as it was.
            UploadFailed: one could not be uploaded.
        """
        uploads = [await self._upload_with_retries(image) for image in local_images(job.request)]
        there = iter(url for url, _ in uploads)
        urls = getattr(job.request, "image_urls", ())
        job.image_urls = tuple(next(there) if LocalImage.parse(url) else url for url in urls)
        self._forget(job)
        expires_at = min(at for _, at in uploads)
        self._expiry_timers[job] = asyncio.get_running_loop().call_at(expires_at, self._expired, job)

    async def _upload_with_retries(self, image: LocalImage) -> tuple[str, float]:
        """Where *image* is; an upload host that is broken is asked again for a quarter of an hour."""
        for pause_s in _RETRY_DELAYS_S:
            try:
                return await self._images.get_url(image)
            except UploadFailed as failed:
                if not failed.retryable:
                    raise
            await asyncio.sleep(pause_s)
        return await self._images.get_url(image)

    def _forget(self, job: LiveJob) -> None:
        if (timer := self._expiry_timers.pop(job, None)) is not None:
            timer.cancel()

    def _expired(self, job: LiveJob) -> None:
        self._forget(job)
        if job.state in _NOT_SENT_YET:
            _ = self._spawn(self._renew(job))

    async def _renew(self, job: LiveJob) -> None:
        try:
            await self.prepare(job)
        except VeoError as why:
            if job in self._queue:
                self._queue.remove(job)
                await self._transitions.refuse(job, copy_error(why))
