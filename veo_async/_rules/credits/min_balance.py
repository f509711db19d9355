"""How many credits there are, as far as one can tell, and whether that is less than is to be kept.

The *believed* balance is the one that was read last, less the estimates of what was accepted since that look began,
less those of what is under way. A request whose answer comes while the balance is being read may be in it or not; it
is subtracted until the next look, because too little believed costs a pause, and too much costs credits.

The balance is read when there is something to send, at most every `EVERY_S`. Creation waits for a look only when it
knows nothing, or nothing of the last `STALE_S` (the first job of a session, or of a long while), and for no longer than
`PATIENCE_S`. A look that fails tells nothing: it begins no pause and ends none.

The mark is passed by one job at most: what the next one costs is not asked before.
"""

import math
from typing import Final

import attrs

EVERY_S: Final = 30.0
STALE_S: Final = 120.0
PATIENCE_S: Final = 10.0


@attrs.frozen(eq=False)
class Look:
    """A look at the balance that is under way."""

    began_at: float
    #: The estimates of what had been accepted by then.
    paid: float


@attrs.define(eq=False)
class LowWater:
    """The believed balance against its *mark*; None keeps nothing back and asks for no look."""

    mark: float | None = None
    #: The balance as it was read first, and last.
    first: float | None = None
    balance: float | None = None
    #: When the balance may be read next.
    due_at: float = -math.inf
    _paid: float = 0.0
    _counted: float = 0.0
    _under_way: float = 0.0
    _told_at: float = -math.inf
    #: When a look came back last, with a balance or without.
    _back_at: float = -math.inf
    _look: Look | None = None

    @property
    def believed(self) -> float | None:
        """What is there now, by all we know; None when that is nothing."""
        if self.balance is None:
            return None
        return self.balance - (self._paid - self._counted) - self._under_way

    @property
    def is_low(self) -> bool:
        """Whether less is left than is to be kept."""
        believed = self.believed
        return self.mark is not None and believed is not None and believed < self.mark

    def wants_look(self, now: float) -> bool:
        """Whether the balance is to be read, as there is something to send."""
        return self.mark is not None and self._look is None and now >= self.due_at

    def waits_until(self, now: float) -> float:
        """Until when nothing may leave because too little is known; *now* or earlier when it may."""
        if self.mark is None or self._look is None or now <= self._back_at + STALE_S:
            return now
        return self._look.began_at + PATIENCE_S

    def begin(self, now: float) -> Look:
        """We read the balance; `has_read` must tell how that went."""
        self._look = self.glance(now)
        self.due_at = now + EVERY_S
        return self._look

    def glance(self, now: float) -> Look:
        """Somebody else reads the balance; what they read is welcome."""
        return Look(now, self._paid)

    def has_read(self, look: Look, balance: float | None, now: float) -> None:
        """What *look* showed; None when it failed."""
        if look is self._look:
            self._look, self._back_at = None, now
        if balance is None or look.began_at < self._told_at:
            return
        self.first = balance if self.first is None else self.first
        self.balance, self._counted, self._told_at = balance, look.paid, look.began_at
        self._back_at = now

    def left(self, cost: float | None) -> None:
        """A request that will cost so much has left."""
        self._under_way += cost or 0.0

    def came_back(self, cost: float | None, *, is_paid: bool) -> None:
        """It was answered; whether it is paid, or may be."""
        self._under_way -= cost or 0.0
        if is_paid:
            self._paid += cost or 0.0
