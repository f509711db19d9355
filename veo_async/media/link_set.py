"""The links of one clip: they expire together and are renewed together, a few times at most."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import attrs

from veo_async.errors import DownloadFailed, VeoError

#: Gives fresh links to the same files, in the same order.
Renew = Callable[[], Awaitable[Sequence[str]]]


@attrs.define(eq=False)
class Links:
    """Where the files of a clip are just now."""

    urls: tuple[str, ...]
    renewal: Renew | None
    left: int
    #: How often they have been renewed.
    generation: int = attrs.field(init=False, default=0)
    _lock: asyncio.Lock = attrs.field(init=False, factory=asyncio.Lock)

    def can_renew(self, generation: int) -> bool:
        """Whether there are, or could be, fresher links than those of *generation*."""
        return generation < self.generation or (self.renewal is not None and self.left > 0)

    async def renew(self, generation: int) -> None:
        """Make sure that the links are fresher than those of *generation*; several files ask only once.

        Raises:
            DownloadFailed: there are no fresh ones.
        """
        async with self._lock:
            if generation < self.generation or self.renewal is None or self.left <= 0:
                return
            self.left -= 1
            self.urls = await self._fresh(self.renewal)
            self.generation += 1

    async def _fresh(self, renewal: Renew) -> tuple[str, ...]:
        try:
            fresh = tuple(await renewal())
        except VeoError as exc:
            raise DownloadFailed("the video's link has expired and could not be renewed") from exc
        if len(fresh) < len(self.urls):
            raise DownloadFailed(f"the video had {len(self.urls)} links, and {len(fresh)} came when they were renewed")
        return fresh
