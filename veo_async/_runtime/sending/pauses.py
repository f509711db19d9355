"""Pauses of submission for the whole session.

`PauseState` decides when submission pauses and resumes, `KeyRenewer` whether there is another key, and `BalanceGuard`
whether enough credits are left for the next job. This module acts on these decisions, logs them and notifies the
waiting jobs.
"""

from veo_async._base.numbers import format_number
from veo_async._rules.credits.min_balance import BalanceGuard, BalanceRead
from veo_async._rules.pauses import PauseReason, PauseState
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.clock import loop_time
from veo_async._runtime.job.events import Paused
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async.errors import InsufficientCredits, LedgerError, Unauthorized, VeoError

from .key_renewal import KeyRenewer

logger = logger_for(__name__)


class Pauses:
    """The pauses of a session, and its lock-out.

    Args:
        balance: knows how many credits are left.
    """

    def __init__(
        self, queue: FairQueue[LiveJob], keys: KeyRenewer, announcer: Announcer, *, balance: BalanceGuard
    ) -> None:
        self._queue, self._keys, self._announcer = queue, keys, announcer
        self.state = PauseState()
        self.balance = balance
        #: Why nothing can be sent for the rest of the session, if so.
        self.locked_out: VeoError | None = None
        #: Whether the API key was rejected and the next one is being requested.
        self.is_renewing_key = False

    @property
    def reason(self) -> str | None:
        """Why submission is paused; None if only slots and the rate limit restrict it."""
        if self.locked_out is not None or self.is_renewing_key:
            return "unauthorized"
        return self.state.reason

    def pause(self, reason: PauseReason, error: VeoError, *, is_probe: bool = False) -> None:
        """Pause submission because of *error*."""
        if self.state.pause(reason, loop_time(), is_probe=is_probe):
            self._announce_pause(reason, error)

    def ledger_blocked(self) -> None:
        """Pause submission because transitions cannot be recorded; a probe resumes it."""
        self.pause(PauseReason.LEDGER_UNAVAILABLE, LedgerError("the ledger cannot be written"))

    def on_any_response(self, *, is_probe: bool) -> bool:
        """Note that the provider responded; return whether submission resumes."""
        return self._resume_if(self.state.response_received(is_probe=is_probe))

    def on_accepted(self, *, is_probe: bool) -> None:
        """Note that a request was accepted."""
        self._resume_if(self.state.creation_accepted(is_probe=is_probe))

    def on_refused(self, *, is_probe: bool) -> None:
        """Note that a request was refused because of its content."""
        self._resume_if(self.state.creation_refused(loop_time(), is_probe=is_probe))

    def route_found(self) -> None:
        """Note that new requests have a route."""
        self._resume_if(self.state.route_found())

    def on_error(self, error: VeoError, *, is_probe: bool) -> None:
        """Note that a request failed; repeated errors pause submission."""
        if self.state.creation_failed(loop_time(), is_probe=is_probe):
            self._announce_pause(PauseReason.REPEATED_ERRORS, error)

    def balance_probed(self, read: BalanceRead, balance: float | None) -> None:
        """Note the result of a balance read that was a probe."""
        if not self.balance_read(read, balance):
            self._resume_if(self.state.balance_probed(balance, loop_time()))

    def balance_read(self, read: BalanceRead, balance: float | None) -> bool:
        """Note the result of a balance read; return whether submission resumes."""
        self.balance.read_done(read, balance, loop_time())
        return self._resume_if_enough()

    def on_request_done(self, job: LiveJob, *, is_paid: bool) -> None:
        """Note the end of a request that was or may have been charged, or was not."""
        self.balance.response_received(job.price, is_paid=is_paid)
        self._resume_if_enough()

    def check_balance(self) -> None:
        """Pause submission if the next job would take the balance below the minimum; resume it if not."""
        price = self._next_price()
        if self.balance.allows(price):
            self._resume_if(self.state.balance_sufficient())
        elif self.state.balance_low(loop_time(), self.balance.due_at):
            needed = f", the next job costs {format_number(price)}" if price else ""
            left = f"about {format_number(self.balance.estimated or 0.0)} credits left{needed}"
            message = f"{left}; min_balance is {format_number(self.balance.minimum or 0.0)}"
            self._announce_pause(PauseReason.MIN_BALANCE, InsufficientCredits(message))

    def _next_price(self) -> float | None:
        job = self._queue.head()
        return None if job is None else job.price

    def _resume_if_enough(self) -> bool:
        return self.balance.allows(self._next_price()) and self._resume_if(self.state.balance_sufficient())

    async def key_rejected(self, number: int, error: VeoError) -> bool:
        """Request another key once; without one, submission stops for good. Return whether it stopped just now."""
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
        logger.error("submission stopped: %s", error, extra={"action": "locked-out", "reason": "unauthorized"})
        return True

    def _resume_if(self, is_resumed: bool) -> bool:
        if is_resumed:
            logger.info("submission resumed", extra={"action": "resumed"})
            for job, position in self._queue.positions():
                self._announcer.queued(job, position=position)
        return is_resumed

    def _announce_pause(self, reason: str, error: VeoError) -> None:
        logger.warning("submission paused (%s): %s", reason, error, extra={"action": "paused", "reason": reason})
        for job in self._queue:
            self._announcer.notify(job, Paused(job.key, reason))
