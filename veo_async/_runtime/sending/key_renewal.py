"""Keys that change while we run: asked for once, however many calls the old one was refused to."""

import asyncio
from collections.abc import Awaitable, Callable

from veo_async._api.key import KeyProvider
from veo_async._runtime.log import logger_for
from veo_async.errors import InvalidKey, VeoError

logger = logger_for(__name__)

#: A key provider that takes longer is broken; nothing can be sent until it answers, nor the session closed.
_KEY_TIMEOUT_S = 30.0


def with_timeout(provider: KeyProvider) -> KeyProvider:
    """The user's *provider*, made to answer in time or to fail as an `InvalidKey`."""

    async def ask() -> str:
        try:
            async with asyncio.timeout(_KEY_TIMEOUT_S):
                return await provider()
        except Exception as exc:  # the user's own; whatever it raises, there is no key
            logger.exception("the key provider failed", extra={"action": "get-key"})
            message = f"the key provider raised {type(exc).__name__} or took too long"
            raise InvalidKey(message, remedy="Check the function passed as api_key=.") from None

    return ask


class KeyRenewer:
    """Knows which key is the present one, by number, and asks for the next when it is refused.

    Args:
        refresh: asks for a key; whether it is another one than before.
    """

    def __init__(self, refresh: Callable[[], Awaitable[bool]]) -> None:
        self._refresh = refresh
        #: The present key; who sends notes it, to tell later which one was refused.
        self.generation = 0
        self._last_tried = -1
        self._lock = asyncio.Lock()

    async def renew(self, rejected: int) -> bool:
        """Key number *rejected* was refused; whether there is another by now. It is asked for once."""
        async with self._lock:
            if self.generation == rejected and self._last_tried != rejected:
                self._last_tried = rejected
                self.generation += await self._refresh_once()
            return self.generation != rejected

    async def _refresh_once(self) -> bool:
        try:
            has_other = await self._refresh()
        except VeoError as error:
            logger.warning("no new key: %s", error.message, extra={"action": "renew-key"})
            return False
        if has_other:
            logger.info("the key was refused; going on with a new one", extra={"action": "renew-key"})
        return has_other
