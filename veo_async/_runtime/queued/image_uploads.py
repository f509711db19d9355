"""Uploads for queued jobs: a job with local images waits until they are uploaded.

When an upload expires while the job still waits in the queue, the image is uploaded again and the job keeps its place.
An image that cannot be uploaded refuses only its own job, which was never sent.
"""

import asyncio

import attrs

from veo_async._rules.lifecycle import JobState
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.clock import loop_time
from veo_async._runtime.job.live_job import LiveJob, copy_error
from veo_async._runtime.transitions import Transitions
from veo_async._wire.images import LocalImage, local_images
from veo_async.errors import ClientClosed, UploadFailed, VeoError

from .images import Images

#: Delays between attempts while the upload host is broken: about a quarter of an hour.
_RETRY_DELAYS_S = (10.0, 30.0, 60.0, 180.0, 600.0)
#: A renewed upload is not renewed again for this time. Otherwise a timer that fires early, or an expiry date in the
#: past, would renew it again and again without a pause.
MIN_RENEWAL_INTERVAL_S = 10.0


@attrs.define(eq=False, repr=False)
class ImageUploads:
    """Uploads the images of jobs, and renews the uploads before they expire."""

    _images: Images
    _queue: FairQueue[LiveJob]
    _transitions: Transitions
    _renewals: dict[LiveJob, asyncio.TimerHandle] = attrs.field(factory=dict, init=False)

    def __contains__(self, job: LiveJob) -> bool:
        """Whether the uploads of *job* will be renewed."""
        return job in self._renewals

    def close(self) -> None:
        """Cancel all timers."""
        for timer in self._renewals.values():
            timer.cancel()

    async def prepare(self, job: LiveJob) -> None:
        """Upload the images of *job* and store their URLs.

        Raises:
            InvalidRequest: a file is missing or has changed.
            UploadFailed: an image could not be uploaded.
        """
        uploads = [await self._upload_with_retries(image) for image in local_images(job.request)]
        uploaded = iter(url for url, _ in uploads)
        urls = getattr(job.request, "image_urls", ())
        job.image_urls = tuple(next(uploaded) if LocalImage.parse(url) else url for url in urls)
        self.forget(job)
        renew_at = max(loop_time() + MIN_RENEWAL_INTERVAL_S, min(at for _, at in uploads))
        self._renewals[job] = asyncio.get_running_loop().call_at(renew_at, self._start_renewal, job)

    def forget(self, job: LiveJob) -> None:
        """Stop renewing the uploads of *job*."""
        if (timer := self._renewals.pop(job, None)) is not None:
            timer.cancel()

    async def _upload_with_retries(self, image: LocalImage) -> tuple[str, float]:
        """Return the URL of *image* and when to renew it; retry while the upload host is broken."""
        for delay_s in _RETRY_DELAYS_S:
            try:
                return await self._images.get_url(image)
            except UploadFailed as failed:
                if not failed.retryable:
                    raise
            await asyncio.sleep(delay_s)
        return await self._images.get_url(image)

    def _start_renewal(self, job: LiveJob) -> None:
        with self._transitions.recovery.guard(job):
            self.forget(job)
            if job.state in (JobState.QUEUED, JobState.SENDING):
                _ = self._transitions.recovery.start(job, self._renew(job), f"renew-images:{job.key}")

    async def _renew(self, job: LiveJob) -> None:
        try:
            await self.prepare(job)
        except ClientClosed:
            return  # nothing more is sent
        except VeoError as error:
            if job in self._queue:
                self._queue.remove(job)
                await self._transitions.refuse(job, copy_error(error))
