"""The links of one clip: they expire together and are renewed together, a few times at most."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import attrs

from veo_async.errors import DownloadFailed, VeoError

#: Gives fresh links to the same files, in the same order.
Renew = Callable[[], Awaitable[Sequence[str]]]


@attrs.define(eq=False)
class LinkSet:
    """Where the files of a clip are just now."""

    urls: tuple[str, ...]
    renew_links: Renew | None
    renewals_left: int
    #: How often they have been renewed.
    generation: int = attrs.field(init=False, default=0)
    _lock: asyncio.Lock = attrs.field(init=False, factory=asyncio.Lock)

    def can_renew(self, generation: int) -> bool:
        """Whether there are, or could be, fresher links than those of *generation*."""
        return generation < self.generation or (self.renew_links is not None and self.renewals_left > 0)

    async def renew(self, generation: int) -> None:
        """Make sure that the links are fresher than those of *generation*; several files ask only once.

        Raises:
            DownloadFailed: there are no fresh ones.
        """
        async with self._lock:
            if generation < self.generation or self.renew_links is None or self.renewals_left <= 0:
                return
            self.renewals_left -= 1
            self.urls = await self._renewed(self.renew_links)
            self.generation += 1

    async def _renewed(self, renew_links: Renew) -> tuple[str, ...]:
        try:
            fresh = tuple(await renew_links())
        except VeoError as exc:
            raise DownloadFailed("the video's link has expired and could not be renewed") from exc
        if len(fresh) < len(self.urls):
            raise DownloadFailed(f"the video had {len(self.urls)} links, and {len(fresh)} came when they were renewed")
        return fresh
