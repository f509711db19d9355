"""The gate's door: whether calls may leave at all, and when the one call after a closing may.

Theory of operation
-------------------
::

    OPEN      -- refused / pause ------------> DRAINING   (CLOSED at once if nothing is under way)
    DRAINING  -- the last call is home ------> CLOSED     (and the refusal is judged)
    CLOSED    -- ask, when it is time -------> PROBING    (exactly one call leaves)
    PROBING   -- accepted -------------------> OPEN       (CLOSED if a pause is still on)
    PROBING   -- refused --------------------> CLOSED     (judged again; the next probe comes later)
    PROBING   -- lost, never sent -----------> CLOSED     (nothing was learned)

Two instants hold the probe back. The *hard* one (`closed_until`) only ever grows, so no caller can undo another's
pause. The *soft* one is when the probe leaves if nothing happens before; an event may bring it forward. How long
either is, `gate_closing` says; here they are only kept.
"""

import math
from typing import assert_never

import attrs

from .values import GateState, Reason, Wait


@attrs.define(eq=False)
class GateControl:
    """The door, and what it waits for."""

    state: GateState = attrs.field(default=GateState.OPEN, init=False)
    closed_until: float = attrs.field(default=-math.inf, init=False)  #: hard: never moves back
    pause_reason: str = attrs.field(default="", init=False)
    _probe_at: float = attrs.field(default=-math.inf, init=False)  #: soft: an event may bring it forward
    _paused_until: float = attrs.field(default=-math.inf, init=False)

    def wait(self, now: float) -> Wait | None:
        """What everybody waits for; None if the door is open, or closed and it is time for the probe."""
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
        """Let nothing leave before *until*; the latest end counts, with its reason.

        Args:
            is_busy: calls are under way.
        """
        if until >= self._paused_until:
            self._paused_until = until
            self.pause_reason = reason
        self.closed_until = max(self.closed_until, self._paused_until)
        if self.state is GateState.OPEN:
            self.state = GateState.DRAINING if is_busy else GateState.CLOSED

    def close(self) -> None:
        """A call was refused: nothing leaves until those under way are home."""
        self.state = GateState.DRAINING

    def calls_finished(self) -> bool:
        """Nothing is under way; whether that is what the door waited for."""
        if self.state is not GateState.DRAINING:
            return False
        self.state = GateState.CLOSED
        return True

    def schedule_probe(self, hard: float, soft: float) -> None:
        """The probe leaves at *soft*, and whatever happens not before *hard*."""
        self._probe_at = soft
        self.closed_until = max(self.closed_until, hard)

    def advance_probe(self, now: float) -> None:
        """Something happened for which the probe need not wait any longer."""
        if self.state is GateState.CLOSED:
            self._probe_at = min(self._probe_at, now)

    def probe_sent(self) -> None:
        """Everybody else waits for its answer."""
        self.state = GateState.PROBING

    def probe_voided(self, again_at: float) -> None:
        """A call came home that told nothing; if it was the probe, another leaves."""
        if self.state is GateState.PROBING:
            self.state = GateState.CLOSED
            self._probe_at = again_at

    def open(self, now: float) -> None:
        """The probe passed: back to normal, unless a pause is still on."""
        self.state = GateState.CLOSED if now < self._paused_until else GateState.OPEN
        self._probe_at = -math.inf
