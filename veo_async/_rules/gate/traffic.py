"""The calls of an open gate: which are under way, which the server still counts, and whether one more may go.

Four things hold a call up, and `Traffic.decide` looks at them in this order: enough calls are under way,
enough tasks run (module `cap`), the last call is too young for the pace, the window is full
(`gate_window`).

A creating call can take a minute to be answered, and a 429 comes at once. So a call that has been under way for
`ASSUME_ARRIVED_S` is taken for *arrived*: it is stamped then, it no longer counts as one whose fate is open, and the next may
go. Without this a provider that answers slowly would be used at a fraction of what it allows. Should it have been
wrong, it costs one 429, which fails nothing.
"""

import math

import attrs

from .cap import RunningCap
from .learning import LimitLearner
from .values import GateSettings, Grant, Purpose, Reason, Wait
from .window import SendLog

#: Seconds after which a call has reached the server, or will never: no network takes longer on a kept connection.
ASSUME_ARRIVED_S = 5.0

#: A call left as soon as the pace allowed if it left within this share of the gap after that.
PACE_LIMITED_SHARE = 0.5


@attrs.define(eq=False)
class Traffic:
    """What is under way, and what may join it."""

    settings: GateSettings
    learner: LimitLearner
    cap: RunningCap
    log: SendLog
    in_flight: dict[int, Grant] = attrs.field(factory=dict, init=False)
    _arrived: set[int] = attrs.field(factory=set, init=False)  #: under way, and stamped already
    is_paced: bool = attrs.field(default=False, init=False)  #: the caller asked for evenly spread calls
    keep_free: int = attrs.field(default=0, init=False)  #: places of the window that these leave to urgent ones
    _granted: int = attrs.field(default=0, init=False)
    _parallel: int = attrs.field(init=False)  #: calls that may be under way at once
    _next_at: float = attrs.field(default=-math.inf, init=False)  #: when the pace allows the next

    def __attrs_post_init__(self) -> None:
        self._parallel = self.settings.parallel_first

    def decide(self, now: float, *, is_urgent: bool = False) -> Purpose | Wait:
        """May one more call join, the gate being open?"""
        self._note_arrivals(now)
        in_flight = self._open_calls
        if in_flight >= self._parallel or (in_flight and self._one_at_a_time()):
            return Wait(self._next_arrival(), Reason.PARALLEL)
        under_way = len(self.in_flight)
        is_over = self.cap.is_full(under_way)
        if is_over and (under_way or now < self.cap.may_exceed_at):
            return Wait(math.inf if under_way else self.cap.may_exceed_at, Reason.CAP)
        if now < self._next_at and not (is_urgent and self.learner.pacer is None):
            return Wait(self._next_at, Reason.PACE)
        full = self._room(self.learner.ceiling, now)
        if full is None:
            return Purpose.OVER_CAP if is_over else Purpose.ROUTINE
        return full if is_over else self._extra(full, now)

    def decide_probe(self, now: float) -> Purpose | Wait:
        """May the probe leave, its time having come? It never goes beyond the limit, nor beyond the cap."""
        if self.cap.is_full(0) and now < self.cap.may_exceed_at:
            return Wait(self.cap.may_exceed_at, Reason.CAP)
        return self._room(self.learner.ceiling, now) or Purpose.PROBE

    def grant(self, purpose: Purpose, now: float, *, is_urgent: bool = False) -> Grant:
        """A call leaves."""
        self._granted += 1
        is_pace_limited = now - self._next_at < PACE_LIMITED_SHARE * self.learner.gap_s
        ticket = Grant(self._granted, now, purpose, is_pace_limited)
        self.in_flight[ticket.number] = ticket
        if self.learner.pacer is not None:
            self._next_at = now + self.learner.gap_s
        elif self.is_paced and not is_urgent:
            self._next_at = now + self.learner.span_s / max(1, self.learner.ceiling - self.keep_free)
        return ticket

    def release(self, ticket: Grant) -> None:
        """A call has ended, whichever way.

        Raises:
            ValueError: it is not under way, or was handed back already.
        """
        if self.in_flight.pop(ticket.number, None) is None:
            msg = f"not under way, or handed back already: {ticket}"
            raise ValueError(msg)

    def count_own(self, now: float) -> int:
        """Calls of this session that the server still counts, those under way included."""
        return self._open_calls + self.log.count_own(now, self.learner.span_s)

    def accepted(self, ticket: Grant, now: float) -> None:
        """It became a task."""
        learner = self.learner
        if ticket.number in self._arrived:
            stamp = self.log.accepted_late(ticket.at + ASSUME_ARRIVED_S)
        else:
            stamp = self.log.accepted(ticket.at, now)
        self._arrived.discard(ticket.number)
        self.cap.accepted()
        self._parallel = min(self.settings.max_parallel, self._parallel + 1)
        if learner.pacer is not None and learner.pacer.by_arrival:
            self._next_at = max(self._next_at, stamp + learner.gap_s)
        if ticket.purpose is Purpose.EXTRA:
            learner.extra_accepted(self.log.count_accepted(now, learner.span_s), now)
        learner.accepted(now, is_pressed=ticket.is_pressed)

    def unanswered(self, ticket: Grant, now: float) -> None:
        """Nobody knows what became of it."""
        if ticket.number not in self._arrived:
            self.log.add_unaccepted(now)
        self._arrived.discard(ticket.number)
        if ticket.purpose is Purpose.EXTRA:
            self.learner.postpone(now)
        elif ticket.purpose is Purpose.OVER_CAP:
            self.cap.postpone(now)

    def refused(self, ticket: Grant, now: float) -> None:
        """It got a 429; some servers count it all the same."""
        self._arrived.discard(ticket.number)
        self.log.add_unaccepted(now)

    def not_sent(self, ticket: Grant) -> None:
        """It did not leave: if it was the last, the pace allows another in its place."""
        self._arrived.discard(ticket.number)
        if ticket.number == self._granted:
            self._next_at = min(self._next_at, ticket.at)

    def limit_parallel(self, parallel: int) -> None:
        """The gate re-opens: so many at once, and one more for each that is accepted."""
        self._parallel = parallel

    @property
    def _open_calls(self) -> int:
        """Calls under way that may still be on their way there."""
        return len(self.in_flight) - len(self._arrived)

    def _note_arrivals(self, now: float) -> None:
        """Stamp calls that must have arrived by now. They are in the order in which they left."""
        for number, ticket in self.in_flight.items():
            if ticket.at + ASSUME_ARRIVED_S > now:
                return
            if number not in self._arrived:
                self._arrived.add(number)
                self.log.arrived(ticket.at + ASSUME_ARRIVED_S, now)

    def _next_arrival(self) -> float:
        """When the oldest open call will be taken for arrived."""
        open_calls = (ticket.at for number, ticket in self.in_flight.items() if number not in self._arrived)
        return next(open_calls, math.inf) + ASSUME_ARRIVED_S

    def _one_at_a_time(self) -> bool:
        pacer = self.learner.pacer
        return pacer is not None and pacer.by_arrival and pacer.gap_s > self.log.min_round_trip_s

    def _room(self, most: int, now: float) -> Wait | None:
        room = most - self._open_calls
        if room <= 0:
            return Wait(self._next_arrival(), Reason.WINDOW)
        at = self.log.room_at(room, now, self.learner.span_s)
        return Wait(at, Reason.WINDOW) if at > now else None

    def _extra(self, full: Wait, now: float) -> Purpose | Wait:
        if self._open_calls >= self.learner.extra_parallel:
            return full
        at = self.learner.extra_at()
        if now < at:
            return Wait(min(full.until, at), full.reason)
        beyond = None if self.settings.explore else self._room(self.settings.limit, now)
        return beyond or Purpose.EXTRA
