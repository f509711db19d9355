"""Why nothing is created just now, for the whole session, and telling everybody who waits.

When to pause and what ends a pause is decided by `state`; whether there is another key, by `keys`. Here both are
asked, and what they say is logged and told; so is `lowwater`, which knows how many credits are left.
"""

import asyncio

from veo_async._rules.credits.min_balance import BalanceGuard, BalanceRead
from veo_async._rules.pauses import PauseReason, PauseState
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.job.events import Paused
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async.errors import InsufficientCredits, LedgerError, Unauthorized, VeoError

from .key_renewal import KeyRenewer

logger = logger_for(__name__)


class Pauses:
    """The session's pauses and its lock-out.

    Args:
        water: how many credits are left.
    """

    def __init__(
        self, queue: FairQueue[LiveJob], keys: KeyRenewer, announcer: Announcer, *, balance: BalanceGuard
    ) -> None:
        self._queue, self._keys, self._announcer = queue, keys, announcer
        self.state = PauseState()
        self.balance = balance
        #: Why nothing can be sent any more; None as long as it can.
        self.locked_out: VeoError | None = None
        #: The key was refused and the next is being asked for.
        self.is_renewing_key = False

    @property
    def reason(self) -> str | None:
        """In a word; None when nothing stands in the way but the rate."""
        if self.locked_out is not None or self.is_renewing_key:
            return "unauthorized"
        return self.state.reason

    def pause(self, reason: PauseReason, error: VeoError, *, is_probe: bool = False) -> None:
        """Something says stop."""
        if self.state.pause(reason, _now(), is_probe=is_probe):
            self._announce_pause(reason, error)

    def ledger_is_stuck(self, is_stuck: bool) -> None:
        """What has happened cannot be written down just now, and nothing new is begun; or it can again."""
        if is_stuck:
            self.pause(PauseReason.LEDGER_UNAVAILABLE, LedgerError("what has happened cannot be written down"))

    def on_any_response(self, *, is_probe: bool) -> bool:
        """An answer came; whether it lifts a pause."""
        return self._resume_if(self.state.response_received(is_probe=is_probe))

    def on_accepted(self, *, is_probe: bool) -> None:
        """A creation was accepted."""
        self._resume_if(self.state.creation_accepted(is_probe=is_probe))

    def on_refused(self, *, is_probe: bool) -> None:
        """A creation was refused for its own sake."""
        self._resume_if(self.state.creation_refused(_now(), is_probe=is_probe))

    def on_error(self, error: VeoError, *, is_probe: bool) -> None:
        """A creation broke."""
        if self.state.creation_failed(_now(), is_probe=is_probe):
            self._announce_pause(PauseReason.REPEATED_ERRORS, error)

    def balance_probed(self, look: BalanceRead, balance: float | None) -> None:
        """What a look at the balance showed that was a probe."""
        if not self.balance_read(look, balance):
            self._resume_if(self.state.balance_probed(balance, _now()))

    def balance_read(self, look: BalanceRead, balance: float | None) -> bool:
        """What a look at the balance showed, whoever wanted it; whether there is enough again."""
        self.balance.read_done(look, balance, _now())
        return self._resume_if_enough()

    def on_request_done(self, job: LiveJob, *, is_paid: bool) -> None:
        """A creation was answered; whether it is paid, or may be."""
        self.balance.response_received(job.price, is_paid=is_paid)
        self._resume_if_enough()

    def check_balance(self) -> None:
        """Pause when less is left than is to be kept."""
        if self.balance.is_below and self.state.balance_low(_now(), self.balance.due_at):
            told = f"about {self.balance.estimated:g} credits are left, and {self.balance.minimum:g} are to be kept"
            self._announce_pause(PauseReason.MIN_BALANCE, InsufficientCredits(told))

    def _resume_if_enough(self) -> bool:
        return not self.balance.is_below and self._resume_if(self.state.balance_sufficient())

    async def key_rejected(self, number: int, error: VeoError) -> bool:
        """Ask once for another key; without one creation stops for good, and that is whether it did just now."""
        if isinstance(error, Unauthorized):
            self.is_renewing_key = True
            try:
                if await self._keys.renew(number):
                    return False
            finally:
                self.is_renewing_key = False
        if self.locked_out is not None:
            return False
        self.locked_out = error
        logger.error("creation stops: %s", error, extra={"action": "locked-out", "reason": "unauthorized"})
        return True

    def _resume_if(self, is_over: bool) -> bool:
        if is_over:
            logger.info("creation goes on", extra={"action": "resumed"})
            for job in self._queue:
                self._announcer.queued(job)
        return is_over

    def _announce_pause(self, reason: str, error: VeoError) -> None:
        logger.warning("creation pauses (%s): %s", reason, error, extra={"action": "paused", "reason": reason})
        for job in self._queue:
            self._announcer.notify(job, Paused(job.key, reason))


def _now() -> float:
    return asyncio.get_running_loop().time()
