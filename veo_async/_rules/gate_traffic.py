"""The calls of an open gate: which are under way, which the server still counts, and whether one more may go.

Four things hold a call up, and `Traffic.decide` looks at them in this order: enough calls are under way,
enough tasks run (module `cap`), the last call is too young for the pace, the window is full
(`gate_window`).
"""

import math

import attrs

from .cap import Cap
from .gate_learning import Learner
from .gate_values import GateSettings, Grant, Purpose, Reason, Wait
from .gate_window import SendLog

#: A call left as soon as the pace allowed if it left within this share of the gap after that.
PRESSED = 0.5


@attrs.define(eq=False)
class Traffic:
    """What is under way, and what may join it."""

    settings: GateSettings
    learner: Learner
    cap: Cap
    log: SendLog
    in_flight: dict[int, Grant] = attrs.field(factory=dict, init=False)
    is_paced: bool = attrs.field(default=False, init=False)  #: the caller asked for evenly spread calls
    _granted: int = attrs.field(default=0, init=False)
    _parallel: int = attrs.field(init=False)  #: calls that may be under way at once
    _next_at: float = attrs.field(default=-math.inf, init=False)  #: when the pace allows the next

    def __attrs_post_init__(self) -> None:
        self._parallel = self.settings.parallel_first

    def decide(self, now: float) -> Purpose | Wait:
        """May one more call join, the gate being open?"""
        in_flight = len(self.in_flight)
        if in_flight >= self._parallel or (in_flight and self._goes_singly()):
            return Wait(math.inf, Reason.PARALLEL)
        is_over = self.cap.is_full(in_flight)
        if is_over and (in_flight or now < self.cap.over_at):
            return Wait(math.inf if in_flight else self.cap.over_at, Reason.CAP)
        if now < self._next_at:
            return Wait(self._next_at, Reason.PACE)
        full = self._room(self.learner.ceiling, now)
        if full is None:
            return Purpose.OVER_CAP if is_over else Purpose.ROUTINE
        return full if is_over else self._extra(full, now)

    def decide_probe(self, now: float) -> Purpose | Wait:
        """May the probe leave, its time having come? It never goes beyond the limit, nor beyond the cap."""
        if self.cap.is_full(0) and now < self.cap.over_at:
            return Wait(self.cap.over_at, Reason.CAP)
        return self._room(self.learner.ceiling, now) or Purpose.PROBE

    def grant(self, purpose: Purpose, now: float) -> Grant:
        """A call leaves."""
        self._granted += 1
        is_pressed = now - self._next_at < PRESSED * self.learner.gap_s
        ticket = Grant(self._granted, now, purpose, is_pressed)
        self.in_flight[ticket.number] = ticket
        if self.learner.pacer is not None:
            self._next_at = now + self.learner.gap_s
        elif self.is_paced:
            self._next_at = now + self.learner.span_s / self.learner.ceiling
        return ticket

    def take_back(self, ticket: Grant) -> None:
        """A call has ended, whichever way.

        Raises:
            ValueError: it is not under way, or was handed back already.
        """
        if self.in_flight.pop(ticket.number, None) is None:
            msg = f"not under way, or handed back already: {ticket}"
            raise ValueError(msg)

    def accepted(self, ticket: Grant, now: float) -> None:
        """It became a task."""
        learner = self.learner
        stamp = self.log.accepted(ticket.at, now)
        self.cap.accepted()
        self._parallel = min(self.settings.parallel_most, self._parallel + 1)
        if learner.pacer is not None and learner.pacer.by_arrival:
            self._next_at = max(self._next_at, stamp + learner.gap_s)
        if ticket.purpose is Purpose.EXTRA:
            learner.extra_accepted(self.log.count_accepted(now, learner.span_s), now)
        learner.accepted(now, is_pressed=ticket.is_pressed)

    def lost(self, ticket: Grant, now: float) -> None:
        """Nobody knows what became of it."""
        self.log.refused_or_lost(now)
        if ticket.purpose is Purpose.EXTRA:
            self.learner.postpone(now)
        elif ticket.purpose is Purpose.OVER_CAP:
            self.cap.postpone(now)

    def never_sent(self, ticket: Grant) -> None:
        """It did not leave: if it was the last, the pace allows another in its place."""
        if ticket.number == self._granted:
            self._next_at = min(self._next_at, ticket.at)

    def start_slowly(self, parallel: int) -> None:
        """The gate re-opens: so many at once, and one more for each that is accepted."""
        self._parallel = parallel

    def _goes_singly(self) -> bool:
        pacer = self.learner.pacer
        return pacer is not None and pacer.by_arrival and pacer.gap_s > self.log.quickest_s

    def _room(self, most: int, now: float) -> Wait | None:
        room = most - len(self.in_flight)
        if room <= 0:
            return Wait(math.inf, Reason.WINDOW)
        at = self.log.room_at(room, now, self.learner.span_s)
        return Wait(at, Reason.WINDOW) if at > now else None

    def _extra(self, full: Wait, now: float) -> Purpose | Wait:
        if len(self.in_flight) >= self.learner.extra_parallel:
            return full
        at = self.learner.extra_at()
        if now < at:
            return Wait(min(full.until, at), full.reason)
        beyond = None if self.settings.explore else self._room(self.settings.limit, now)
        return beyond or Purpose.EXTRA
