"""Waiting while the disk is full: downloads pause visibly and resume when space is free.

All downloads of a `Saver` write through one `DiskWriter`. The first write that finds the disk full is retried every few
seconds. All other writes wait for it, so that they do not use up space that the user has just freed. No download fails
because of a pause: partial files stay as they are, and a connection that the server closes in the meantime is resumed
where it was interrupted.
"""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import attrs

from veo_async._base.run_blocking import run_blocking

P = ParamSpec("P")
T = TypeVar("T")

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@attrs.frozen(kw_only=True)
class DiskPause:
    """Downloads have paused because a disk is full, or have resumed."""

    #: The folder that has no space left.
    folder: Path
    #: The operating system's error message.
    reason: str
    #: True when the pause begins, False when it ends.
    is_full: bool


@attrs.define(eq=False, repr=False)
class DiskWriter:
    """Performs the disk writes of all downloads, and retries them while the disk is full."""

    retry_s: float = 5.0
    on_pause: Callable[[DiskPause], None] | None = None
    _paused: DiskPause | None = attrs.field(init=False, default=None)
    _changed: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    @property
    def paused(self) -> DiskPause | None:
        """The current pause, or None."""
        return self._paused

    async def run(self, folder: Path, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *work*, which writes into *folder*, and return its result. Repeat it while the disk is full."""
        while True:
            while self._paused is not None:
                await self._changed.wait()
            try:
                return await run_blocking(work, *args, **kwargs)
            except OSError as exc:
                if exc.errno not in _DISK_FULL:
                    raise
                reason = exc.strerror or "no space left"
            if self._paused is None:
                return await self._retry_until_space(folder, reason, work, *args, **kwargs)

    async def _retry_until_space(
        self, folder: Path, reason: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Retry *work* until there is space. Only one call at a time does this."""
        try:  # includes the notification: if the callback raises, the other writes must not wait forever
            self._notify(DiskPause(folder=folder, reason=reason, is_full=True))
            while True:
                await asyncio.sleep(self.retry_s)
                try:
                    return await run_blocking(work, *args, **kwargs)
                except OSError as exc:
                    if exc.errno not in _DISK_FULL:
                        raise
        finally:
            self._notify(DiskPause(folder=folder, reason=reason, is_full=False))

    def _notify(self, pause: DiskPause) -> None:
        self._paused = pause if pause.is_full else None
        if pause.is_full:
            self._changed.clear()
        else:
            self._changed.set()
        if self.on_pause is not None:
            self.on_pause(pause)
