"""Deletes old finished jobs from the ledger in the background, if the ledger says how long to keep them.

The ledger deletes in short transactions with pauses in between, so a request that is about to be sent waits a few
milliseconds at most. Sessions need not agree on who deletes: what one has deleted, the others no longer find.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import attrs

from veo_async._base.numbers import format_number
from veo_async._ports import LedgerSession
from veo_async.errors import LedgerError

from .log import logger_for

logger = logger_for(__name__)

#: Seconds between two searches for old jobs. The first one is when the session opens.
PRUNE_EVERY_S = 3600.0


@attrs.frozen(eq=False, repr=False)
class Retention:
    """Prunes the ledger of an open session."""

    _ledger: LedgerSession
    #: Returns the wall-clock time.
    _now: Callable[[], float]
    #: How long after its end a job is deleted.
    _prune_after: timedelta

    async def run(self) -> None:
        """Prune now and then every `PRUNE_EVERY_S` until cancelled."""
        while True:
            await self._prune()
            await asyncio.sleep(PRUNE_EVERY_S)

    async def _prune(self) -> None:
        try:
            count = await self._ledger.prune(self._now() - self._prune_after.total_seconds())
        except LedgerError as error:  # it is not urgent
            logger.warning("could not delete old jobs from the ledger: %s", error, extra={"action": "prune-failed"})
            return
        if count:
            days = format_number(self._prune_after / timedelta(days=1))
            message = "%d jobs that finished more than %s days ago were deleted from the ledger"
            logger.info(message, count, days, extra={"action": "pruned"})
