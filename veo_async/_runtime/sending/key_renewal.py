"""API keys that change while the session runs: the next key is requested once, however many calls were rejected."""

import asyncio
from collections.abc import Awaitable, Callable

from veo_async._api.key import KeyProvider
from veo_async._runtime.log import logger_for
from veo_async._runtime.uncancelled import is_cancellation
from veo_async.errors import InvalidKey, VeoError

logger = logger_for(__name__)

#: Seconds for a key provider. Until it returns, nothing can be sent and the session cannot be closed.
_KEY_TIMEOUT_S = 30.0


def with_timeout(provider: KeyProvider) -> KeyProvider:
    """Wrap the user's *provider* so that it returns in time or raises `InvalidKey`."""

    async def get_key() -> str:
        try:
            async with asyncio.timeout(_KEY_TIMEOUT_S):
                return await provider()
        except (Exception, asyncio.CancelledError) as exc:  # whatever the user's function raises, there is no key
            if is_cancellation(exc):
                raise
            logger.exception("the key provider failed", extra={"action": "get-key"})
            message = f"the key provider raised {type(exc).__name__} or took too long"
            raise InvalidKey(message, remedy="Check the function passed as api_key=.") from None

    return get_key


class KeyRenewer:
    """Numbers the API keys, and requests the next one when the present one is rejected.

    Args:
        refresh: requests a key; returns whether it differs from the present one.
    """

    def __init__(self, refresh: Callable[[], Awaitable[bool]]) -> None:
        self._refresh = refresh
        #: The number of the present key. Senders remember it to say later which key was rejected.
        self.generation: int = 0
        self._last_tried = -1
        self._lock = asyncio.Lock()

    async def renew(self, rejected: int) -> bool:
        """Return whether there is a newer key than number *rejected*, requesting one at most once."""
        async with self._lock:
            if self.generation == rejected and self._last_tried != rejected:
                self._last_tried = rejected
                self.generation += await self._refresh_once()
            return self.generation != rejected

    async def _refresh_once(self) -> bool:
        try:
            is_new = await self._refresh()
        except VeoError as error:
            logger.warning("could not get a new API key: %s", error.message, extra={"action": "renew-key"})
            return False
        if is_new:
            logger.info("API key rejected; switched to a new one", extra={"action": "renew-key"})
        return is_new
