"""The gate's state: whether requests may be sent at all, and when the probe after a closure is due.

Theory of operation
-------------------
::

    OPEN      -- refused / paused -------------> DRAINING   (CLOSED immediately if nothing is in flight)
    DRAINING  -- the last request has ended ---> CLOSED     (and the refusal is explained)
    CLOSED    -- request(), probe is due ------> PROBING    (exactly one request is sent)
    PROBING   -- accepted ---------------------> OPEN       (CLOSED if a pause is still active)
    PROBING   -- refused ----------------------> CLOSED     (explained again; the next probe follows later)
    PROBING   -- no response, not sent --------> CLOSED     (nothing was learned)

Two instants delay the probe. The *hard* one (`closed_until`) only ever grows, so no caller can undo another's pause.
The *soft* one is when the probe is sent if nothing else happens; an event may move it forward. `closure` calculates
both; this module only stores them.
"""

import math
from typing import assert_never

import attrs

from .values import GateState, Reason, Wait


@attrs.define(eq=False)
class GateControl:
    """The gate's state and the instants until which it stays closed."""

    state: GateState = attrs.field(default=GateState.OPEN, init=False)
    closed_until: float = attrs.field(default=-math.inf, init=False)  #: hard: never decreases
    pause_reason: str = attrs.field(default="", init=False)
    _probe_at: float = attrs.field(default=-math.inf, init=False)  #: soft: an event may move it forward
    _paused_until: float = attrs.field(default=-math.inf, init=False)

    def wait(self, now: float) -> Wait | None:
        """Return what every request waits for; None if the gate is open, or if it is closed and the probe is due."""
        if now < self._paused_until:
            return Wait(self._paused_until, self.pause_reason)
        match self.state:
            case GateState.OPEN:
                return None
            case GateState.CLOSED:
                at = max(self._probe_at, self.closed_until)
                return Wait(at, Reason.RATE_LIMITED) if now < at else None
            case GateState.DRAINING:
                return Wait(math.inf, Reason.RATE_LIMITED)
            case GateState.PROBING:
                return Wait(math.inf, Reason.PROBING)
            case _:
                assert_never(self.state)

    def pause(self, until: float, reason: str, *, is_busy: bool) -> None:
        """Send nothing before *until*. Of several pauses the latest end applies, with its reason.

        Args:
            is_busy: whether requests are in flight.
        """
        if until >= self._paused_until:
            self._paused_until = until
            self.pause_reason = reason
        self.closed_until = max(self.closed_until, self._paused_until)
        if self.state is GateState.OPEN:
            self.state = GateState.DRAINING if is_busy else GateState.CLOSED

    def close(self) -> None:
        """Send nothing until every request in flight has ended, because one was refused."""
        self.state = GateState.DRAINING

    def requests_drained(self) -> bool:
        """Note that nothing is in flight. Return whether the gate was waiting for that."""
        if self.state is not GateState.DRAINING:
            return False
        self.state = GateState.CLOSED
        return True

    def schedule_probe(self, hard: float, soft: float) -> None:
        """Send the probe at *soft*, and under no circumstances before *hard*."""
        self._probe_at = soft
        self.closed_until = max(self.closed_until, hard)

    def advance_probe(self, now: float) -> None:
        """Make the probe due now, because of an event that it was waiting for."""
        if self.state is GateState.CLOSED:
            self._probe_at = min(self._probe_at, now)

    def probe_sent(self) -> None:
        """Make every other request wait for the response to the probe."""
        self.state = GateState.PROBING

    def probe_voided(self, again_at: float) -> None:
        """Note that a request ended without a conclusion. If it was the probe, another follows at *again_at*."""
        if self.state is GateState.PROBING:
            self.state = GateState.CLOSED
            self._probe_at = again_at

    def open(self, now: float) -> None:
        """Open the gate, because the probe was accepted; stay closed if a pause is still active."""
        self.state = GateState.CLOSED if now < self._paused_until else GateState.OPEN
        self._probe_at = -math.inf
