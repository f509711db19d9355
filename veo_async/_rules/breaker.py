"""When creation pauses for the whole session, and how it starts again.

A pause has a *reason*, is shared by everybody, and never fails a job:

============  =====================================  ==========================================
reason        comes from                             is lifted by
============  =====================================  ==========================================
no-credit     402                                    a balance above what was there when it came
key-limit     433                                    the next probe that is not refused so
maintenance   455                                    the same
storm         `STORM` broken creations in a row      the same
============  =====================================  ==========================================

While paused, a *probe* is due now and then: for ``no-credit`` a look at the balance, else one job that is let through.
The waits grow from `FIRST_S` to `LONGEST_S`, because a top-up comes in minutes and a maintenance can last an hour.
401 is no pause: nothing can be sent with that key, so creation stops and everybody is told (`Unauthorized`).
"""

from enum import StrEnum
from typing import Final

import attrs

#: Broken answers (5xx, lost, malformed) to creations in a row before the rest is kept back: each may have cost money.
STORM: Final = 5
FIRST_S: Final = 60.0
LONGEST_S: Final = 600.0


class PauseReason(StrEnum):
    """Why nothing is created just now."""

    NO_CREDIT = "no-credit"
    KEY_LIMIT = "key-limit"
    MAINTENANCE = "maintenance"
    STORM = "storm"


@attrs.define(eq=False)
class Breaker:
    """Whether creation is paused, why, and when the next probe is due."""

    reason: PauseReason | None = None
    probe_at: float = 0.0
    #: What the account held when it ran dry: more than that is a top-up.
    balance: float | None = None
    _wait_s: float = FIRST_S
    _broken: int = 0
    _probing: bool = False

    @property
    def is_probing(self) -> bool:
        """Whether a probe is under way, whose answer decides."""
        return self._probing

    def pause(self, reason: PauseReason, now: float) -> bool:
        """Something says stop; whether that is news.

        Jobs that were under way when the pause began say the same once more; only a probe's answer moves the next one.
        """
        is_news = self.reason is not reason
        if self._probing:
            self._wait_s = min(self._wait_s * 2, LONGEST_S)
        if is_news:
            self._wait_s, self.balance = FIRST_S, None
        if is_news or self._probing:
            asks_balance = is_news and reason is PauseReason.NO_CREDIT
            self.probe_at = now if asks_balance else now + self._wait_s
        self.reason, self._probing = reason, False
        return is_news

    def may_probe(self, now: float) -> bool:
        """Whether the one probe is due; asking for it takes it."""
        if self.reason is None or self._probing or now < self.probe_at:
            return False
        self._probing = True
        return True

    def probe_told_nothing(self, now: float) -> None:
        """The probe was not answered to the point: the pause goes on, and the next probe comes later."""
        if self.reason is not None and self._probing:
            self.pause(self.reason, now)

    def has_balance(self, balance: float, now: float) -> bool:
        """What a look at the balance showed; whether that lifts the pause."""
        if self.reason is PauseReason.NO_CREDIT and self.balance is not None and balance > self.balance:
            return self.went_well()
        if self.balance is None:
            self.balance = balance
        self.probe_told_nothing(now)
        return False

    def broke(self, now: float) -> bool:
        """A creation broke; whether that begins a storm's pause."""
        self._broken += 1
        if self._broken >= STORM and self.reason is None:
            return self.pause(PauseReason.STORM, now)
        self.probe_told_nothing(now)
        return False

    def went_well(self) -> bool:
        """A creation was accepted, or the account has credit again; whether that lifts a pause."""
        was_paused = self.reason is not None
        self.reason, self._probing, self._broken, self.balance = None, False, 0, None
        return was_paused
