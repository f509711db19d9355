"""When creation pauses for the whole session, and how it starts again.

A pause has a *reason*, is shared by everybody, and never fails a job:

============  =====================================  ================================================
reason        comes from                             is lifted by
============  =====================================  ================================================
no-credit     402                                    a balance above what was left, or a job that passes
low-credit    less is left than is to be kept        a look at the balance that shows enough
key-limit     433                                    the next job that passes
maintenance   455                                    the same, or one that is refused for its own sake
blocked       403 of a gate in front of the API      the same
storm         `MAX_ERRORS_IN_A_ROW` broken creations in a row      the same
unreachable   not one byte of a request could leave  any answer at all
ledger        a step could not be written down       any answer at all
============  =====================================  ================================================

While paused, a *probe* is due now and then (`Probe`): for ``no-credit`` and ``low-credit`` a look at the balance, else
one job that is let through. Where after a 402 the balance tells nothing, or has told no news for long, a job is let
through there too: a 402 is free, and without this a wrong 402 would stop the session for good. For ``low-credit`` none
is: it would be paid out of what is to be kept. The waits double from first to longest, because a top-up comes in
minutes and a maintenance can last an hour; an unreachable network is tried much sooner.

Only the probe's own answer moves the next one. Requests that were under way when the pause began still come home, and
what they tell (the same refusal once more, or a success that is older than the pause) changes nothing.

A 403 is a pause because it mostly passes (a firewall that took us for a flood, an address that is put on a list), and
because what does not pass can be mended while the jobs wait; the log names what to mend.

401 is no pause: nothing can be sent with that key, so creation stops and everybody is told (`Unauthorized`).
"""

import math
from enum import Enum, StrEnum
from typing import Final

import attrs

#: Broken answers (5xx, lost, malformed) to creations in a row before the rest is kept back: each may have cost money.
MAX_ERRORS_IN_A_ROW: Final = 5
PROBE_FIRST_S: Final = 60.0
PROBE_MAX_S: Final = 600.0
#: A lost network or a full disk is tried again sooner: nothing is asked of the provider.
UNREACHABLE_FIRST_S: Final = 1.0
UNREACHABLE_LONGEST_S: Final = 60.0


class PauseReason(StrEnum):
    """Why nothing is created just now."""

    INSUFFICIENT_CREDITS = "insufficient-credits"
    MIN_BALANCE = "min-balance"
    KEY_LIMIT = "key-limit"
    MAINTENANCE = "maintenance"
    BLOCKED = "blocked"
    REPEATED_ERRORS = "repeated-errors"
    NETWORK = "network"
    LEDGER_UNAVAILABLE = "ledger-unavailable"


#: What is in the way is on our side, not the provider's.
_LOCAL_REASONS: Final = (PauseReason.NETWORK, PauseReason.LEDGER_UNAVAILABLE)


class Probe(Enum):
    """What is tried to learn whether a pause is over."""

    BALANCE = "balance"
    JOB = "job"


@attrs.define(eq=False)
class PauseState:
    """Whether creation is paused, why, and when the next probe is due."""

    reason: PauseReason | None = None
    #: The least the account was seen to hold since it ran dry: more than that is a top-up.
    balance: float | None = None
    _probe_at: float = 0.0
    _wait_s: float = PROBE_FIRST_S
    _errors_in_a_row: int = 0
    _is_probing: bool = False
    #: The balance tells nothing (more): the next probe is a job.
    _probe_with_job: bool = False

    @property
    def next_probe_at(self) -> float:
        """When a probe is due; infinity while one is under way, whose answer decides."""
        return math.inf if self._is_probing else self._probe_at

    @property
    def next_probe(self) -> Probe:
        """What the next probe will be."""
        is_of_balance = self.reason is PauseReason.INSUFFICIENT_CREDITS and not self._probe_with_job
        return Probe.BALANCE if is_of_balance or self.reason is PauseReason.MIN_BALANCE else Probe.JOB

    def begin_probe(self) -> None:
        """The probe that is due leaves; its end must be told."""
        self._is_probing = True

    def pause(self, reason: PauseReason, now: float, *, is_probe: bool = False) -> bool:
        """Something says stop; whether that is news."""
        is_new = self.reason is not reason
        if is_new:
            self.reason, self.balance, self._probe_with_job = reason, None, False
            self._wait_s = UNREACHABLE_FIRST_S if reason in _LOCAL_REASONS else PROBE_FIRST_S
            if reason in (PauseReason.INSUFFICIENT_CREDITS, PauseReason.MIN_BALANCE):
                self._probe_at = now  # a look at once, so that a top-up will show against it
            else:
                self._wait(now)
        elif is_probe:
            self._probe_with_job = False
            self._wait(now)
        self._is_probing = self._is_probing and not is_probe
        return is_new

    def balance_low(self, now: float, probe_at: float) -> bool:
        """Less is left than is to be kept, and the balance may be read again at *probe_at*; whether that is news."""
        is_new = self.pause(PauseReason.MIN_BALANCE, now)
        if is_new:
            self._probe_at = max(now, probe_at)
        return is_new

    def balance_sufficient(self) -> bool:
        """No less is left than is to be kept; whether that lifts a pause."""
        return self.reason is PauseReason.MIN_BALANCE and self._resume()

    def probe_not_sent(self, now: float) -> None:
        """The probe did not leave after all, for a reason of ours: the next may at once."""
        self._is_probing, self._probe_at = False, now

    def probe_inconclusive(self, now: float) -> None:
        """The probe was not answered to the point: the pause goes on, and the next probe comes later."""
        self._is_probing = False
        self._wait(now)

    def balance_probed(self, balance: float | None, now: float) -> bool:
        """What a look at the balance showed, None when it could not be read; whether that lifts the pause."""
        if self.balance is not None and balance is not None and balance > self.balance:
            return self._resume()
        if self.reason is PauseReason.MIN_BALANCE:  # what is enough, `BalanceGuard` says
            self.probe_inconclusive(now)
            return False
        known = [each for each in (self.balance, balance) if each is not None]
        self.balance = min(known, default=None)
        self._probe_with_job = balance is None or self._wait_s >= PROBE_MAX_S
        self.probe_inconclusive(now)
        return False

    def creation_failed(self, now: float, *, is_probe: bool = False) -> bool:
        """A creation broke; whether that begins a storm's pause."""
        self._errors_in_a_row += 1
        if is_probe:
            self.probe_inconclusive(now)
        return (
            self._errors_in_a_row >= MAX_ERRORS_IN_A_ROW
            and self.reason is None
            and self.pause(PauseReason.REPEATED_ERRORS, now)
        )

    def response_received(self, *, is_probe: bool = False) -> bool:
        """An answer came, whichever; whether that lifts a pause."""
        return is_probe and self.reason in _LOCAL_REASONS and self._resume()

    def creation_refused(self, now: float, *, is_probe: bool = False) -> bool:
        """A creation was refused for its own sake, so the provider is at work; whether that lifts a pause."""
        self._errors_in_a_row = 0
        if not is_probe:
            return False
        if self.reason in (PauseReason.MAINTENANCE, PauseReason.BLOCKED, PauseReason.REPEATED_ERRORS):
            return self._resume()
        self.probe_not_sent(now)  # it told nothing of the account; the next job may
        return False

    def creation_accepted(self, *, is_probe: bool = False) -> bool:
        """A creation was accepted; whether that lifts a pause."""
        self._errors_in_a_row = 0
        return is_probe and self._resume()

    def _wait(self, now: float) -> None:
        longest = UNREACHABLE_LONGEST_S if self.reason in _LOCAL_REASONS else PROBE_MAX_S
        self._probe_at = now + self._wait_s
        self._wait_s = min(self._wait_s * 2, longest)

    def _resume(self) -> bool:
        was_paused = self.reason is not None
        self.reason, self.balance = None, None
        self._is_probing, self._probe_with_job, self._errors_in_a_row = False, False, 0
        return was_paused
