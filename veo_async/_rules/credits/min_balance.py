"""How many credits there are, as far as one can tell, and whether that is less than is to be kept.

The *estimated* balance is the one that was read last, less the estimates of what was accepted since that look began,
less those of what is under way. A request whose answer comes while the balance is being read may be in it or not; it
is subtracted until the next look, because too little believed costs a pause, and too much costs credits.

The balance is read when there is something to send, at most every `READ_EVERY_S`. Creation waits for a look only when it
knows nothing, or nothing of the last `STALE_S` (the first job of a session, or of a long while), and for no longer than
`READ_TIMEOUT_S`. A look that fails tells nothing: it begins no pause and ends none.

The mark is passed by one job at most: what the next one costs is not asked before.
"""

import math
from typing import Final

import attrs

READ_EVERY_S: Final = 30.0
STALE_S: Final = 120.0
READ_TIMEOUT_S: Final = 10.0


@attrs.frozen(eq=False)
class BalanceRead:
    """A look at the balance that is under way."""

    began_at: float
    #: The estimates of what had been accepted by then.
    paid: float


@attrs.define(eq=False)
class BalanceGuard:
    """The believed balance against its *minimum*; None keeps nothing back and asks for no look."""

    minimum: float | None = None
    #: The balance as it was read first, and last.
    first_balance: float | None = None
    balance: float | None = None
    #: When the balance may be read next.
    due_at: float = -math.inf
    _paid: float = 0.0
    _counted: float = 0.0
    _under_way: float = 0.0
    _read_at: float = -math.inf
    #: When a look came back last, with a balance or without.
    _returned_at: float = -math.inf
    _look: BalanceRead | None = None

    @property
    def estimated(self) -> float | None:
        """What is there now, by all we know; None when that is nothing."""
        if self.balance is None:
            return None
        return self.balance - (self._paid - self._counted) - self._under_way

    @property
    def is_below(self) -> bool:
        """Whether less is left than is to be kept."""
        estimated = self.estimated
        return self.minimum is not None and estimated is not None and estimated < self.minimum

    def should_read(self, now: float) -> bool:
        """Whether the balance is to be read, as there is something to send."""
        return self.minimum is not None and self._look is None and now >= self.due_at

    def blocked_until(self, now: float) -> float:
        """Until when nothing may leave because too little is known; *now* or earlier when it may."""
        if self.minimum is None or self._look is None or now <= self._returned_at + STALE_S:
            return now
        return self._look.began_at + READ_TIMEOUT_S

    def begin_read(self, now: float) -> BalanceRead:
        """We read the balance; `read_done` must tell how that went."""
        self._look = self.begin_external_read(now)
        self.due_at = now + READ_EVERY_S
        return self._look

    def begin_external_read(self, now: float) -> BalanceRead:
        """Somebody else reads the balance; what they read is welcome."""
        return BalanceRead(now, self._paid)

    def read_done(self, look: BalanceRead, balance: float | None, now: float) -> None:
        """What *look* showed; None when it failed."""
        if look is self._look:
            self._look, self._returned_at = None, now
        if balance is None or look.began_at < self._read_at:
            return
        self.first_balance = balance if self.first_balance is None else self.first_balance
        self.balance, self._counted, self._read_at = balance, look.paid, look.began_at
        self._returned_at = now

    def request_sent(self, cost: float | None) -> None:
        """A request that will cost so much has left."""
        self._under_way += cost or 0.0

    def response_received(self, cost: float | None, *, is_paid: bool) -> None:
        """It was answered; whether it is paid, or may be."""
        self._under_way -= cost or 0.0
        if is_paid:
            self._paid += cost or 0.0
