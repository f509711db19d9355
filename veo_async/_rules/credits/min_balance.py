"""The estimated balance, and whether a request would take it below the minimum that the user wants to keep.

The *estimated* balance is the latest balance read, minus the prices of requests that were accepted since that read
began, minus the prices of requests in flight. A request whose response arrives during a read may or may not be
included in it; it is subtracted until the next read, because an estimate that is too low costs a pause, and one that
is too high costs credits.

The balance is read when there is something to send, at most every `READ_EVERY_S`. Submission waits for a read only if
no balance of the last `STALE_S` is known (for the first job of a session, or after a long time), and for at most
`READ_TIMEOUT_S`. A failed read changes nothing: it neither begins nor ends a pause.

A request is sent only if the estimated balance minus its price is at least the minimum. So our requests never take the
balance below it, as far as the balance can be read and the provider charges the known prices. A request without a known
price counts as 0: it is sent while the estimated balance is at least the minimum.
"""

import math
from typing import Final

import attrs

READ_EVERY_S: Final = 30.0
STALE_S: Final = 120.0
READ_TIMEOUT_S: Final = 10.0
#: Tolerance for rounding errors in sums of decimal prices, in credits.
_ROUNDING: Final = 1e-6


@attrs.frozen(eq=False)
class BalanceRead:
    """A read of the balance that is in progress."""

    began_at: float
    #: Sum of the prices accepted by then.
    paid: float


@attrs.define(eq=False)
class BalanceGuard:
    """The estimated balance compared with *minimum*; None for no minimum, so that the balance is never read for it."""

    minimum: float | None = None
    #: The first balance read, and the latest.
    first_balance: float | None = None
    balance: float | None = None
    #: When the balance may be read next.
    due_at: float = -math.inf
    _paid: float = 0.0
    _paid_before_read: float = 0.0
    _in_flight: float = 0.0
    _read_at: float = -math.inf
    #: When the latest read ended, successfully or not.
    _returned_at: float = -math.inf
    _own_read: BalanceRead | None = None

    @property
    def estimated(self) -> float | None:
        """The estimated current balance; None if the balance was never read."""
        if self.balance is None:
            return None
        return self.balance - (self._paid - self._paid_before_read) - self._in_flight

    def allows(self, price: float | None) -> bool:
        """Return whether a request with this price would leave the minimum; None if the price is unknown."""
        if self.minimum is None or (estimated := self.estimated) is None:
            return True
        return estimated - (price or 0.0) >= self.minimum - _ROUNDING

    def should_read(self, now: float) -> bool:
        """Return whether to read the balance, given that there is something to send."""
        return self.minimum is not None and self._own_read is None and now >= self.due_at

    def blocked_until(self, now: float) -> float:
        """Return until when nothing may be sent because the balance is unknown; *now* or earlier if it may be sent."""
        if self.minimum is None or self._own_read is None or now <= self._returned_at + STALE_S:
            return now
        return self._own_read.began_at + READ_TIMEOUT_S

    def begin_read(self, now: float) -> BalanceRead:
        """Begin our own read. The caller must report its result with `read_done`."""
        self._own_read = self.begin_external_read(now)
        self.due_at = now + READ_EVERY_S
        return self._own_read

    def begin_external_read(self, now: float) -> BalanceRead:
        """Begin a read for another purpose, whose result is used too."""
        return BalanceRead(now, self._paid)

    def read_done(self, read: BalanceRead, balance: float | None, now: float) -> None:
        """Note the result of *read*; None if it failed. A read that began before a newer result is ignored."""
        if read is self._own_read:
            self._own_read, self._returned_at = None, now
        if balance is None or read.began_at < self._read_at:
            return
        self.first_balance = balance if self.first_balance is None else self.first_balance
        self.balance, self._paid_before_read, self._read_at = balance, read.paid, read.began_at
        self._returned_at = now

    def request_sent(self, cost: float | None) -> None:
        """Note that a request with the price *cost* was sent; None if the price is unknown."""
        self._in_flight += cost or 0.0

    def response_received(self, cost: float | None, *, is_paid: bool) -> None:
        """Note the response to it, and whether it was charged or may have been."""
        self._in_flight -= cost or 0.0
        if is_paid:
            self._paid += cost or 0.0
