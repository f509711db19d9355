"""Once a second a session asks its ledger what the others have done: jobs without an owner, hints, calls, closings."""

import asyncio
from collections.abc import Callable

from veo_async._ports import LedgerChanges
from veo_async.errors import LedgerError

from .journal import Journal
from .log import logger_for

logger = logger_for(__name__)

#: A callback that came in elsewhere is acted upon within two seconds; a dead process's tasks are looked after as soon.
CHECK_EVERY_S = 1.0


class LedgerWatcher:
    """Brings the news of the ledger to whoever acts upon them."""

    def __init__(self, journal: Journal, on_changes: Callable[[LedgerChanges], None]) -> None:
        self._journal, self._on_changes = journal, on_changes
        self._woken = asyncio.Event()

    def check_now(self) -> None:
        """There is news: ask now."""
        self._woken.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            await self.check()

    async def check(self) -> None:
        """Ask once; a ledger that does not answer is asked again."""
        try:
            changes = await self._journal.ledger.changes(self._journal.now())
        except LedgerError as error:
            logger.warning("the ledger tells no news: %s", error, extra={"action": "ledger-read-failed"})
        else:
            self._on_changes(changes)
