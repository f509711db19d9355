"""The links of one clip. They expire together and are renewed together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import attrs

from veo_async.errors import DownloadFailed, VeoError

#: Returns fresh links to the same files, in the same order.
Renew = Callable[[], Awaitable[Sequence[str]]]


@attrs.define(eq=False, repr=False)
class LinkSet:
    """The current links to the files of a clip."""

    urls: tuple[str, ...]
    renew_links: Renew | None
    renewals_left: int
    #: How often the links have been renewed.
    generation: int = attrs.field(init=False, default=0)
    _lock: asyncio.Lock = attrs.field(init=False, factory=asyncio.Lock)

    def can_renew(self, generation: int) -> bool:
        """Return True if links newer than those of *generation* exist or can be requested."""
        return generation < self.generation or (self.renew_links is not None and self.renewals_left > 0)

    async def renew(self, generation: int) -> None:
        """Make sure that the links are newer than those of *generation*. Concurrent callers share one renewal.

        Raises:
            DownloadFailed: the links could not be renewed.
        """
        async with self._lock:
            if generation < self.generation or self.renew_links is None or self.renewals_left <= 0:
                return
            self.renewals_left -= 1
            self.urls = await self._renewed(self.renew_links)
            self.generation += 1

    async def _renewed(self, renew_links: Renew) -> tuple[str, ...]:
        try:
            urls = tuple(await renew_links())
        except VeoError as exc:
            raise DownloadFailed(f"the video's link has expired and could not be renewed: {exc.message}") from exc
        if len(urls) < len(self.urls):
            raise DownloadFailed(f"the video had {len(self.urls)} links, but renewing returned {len(urls)}")
        return urls
