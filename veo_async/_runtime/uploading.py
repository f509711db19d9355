"""Between being taken in and the queue: a job with local images waits until they are at a URL.

It is on the ledger, as queued, and in no queue; it holds no slot and no place at the gate. When its images are
there it gets into the queue. When they lapse while it still waits, they are brought again beside the queue, so that it
keeps its place. What cannot be uploaded refuses this job alone, and it was never sent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from veo_async._rules.lifecycle import JobState
from veo_async._wire.images import LocalImage, local_images
from veo_async.errors import SessionEnded, UploadFailed, VeoError

from .entry import Entry, fresh
from .images import Images

_PAUSES_S = (10.0, 30.0, 60.0, 180.0, 600.0)
_WAITING = (JobState.QUEUED, JobState.SENDING)


class Uploading:
    """Holds jobs back until their images are there.

    Args:
        go_on: it waits for its turn from now on.
        withdraw: takes it out of the queue; whether it was there.
        refuse: it will never be sent, and why.
        spawn: runs work as a task that ends with the session.
    """

    def __init__(
        self,
        images: Images,
        *,
        go_on: Callable[[Entry], None],
        withdraw: Callable[[Entry], bool],
        refuse: Callable[[Entry, VeoError], Awaitable[None]],
        spawn: Callable[[Any], "asyncio.Task[None]"],
    ) -> None:
        self._images, self._go_on, self._withdraw = images, go_on, withdraw
        self._refuse, self._spawn = refuse, spawn
        self._held: dict[Entry, asyncio.Task[None]] = {}
        self._lapses: dict[Entry, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, entry: Entry) -> None:
        """*entry* has local images: let it go when they are there."""
        task = self._held[entry] = self._spawn(self._see_to(entry))
        task.add_done_callback(lambda _: self._held.pop(entry, None))

    def withdraw(self, entry: Entry) -> bool:
        """*entry* is not wanted any more; whether it was held back."""
        task = self._held.pop(entry, None)
        if task is not None:
            task.cancel()
        return task is not None

    def close(self) -> None:
        """Nothing will be sent any more."""
        for timer in self._lapses.values():
            timer.cancel()

    async def _see_to(self, entry: Entry) -> None:
        try:
            await self._bring(entry)
        except SessionEnded as closed:
            entry.abandon(closed)
        except VeoError as why:
            self._held.pop(entry, None)
            await self._refuse(entry, fresh(why))
        else:
            self._held.pop(entry, None)
            self._go_on(entry)

    async def _bring(self, entry: Entry) -> None:
        brought = [await self._waited_out(image) for image in local_images(entry.request)]
        there = iter(url for url, _ in brought)
        urls = getattr(entry.request, "image_urls", ())
        entry.image_urls = tuple(next(there) if LocalImage.of(url) else url for url in urls)
        self._forget(entry)
        lapses_at = min(at for _, at in brought)
        self._lapses[entry] = asyncio.get_running_loop().call_at(lapses_at, self._lapsed, entry)

    async def _waited_out(self, image: LocalImage) -> tuple[str, float]:
        """Where *image* is; an upload host that is broken is asked again for a quarter of an hour."""
        for pause_s in _PAUSES_S:
            try:
                return await self._images.url_of(image)
            except UploadFailed as failed:
                if not failed.retryable:
                    raise
            await asyncio.sleep(pause_s)
        return await self._images.url_of(image)

    def _forget(self, entry: Entry) -> None:
        if (timer := self._lapses.pop(entry, None)) is not None:
            timer.cancel()

    def _lapsed(self, entry: Entry) -> None:
        self._forget(entry)
        if entry.state in _WAITING:
            _ = self._spawn(self._renew(entry))

    async def _renew(self, entry: Entry) -> None:
        try:
            await self._bring(entry)
        except VeoError as why:
            if self._withdraw(entry):
                await self._refuse(entry, fresh(why))
