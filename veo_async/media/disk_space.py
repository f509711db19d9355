"""A full disk is no failure: everything waits, visibly, until there is room, and then goes on.

All downloads of a `Saver` write through one `DiskWriter`. The first that finds no room keeps trying, every few seconds; the
others wait behind it instead of filling what somebody has just freed. Nothing is given up meanwhile: the parts stay as
they are, and a connection that its host closes over the waiting is taken up again where it broke off.
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

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@attrs.frozen(kw_only=True)
class DiskPause:
    """Downloads have stopped, or go on again."""

    #: Where there is no room.
    folder: Path
    #: What the system says about it.
    reason: str
    #: False once there is room again.
    is_full: bool


@attrs.define(eq=False)
class DiskWriter:
    """The way of all downloads to the disk."""

    retry_s: float = 5.0
    on_pause: Callable[[DiskPause], None] | None = None
    _paused: DiskPause | None = attrs.field(init=False, default=None)
    _changed: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    @property
    def paused(self) -> DiskPause | None:
        """Why downloads have stopped; None when they have not."""
        return self._paused

    async def run(self, folder: Path, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *run*, which writes into *folder* and may be run again; wait with it while there is no room."""
        while True:
            while self._paused is not None:
                await self._changed.wait()
            try:
                return await run_blocking(run, *args, **kwargs)
            except OSError as exc:
                if exc.errno not in _FULL:
                    raise
                reason = exc.strerror or "no room"
            if self._paused is None:
                return await self._retry_until_space(folder, reason, run, *args, **kwargs)

    async def _retry_until_space(
        self, folder: Path, reason: str, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Try until there is room; only one does so at a time."""
        try:  # from the telling on: if the caller's callback raises, the others must not wait for ever
            self._notify(DiskPause(folder=folder, reason=reason, is_full=True))
            while True:
                await asyncio.sleep(self.retry_s)
                try:
                    return await run_blocking(run, *args, **kwargs)
                except OSError as exc:
                    if exc.errno not in _FULL:
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
