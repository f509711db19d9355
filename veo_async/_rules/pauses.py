"""When submission is paused for the whole session, and how it resumes.

A pause has a *reason*, applies to all jobs, and never fails one:

====================  ===================================================  ==========================================
reason                caused by                                            ended by
====================  ===================================================  ==========================================
insufficient-credits  402                                                  a balance above the lowest one since then,
                                                                           or an accepted job
min-balance           the next job would leave less than ``min_balance``   a sufficient balance
key-limit             433                                                  the next accepted job
maintenance           455                                                  a job that is accepted or refused
blocked               403 from a firewall in front of the API              the same
repeated-errors       `MAX_ERRORS_IN_A_ROW` failed creations in a row      the same
route-gone            404 for a new clip on the ``veo`` route, if another  the next accepted job, or the other route
                      one may be taken (`route_choice`)
network               not one byte of a request could be sent              any response
ledger-unavailable    a transition could not be stored                     any response
====================  ===================================================  ==========================================

While submission is paused, a *probe* is due now and then (`Probe`): a balance read for ``insufficient-credits`` and
``min-balance``, and for ``route-gone`` once a second 404 has confirmed it; else one job that is sent. If after a 402
the balance cannot be read, or has not risen for long, a job is sent there too: a 402 is free, and otherwise a wrong 402
would stop the session forever. For ``min-balance`` no job is sent, because it would be paid from the minimum balance.
The delays between probes double up to a maximum, because a top-up takes minutes and a maintenance may take an hour; the
network is tried again much sooner.

Only the probe's own response moves the next probe. Requests that were in flight when the pause began still end, but
their results (the same refusal again, or a success that is older than the pause) change nothing.

A 403 is a pause because it is usually temporary (a firewall that mistook us for a flood, an address that is being
added to a list), and because the user can fix a permanent one while the jobs wait; the log says how.

A 401 is not a pause: nothing can be sent with that key, so submission stops, and all jobs are notified
(`Unauthorized`).
"""

import math
from enum import Enum, StrEnum
from typing import Final

import attrs

from .route_choice import MIN_GAP_S

#: Maximum failed creations (5xx, lost, malformed) in a row before the others are paused: each may have been charged.
MAX_ERRORS_IN_A_ROW: Final = 5
PROBE_FIRST_S: Final = 60.0
PROBE_MAX_S: Final = 600.0
#: A lost network or a full disk is tried again sooner, because that sends nothing to the provider.
LOCAL_PROBE_FIRST_S: Final = 1.0
LOCAL_PROBE_MAX_S: Final = 60.0
#: A second 404 counts only after `MIN_GAP_S`; a second more, so that rounding cannot make the probe too early.
ROUTE_PROBE_FIRST_S: Final = MIN_GAP_S + 1.0


class PauseReason(StrEnum):
    """Why submission is paused."""

    INSUFFICIENT_CREDITS = "insufficient-credits"
    MIN_BALANCE = "min-balance"
    KEY_LIMIT = "key-limit"
    MAINTENANCE = "maintenance"
    BLOCKED = "blocked"
    REPEATED_ERRORS = "repeated-errors"
    ROUTE_GONE = "route-gone"
    NETWORK = "network"
    LEDGER_UNAVAILABLE = "ledger-unavailable"


#: The problem is on our side, not the provider's.
_LOCAL_REASONS: Final = (PauseReason.NETWORK, PauseReason.LEDGER_UNAVAILABLE)
#: These end when the balance has risen.
_BALANCE_REASONS: Final = (PauseReason.INSUFFICIENT_CREDITS, PauseReason.MIN_BALANCE)


class Probe(Enum):
    """What is tried to find out whether a pause can end."""

    BALANCE = "balance"
    JOB = "job"


@attrs.define(eq=False)
class PauseState:
    """Whether submission is paused, why, and when the next probe is due.

    With ``is_probe`` a method is notified of the result of the probe, not of another request.
    """

    reason: PauseReason | None = None
    #: The lowest balance seen during this pause; a higher one means a top-up.
    balance: float | None = None
    _probe_at: float = 0.0
    _delay_s: float = PROBE_FIRST_S
    _errors_in_a_row: int = 0
    _is_probing: bool = False
    #: What the next probe will be.
    next_probe: Probe = Probe.JOB

    @property
    def next_probe_at(self) -> float:
        """When a probe is due; infinity while one is in flight."""
        return math.inf if self._is_probing else self._probe_at

    def begin_probe(self) -> None:
        """Begin the probe that is due. The caller must report its result."""
        self._is_probing = True

    def pause(self, reason: PauseReason, now: float, *, is_probe: bool = False) -> bool:
        """Pause submission. Return whether *reason* is new."""
        is_new = self.reason is not reason
        if is_new:
            self.reason, self.balance = reason, None
            self._delay_s = _first_delay_s(reason)
            if reason in _BALANCE_REASONS:
                self._probe_at = now  # read the balance immediately, so that a top-up can be detected
            else:
                self._schedule_probe(now)
        elif is_probe:
            self._schedule_probe(now)
        if is_new or is_probe:
            self.next_probe = Probe.BALANCE if reason in _BALANCE_REASONS else Probe.JOB
        self._is_probing = self._is_probing and not is_probe
        return is_new

    def balance_low(self, now: float, probe_at: float) -> bool:
        """Pause because the balance is too low; it may be read again at *probe_at*. Return whether the pause is new."""
        is_new = self.pause(PauseReason.MIN_BALANCE, now)
        if is_new:
            self._probe_at = max(now, probe_at)
        return is_new

    def balance_sufficient(self) -> bool:
        """Note that the balance is not below the minimum. Return whether this ends a pause."""
        return self.reason is PauseReason.MIN_BALANCE and self._resume()

    def route_lost(self, now: float) -> None:
        """Note that the route is known to be gone: the next probe reads the balance, and is due immediately."""
        if self.reason is PauseReason.ROUTE_GONE:
            self._is_probing, self._probe_at, self.next_probe = False, now, Probe.BALANCE

    def route_kept(self, now: float) -> None:
        """Note that the balance did not decide to change the route: the next probe is a job."""
        if self.reason is PauseReason.ROUTE_GONE:
            self.next_probe = Probe.JOB
            self.probe_inconclusive(now)

    def route_found(self) -> bool:
        """Note that new requests have a route. Return whether this ends a pause."""
        return self.reason is PauseReason.ROUTE_GONE and self._resume()

    def probe_not_sent(self, now: float) -> None:
        """Note that the probe was not sent, for a local reason; the next one is due immediately."""
        self._is_probing, self._probe_at = False, now

    def probe_inconclusive(self, now: float) -> None:
        """Note that the probe proved nothing: the pause continues, and the next probe comes later."""
        self._is_probing = False
        self._schedule_probe(now)

    def balance_probed(self, balance: float | None, now: float) -> bool:
        """Note the balance that a probe read; None if it could not be read. Return whether this ends the pause."""
        if self.balance is not None and balance is not None and balance > self.balance:
            return self._resume()
        if self.reason is PauseReason.MIN_BALANCE:  # `BalanceGuard` decides what is sufficient
            self.probe_inconclusive(now)
            return False
        known = [value for value in (self.balance, balance) if value is not None]
        self.balance = min(known, default=None)
        if self.reason is PauseReason.INSUFFICIENT_CREDITS:
            is_conclusive = balance is not None and self._delay_s < PROBE_MAX_S
            self.next_probe = Probe.BALANCE if is_conclusive else Probe.JOB
        self.probe_inconclusive(now)
        return False

    def creation_failed(self, now: float, *, is_probe: bool = False) -> bool:
        """Note that a creation ended in an error. Return whether this begins a pause for repeated errors."""
        self._errors_in_a_row += 1
        if is_probe:
            self.probe_inconclusive(now)
        return (
            self._errors_in_a_row >= MAX_ERRORS_IN_A_ROW
            and self.reason is None
            and self.pause(PauseReason.REPEATED_ERRORS, now)
        )

    def response_received(self, *, is_probe: bool = False) -> bool:
        """Note a response of any kind. Return whether this ends a pause."""
        return is_probe and self.reason in _LOCAL_REASONS and self._resume()

    def creation_refused(self, now: float, *, is_probe: bool = False) -> bool:
        """Note that a creation was refused for its content: the provider works. Return whether this ends a pause."""
        self._errors_in_a_row = 0
        if not is_probe:
            return False
        if self.reason in (PauseReason.MAINTENANCE, PauseReason.BLOCKED, PauseReason.REPEATED_ERRORS):
            return self._resume()
        self.probe_not_sent(now)  # it proved nothing about the account, so the next job may be sent
        return False

    def creation_accepted(self, *, is_probe: bool = False) -> bool:
        """Note that a creation was accepted. Return whether this ends a pause."""
        self._errors_in_a_row = 0
        return is_probe and self._resume()

    def _schedule_probe(self, now: float) -> None:
        max_delay_s = LOCAL_PROBE_MAX_S if self.reason in _LOCAL_REASONS else PROBE_MAX_S
        self._probe_at = now + self._delay_s
        self._delay_s = min(self._delay_s * 2, max_delay_s)

    def _resume(self) -> bool:
        was_paused = self.reason is not None
        self.reason, self.balance, self.next_probe = None, None, Probe.JOB
        self._is_probing, self._errors_in_a_row = False, 0
        return was_paused


def _first_delay_s(reason: PauseReason) -> float:
    if reason is PauseReason.ROUTE_GONE:
        return ROUTE_PROBE_FIRST_S
    return LOCAL_PROBE_FIRST_S if reason in _LOCAL_REASONS else PROBE_FIRST_S
