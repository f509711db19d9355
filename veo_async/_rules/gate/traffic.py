"""The requests of an open gate: which are in flight, which the server still counts, and whether another may be sent.

Four things can delay a request. `Traffic.decide` checks them in this order: the number of requests in flight, the cap
on running tasks (module `cap`), the pace, and the window (module `window`).

The response to a creating request can take a minute, while a 429 arrives immediately. So a request that has been in
flight for `ASSUME_ARRIVED_S` is assumed to have *arrived*: it is stamped then, no longer counts as in transit, and the
next may be sent. Otherwise a provider that responds slowly would be used at a fraction of what it allows. A wrong
assumption costs one 429, which fails no job.

The number in flight that keeps a rate is the rate times the round trip. So the maximum is `PARALLEL_MARGIN` times that,
by the fastest recent round trip: the others contain delays of our own, and would let the number grow without need.
"""

import math

import attrs

from .cap import RunningCap
from .learning import LimitLearner
from .values import GateSettings, Grant, Purpose, Reason, Wait
from .window import SendLog

#: Seconds after which a request has reached the server or never will: no network takes longer on an open connection.
ASSUME_ARRIVED_S = 5.0

#: Requests in flight, as a multiple of those that keep the rate: round trips differ.
PARALLEL_MARGIN = 2

#: An extra request is sent within this many seconds of the request that filled the window, and not if the window has
#: room again within as many. It counts even if it is refused, and so takes a place: at any other moment that of a
#: request which may be sent soon, or one that lags behind the others from then on. Both delay the last requests of a
#: list. Where requests are spread evenly there is no good moment: a window after it is due, any will do.
EXTRA_WITHIN_S = 1.0

#: The pace was the bottleneck if a request was sent within this share of the gap after the pace allowed it.
PACE_LIMITED_SHARE = 0.5


@attrs.define(eq=False)
class Traffic:
    """The requests in flight, and the decision whether to send another."""

    settings: GateSettings
    learner: LimitLearner
    cap: RunningCap
    log: SendLog
    in_flight: dict[int, Grant] = attrs.field(factory=dict, init=False)
    _arrived: set[int] = attrs.field(factory=set, init=False)  #: in flight, and stamped already
    is_paced: bool = attrs.field(default=False, init=False)  #: the caller asked for evenly spread requests
    is_higher_limit_useful: bool = attrs.field(default=True, init=False)  #: the caller could send more than the limit
    reserved_places: int = attrs.field(default=0, init=False)  #: places in the window that are left to urgent requests
    _granted: int = attrs.field(default=0, init=False)
    _max_parallel: int = attrs.field(init=False)  #: current maximum of requests in transit
    _next_at: float = attrs.field(default=-math.inf, init=False)  #: when the pace allows the next request
    _active_at: float = attrs.field(default=-math.inf, init=False)  #: when a request was last sent or accepted

    def __attrs_post_init__(self) -> None:
        self._max_parallel = self.settings.parallel_first

    def decide(self, now: float, *, is_urgent: bool = False) -> Purpose | Wait:
        """Return why another request may be sent, or what it waits for. The gate is open."""
        self._stamp_arrivals(now)
        in_transit = self._in_transit
        if in_transit >= self._max_parallel or (in_transit and self._is_one_at_a_time()):
            return Wait(self._next_arrival(), Reason.PARALLEL)
        in_flight = len(self.in_flight)
        is_cap_full = self.cap.is_full(in_flight)
        if is_cap_full and (in_flight or now < self.cap.may_exceed_at):
            return Wait(math.inf if in_flight else self.cap.may_exceed_at, Reason.CAP)
        if now < self._next_at and not (is_urgent and self.learner.pacer is None):
            return Wait(self._next_at, Reason.PACE)
        window_wait = self._window_wait(self.learner.ceiling, now)
        if window_wait is None:
            return Purpose.OVER_CAP if is_cap_full else Purpose.ROUTINE
        return window_wait if is_cap_full else self._decide_extra(window_wait, now)

    def decide_probe(self, now: float) -> Purpose | Wait:
        """Return whether the probe, which is due, may be sent. It never exceeds the limit or the cap."""
        if self.cap.is_full(0) and now < self.cap.may_exceed_at:
            return Wait(self.cap.may_exceed_at, Reason.CAP)
        return self._window_wait(self.learner.ceiling, now) or Purpose.PROBE

    def grant(self, purpose: Purpose, now: float, *, is_urgent: bool = False) -> Grant:
        """Grant a request that is sent now."""
        self._granted += 1
        self._active_at = now
        is_pace_limited = now - self._next_at < PACE_LIMITED_SHARE * self.learner.gap_s
        ticket = Grant(self._granted, now, purpose, is_pace_limited)
        self.in_flight[ticket.number] = ticket
        if self.learner.pacer is not None:
            self._next_at = now + self.learner.gap_s
        elif self.is_paced and not is_urgent:
            self._next_at = now + self.learner.span_s / max(1, self.learner.ceiling - self.reserved_places)
        return ticket

    def release(self, ticket: Grant) -> None:
        """Remove a request that has ended, no matter how.

        Raises:
            ValueError: it is not in flight, or its ticket was returned before.
        """
        if self.in_flight.pop(ticket.number, None) is None:
            msg = f"not in flight, or already returned: {ticket}"
            raise ValueError(msg)

    def count_own(self, now: float) -> int:
        """Return how many of this session's requests the server still counts, including those in transit."""
        return self._in_transit + self.log.count_own(now, self.learner.span_s)

    def accepted(self, ticket: Grant, now: float) -> None:
        """Note that the provider created a task."""
        learner = self.learner
        self._active_at = now
        if ticket.number in self._arrived:
            stamp = self.log.accept_arrived(ticket.at + ASSUME_ARRIVED_S)
        else:
            stamp = self.log.add_accepted(ticket.at, now)
        self._arrived.discard(ticket.number)
        self.cap.accepted()
        self._max_parallel = min(self._parallel_for_rate, self._max_parallel + 1)
        if learner.pacer is not None and learner.pacer.by_arrival:
            self._next_at = max(self._next_at, stamp + learner.gap_s)
        if ticket.purpose is Purpose.EXTRA:
            learner.extra_accepted(self.log.count_accepted(now, learner.span_s), now)
        learner.accepted(now, is_pace_limited=ticket.is_pace_limited)

    def unanswered(self, ticket: Grant, now: float) -> None:
        """Note that the outcome of a request is unknown."""
        if ticket.number not in self._arrived:
            self.log.add_unaccepted(now)
        self._arrived.discard(ticket.number)
        if ticket.purpose is Purpose.EXTRA:
            self.learner.postpone(now)
        elif ticket.purpose is Purpose.OVER_CAP:
            self.cap.postpone(now)

    def refused(self, ticket: Grant, now: float) -> None:
        """Note a 429. The request takes a place in the window, because some servers count refused requests."""
        self._arrived.discard(ticket.number)
        self.log.add_unaccepted(now)

    def not_sent(self, ticket: Grant) -> None:
        """Note that a request was not sent. If it was the latest, the pace allows another in its place."""
        self._arrived.discard(ticket.number)
        if ticket.number == self._granted:
            self._next_at = min(self._next_at, ticket.at)

    def limit_parallel(self, parallel: int) -> None:
        """Allow *parallel* requests in transit, and one more for each that is accepted, because the gate re-opens."""
        self._max_parallel = parallel

    @property
    def _in_transit(self) -> int:
        """Requests in flight that may not have reached the server yet."""
        return len(self.in_flight) - len(self._arrived)

    @property
    def _parallel_for_rate(self) -> int:
        """How many requests in transit keep the rate."""
        transit_s = min(self.log.min_round_trip_s, ASSUME_ARRIVED_S)
        in_transit = transit_s * self.learner.rate / self.settings.window_s
        return max(self.settings.parallel_later, math.ceil(PARALLEL_MARGIN * in_transit))

    def _stamp_arrivals(self, now: float) -> None:
        """Stamp the requests that must have arrived by now. `in_flight` is in the order of sending."""
        for number, ticket in self.in_flight.items():
            if ticket.at + ASSUME_ARRIVED_S > now:
                return
            if number not in self._arrived:
                self._arrived.add(number)
                self.log.add_arrived(ticket.at + ASSUME_ARRIVED_S, now)

    def _next_arrival(self) -> float:
        """Return when the oldest request in transit will be assumed to have arrived."""
        sent_at = (ticket.at for number, ticket in self.in_flight.items() if number not in self._arrived)
        return next(sent_at, math.inf) + ASSUME_ARRIVED_S

    def _is_one_at_a_time(self) -> bool:
        pacer = self.learner.pacer
        return pacer is not None and pacer.by_arrival and pacer.gap_s > self.log.min_round_trip_s

    def _window_wait(self, ceiling: int, now: float) -> Wait | None:
        """Return how long a window of *ceiling* requests stays full; None if it has room now."""
        room = ceiling - self._in_transit
        if room <= 0:
            return Wait(self._next_arrival(), Reason.WINDOW)
        at = self.log.room_at(room, now, self.learner.span_s)
        return Wait(at, Reason.WINDOW) if at > now else None

    def _decide_extra(self, window_wait: Wait, now: float) -> Purpose | Wait:
        if not self.is_higher_limit_useful or self._in_transit >= self.learner.extra_parallel:
            return window_wait
        due = self.learner.extra_at()
        is_burst_over = now <= self._active_at + EXTRA_WITHIN_S < window_wait.until
        if now < due or (not is_burst_over and now < due + self.learner.span_s):
            return window_wait
        beyond = None if self.settings.explore else self._window_wait(self.settings.limit, now)
        return beyond or Purpose.EXTRA
