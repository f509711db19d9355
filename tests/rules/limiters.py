"""Server models to try the gate against, and a discrete simulation that does it.

A *limiter* answers two questions about a creating call that reaches the server at an instant: is it
accepted (`take`), and when would one be (`next_free`). `Server` adds a cap on running tasks and whatever
changes the limiter from outside. `simulate` drives a gate against it, event by event; `lower_bound` is what
a client could reach that knows everything and has no network.

The models of network and durations are those of the study the gate comes from: uplink lognormal with a
median of 60 ms and sigma 0.5, an accepting answer 250 ms later, a refusing one 20 ms later; durations
lognormal. They are assumptions, so the figures are good for comparing rules, not for promising seconds.
"""

import heapq
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from typing import Protocol

import attrs

from veo_async._rules.gate.gate import Gate, Grant

WINDOW_S = 10.0
#: Keeps a call made exactly at a computed instant on the right side of it, in spite of rounding.
TINY_S = 1e-6


class Limiter(Protocol):
    """One way of holding a client to ``limit`` calls in ten seconds."""

    limit: int

    def take(self, now: float) -> bool:
        """A call arrives: is it accepted? Calls arrive in the order of time."""
        ...

    def next_free(self, now: float) -> float:
        """The first instant, now or later, at which a call would be accepted if none came before."""
        ...


@attrs.define(eq=False)
class FixedWindow:
    """So many per window, windows cut by the clock; *phase* is where the first cut falls."""

    limit: int
    phase: float = 0.0
    _index: int = -1
    _used: int = 0

    def _roll(self, now: float) -> None:
        index = math.floor((now - self.phase) / WINDOW_S)
        if index != self._index:
            self._index, self._used = index, 0

    def take(self, now: float) -> bool:
        """Accepted while the present window has room."""
        self._roll(now)
        if self._used >= self.limit:
            return False
        self._used += 1
        return True

    def next_free(self, now: float) -> float:
        """Now, or the next cut."""
        self._roll(now)
        return now if self._used < self.limit else (self._index + 1) * WINDOW_S + self.phase + TINY_S


@attrs.define(eq=False)
class SlidingLog:
    """So many in any ten seconds, exactly; with *counts_rejected* a refused call uses up room too."""

    limit: int
    counts_rejected: bool = False
    _log: list[float] = attrs.field(factory=list)

    def take(self, now: float) -> bool:
        """Accepted while the last ten seconds hold fewer than the limit."""
        del self._log[: bisect_right(self._log, now - WINDOW_S)]
        is_accepted = len(self._log) < self.limit
        if is_accepted or self.counts_rejected:
            self._log.append(now)
        return is_accepted

    def next_free(self, now: float) -> float:
        """When the oldest call that matters leaves the window."""
        if len(self._log) < self.limit:
            return now
        return max(now, self._log[-self.limit] + WINDOW_S + TINY_S)


@attrs.define(eq=False)
class WeightedCounter:
    """Two counters: the window before this one is counted by the share of it that is still in reach."""

    limit: int
    phase: float = 0.0
    _index: int = -10
    _before: int = 0
    _used: int = 0

    def _roll(self, now: float) -> float:
        index = math.floor((now - self.phase) / WINDOW_S)
        if index != self._index:
            self._before = self._used if index == self._index + 1 else 0
            self._index, self._used = index, 0
        return (now - self.phase) / WINDOW_S - index

    def take(self, now: float) -> bool:
        """Accepted while the weighted sum leaves room for one."""
        gone = self._roll(now)
        if self._before * (1 - gone) + self._used + 1 > self.limit:
            return False
        self._used += 1
        return True

    def next_free(self, now: float) -> float:
        """When the weight of the window before has fallen enough, perhaps in the next window."""
        gone = self._roll(now)
        start = self._index * WINDOW_S + self.phase
        room = self.limit - 1 - self._used
        if room >= 0:
            needed = 1 - room / self._before if self._before else 0.0
            return max(now, start + needed * WINDOW_S + TINY_S) if needed > gone else now
        needed = 1 - (self.limit - 1) / self._used
        return start + WINDOW_S + max(0.0, needed) * WINDOW_S + TINY_S


@attrs.define(eq=False)
class Gcra:
    """A bucket: ``limit`` tokens refill in ten seconds and at most *burst* are held."""

    limit: int
    burst: int
    _tat: float = -math.inf

    def take(self, now: float) -> bool:
        """Accepted while a token is there."""
        if now < self.next_free(now):
            return False
        self._tat = max(now, self._tat) + WINDOW_S / self.limit
        return True

    def next_free(self, now: float) -> float:
        """When the next token is there."""
        due = self._tat - (self.burst - 1) * WINDOW_S / self.limit
        return now if due <= now + TINY_S else due


def fixed(limit: int, rng: Random) -> Limiter:
    """Fixed windows of unknown phase."""
    return FixedWindow(limit, rng.uniform(0, WINDOW_S))


def slog(limit: int, rng: Random) -> Limiter:
    """A sliding log."""
    return SlidingLog(limit)


def slog_r(limit: int, rng: Random) -> Limiter:
    """A sliding log that counts refused calls too."""
    return SlidingLog(limit, counts_rejected=True)


def weighted(limit: int, rng: Random) -> Limiter:
    """A weighted counter of unknown phase."""
    return WeightedCounter(limit, rng.uniform(0, WINDOW_S))


def bucket(limit: int, rng: Random) -> Limiter:
    """A token bucket that holds a full window's worth."""
    return Gcra(limit, burst=limit)


def gcra5(limit: int, rng: Random) -> Limiter:
    """A bucket that holds five."""
    return Gcra(limit, burst=5)


def gcra1(limit: int, rng: Random) -> Limiter:
    """Strict spacing."""
    return Gcra(limit, burst=1)


MakeLimiter = Callable[[int, Random], Limiter]
LIMITERS: dict[str, MakeLimiter] = {
    "fixed": fixed,
    "slog": slog,
    "slogR": slog_r,
    "scnt": weighted,
    "tb": bucket,
    "gcra5": gcra5,
    "gcra1": gcra1,
}


@attrs.frozen
class ChangeLimit:
    """At an instant the server's limit becomes another."""

    at: float
    limit: int


@attrs.frozen
class ForeignCall:
    """At an instant another client of the same account makes a call."""

    at: float


Disturbance = ChangeLimit | ForeignCall


@attrs.define(eq=False)
class Server:
    """A limiter, a cap on running tasks, and what happens to them from outside."""

    limiter: Limiter
    cap: int | None = None
    advises: bool = False  #: a refusal carries a Retry-After, in whole seconds
    disturbances: list[Disturbance] = attrs.field(factory=list)
    ends: list[float] = attrs.field(factory=list)  #: a heap: when the running tasks end

    def _advance(self, now: float) -> None:
        while self.disturbances and self.disturbances[0].at <= now:
            match self.disturbances.pop(0):
                case ChangeLimit(limit=limit):
                    self.limiter.limit = limit
                case ForeignCall(at=at):
                    self.limiter.take(at)
        while self.ends and self.ends[0] <= now:
            heapq.heappop(self.ends)

    def take(self, now: float, duration: float) -> float | None:
        """A call arrives; if it is accepted, when its task will end."""
        self._advance(now)
        if self.cap is not None and len(self.ends) >= self.cap:
            if getattr(self.limiter, "counts_rejected", False):
                self.limiter.take(now)
            return None
        if not self.limiter.take(now):
            return None
        heapq.heappush(self.ends, now + duration)
        return now + duration

    def advice(self, now: float) -> float | None:
        """The Retry-After of a refusal made now."""
        return float(math.ceil(self.limiter.next_free(now) - now)) if self.advises else None

    def next_free(self, now: float) -> float:
        """The first instant at which a call would be accepted, everything known."""
        while True:
            self._advance(now)
            free = self.limiter.next_free(now)
            if self.cap is not None and len(self.ends) >= self.cap:
                free = max(free, self.ends[0])
            if self.disturbances and self.disturbances[0].at <= free:
                now = max(now, self.disturbances[0].at)
            elif free <= now:
                return now
            else:
                now = free


def lower_bound(server: Server, durations: Iterable[float]) -> float:
    """The makespan of a client that knows everything, goes in order and has no network."""
    now = last = 0.0
    for duration in durations:
        now = server.next_free(now)
        end = server.take(now, duration)
        assert end is not None, "the bound's own rule was refused"
        last = max(last, end)
    return last


@attrs.frozen(kw_only=True)
class Run:
    """What came of one simulation."""

    makespan: float
    bound: float
    refusals: int
    jobs: int
    arrivals: list[float]  #: when accepted calls reached the server
    gate: Gate

    @property
    def ratio(self) -> float:
        """The makespan over the bound."""
        return self.makespan / self.bound

    @property
    def per_100(self) -> float:
        """Refusals per hundred jobs."""
        return 100 * self.refusals / self.jobs

    def worst_window(self, window_s: float = WINDOW_S) -> int:
        """The most accepted calls in any window, as the server counts them."""
        worst = first = 0
        for last, arrival in enumerate(self.arrivals):
            while self.arrivals[first] <= arrival - window_s:
                first += 1
            worst = max(worst, last - first + 1)
        return worst


FAST = (80.0, 0.305)  #: median and sigma of durations: P10-P90 is 54-118 s
VEO3 = (190.0, 0.359)  #: P10-P90 is 120-301 s


def draw_durations(jobs: int, rng: Random, shape: tuple[float, float] = FAST) -> list[float]:
    """So many durations."""
    return [rng.lognormvariate(math.log(shape[0]), shape[1]) for _ in range(jobs)]


def simulate(
    gate: Gate,
    make_server: Callable[[], Server],
    *,
    jobs: int,
    seed: int,
    shape: tuple[float, float] = FAST,
    detection_s: float = 0.0,
    slots: float = math.inf,
    horizon_s: float = 20_000.0,
) -> Run:
    """Send so many jobs, all waiting from the start, through *gate*; a livelock fails at *horizon_s*.

    Args:
        detection_s: the client learns of an ended task up to so many seconds late.
        slots: no more tasks run, to the client's knowledge, or are asked for.
    """
    rng = Random(seed)
    durations = draw_durations(jobs, rng, shape)
    bound = lower_bound(make_server(), durations)
    server = make_server()
    order = count()
    events: list[tuple[float, int, Callable[[float], None]]] = []
    arrivals: list[float] = []
    waiting, refusals, makespan, woken_at = jobs, 0, 0.0, math.inf

    def at(when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(events, (when, next(order), what))

    def arrive(ticket: Grant) -> Callable[[float], None]:
        def event(now: float) -> None:
            nonlocal makespan
            end = server.take(now, durations[len(arrivals)] if len(arrivals) < jobs else 1.0)
            if end is None:
                wish = server.advice(now)
                at(now + 0.02, lambda when: refuse(ticket, when, wish))
                return
            arrivals.append(now)
            makespan = max(makespan, end)
            at(now + 0.25, lambda when: gate.accepted(ticket, when))
            at(max(end + rng.random() * detection_s, now + 0.25), gate.task_finished)

        return event

    def refuse(ticket: Grant, now: float, wish: float | None) -> None:
        nonlocal waiting, refusals
        refusals += 1
        waiting += 1
        gate.refused(ticket, now, wish)

    def wake(now: float) -> None:
        nonlocal woken_at
        woken_at = math.inf

    at(0.0, wake)
    while events and len(arrivals) < jobs:
        now, _, what = heapq.heappop(events)
        assert now < horizon_s, f"livelock: {len(arrivals)} of {jobs} accepted, {gate.statistics()}"
        what(now)
        while waiting and (known := gate.statistics()).running + known.in_flight < slots:
            answer = gate.request(now)
            if isinstance(answer, Grant):
                waiting -= 1
                at(now + rng.lognormvariate(math.log(0.06), 0.5), arrive(answer))
                continue
            if answer.until < woken_at:
                assert answer.until > now, f"asked to wait until {answer.until} at {now}"
                woken_at = answer.until
                at(answer.until, wake)
            break
    assert len(arrivals) == jobs, f"stuck: {len(arrivals)} of {jobs} accepted, {gate.statistics()}"
    return Run(makespan=makespan, bound=bound, refusals=refusals, jobs=jobs, arrivals=arrivals, gate=gate)
