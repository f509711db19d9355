"""Server models to test the gate against, and a discrete simulation that runs the gate against them.

A *limiter* answers two questions about a creating request that reaches the server at an instant: is it accepted
(`take`), and when would one be accepted (`next_free`). `Server` adds a cap on running tasks and external events that
change the limiter. `simulate` runs a gate against it, event by event. `lower_bound` is the makespan of a client that
knows everything and has no network delay.

The models of network and durations are those of the study that the gate is based on: uplink log-normal with a median of
60 ms and sigma 0.5, an accepting response 250 ms later, a refusing one 20 ms later; durations log-normal. They are
assumptions, so the figures compare rules; they do not predict seconds.
"""

import heapq
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from typing import Protocol

import attrs

from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import Grant

WINDOW_S = 10.0
#: Keeps a request at exactly a computed instant on the right side of it despite rounding.
TINY_S = 1e-6


class Limiter(Protocol):
    """One way to limit a client to ``limit`` requests in ten seconds."""

    limit: int

    def take(self, now: float) -> bool:
        """Return whether a request that arrives now is accepted. Requests arrive in the order of time."""
        ...

    def next_free(self, now: float) -> float:
        """Return the first instant, now or later, at which a request would be accepted if none arrived before."""
        ...


@attrs.define(eq=False)
class FixedWindow:
    """*limit* requests per window; windows follow the clock, and *phase* is where the first one begins."""

    limit: int
    phase: float = 0.0
    _index: int = -1
    _used: int = 0

    def _roll(self, now: float) -> None:
        index = math.floor((now - self.phase) / WINDOW_S)
        if index != self._index:
            self._index, self._used = index, 0

    def take(self, now: float) -> bool:
        """Accept while the current window has room."""
        self._roll(now)
        if self._used >= self.limit:
            return False
        self._used += 1
        return True

    def next_free(self, now: float) -> float:
        """Return now, or the start of the next window."""
        self._roll(now)
        return now if self._used < self.limit else (self._index + 1) * WINDOW_S + self.phase + TINY_S


@attrs.define(eq=False)
class SlidingLog:
    """Exactly *limit* requests in any ten seconds; with *counts_rejected* refused requests count too."""

    limit: int
    counts_rejected: bool = False
    _log: list[float] = attrs.field(factory=list)

    def take(self, now: float) -> bool:
        """Accept while the last ten seconds contain fewer requests than the limit."""
        del self._log[: bisect_right(self._log, now - WINDOW_S)]
        is_accepted = len(self._log) < self.limit
        if is_accepted or self.counts_rejected:
            self._log.append(now)
        return is_accepted

    def next_free(self, now: float) -> float:
        """Return when the oldest relevant request is out of the window."""
        if len(self._log) < self.limit:
            return now
        return max(now, self._log[-self.limit] + WINDOW_S + TINY_S)


@attrs.define(eq=False)
class WeightedCounter:
    """Two counters: the previous window counts with the share of it that lies within the last ten seconds."""

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
        """Accept while the weighted sum has room for one request."""
        elapsed = self._roll(now)
        if self._before * (1 - elapsed) + self._used + 1 > self.limit:
            return False
        self._used += 1
        return True

    def next_free(self, now: float) -> float:
        """Return when the weight of the previous window is low enough, possibly in the next window."""
        elapsed = self._roll(now)
        start = self._index * WINDOW_S + self.phase
        room = self.limit - 1 - self._used
        if room >= 0:
            needed = 1 - room / self._before if self._before else 0.0
            return max(now, start + needed * WINDOW_S + TINY_S) if needed > elapsed else now
        needed = 1 - (self.limit - 1) / self._used
        return start + WINDOW_S + max(0.0, needed) * WINDOW_S + TINY_S


@attrs.define(eq=False)
class Gcra:
    """A bucket: ``limit`` tokens are refilled in ten seconds, up to *burst*."""

    limit: int
    burst: int
    _tat: float = -math.inf

    def take(self, now: float) -> bool:
        """Accept while a token is available."""
        if now < self.next_free(now):
            return False
        self._tat = max(now, self._tat) + WINDOW_S / self.limit
        return True

    def next_free(self, now: float) -> float:
        """Return when the next token is available."""
        due = self._tat - (self.burst - 1) * WINDOW_S / self.limit
        return now if due <= now + TINY_S else due


def fixed(limit: int, rng: Random) -> Limiter:
    """Fixed windows of unknown phase."""
    return FixedWindow(limit, rng.uniform(0, WINDOW_S))


def slog(limit: int, rng: Random) -> Limiter:
    """A sliding log."""
    return SlidingLog(limit)


def slog_r(limit: int, rng: Random) -> Limiter:
    """A sliding log that counts refused requests too."""
    return SlidingLog(limit, counts_rejected=True)


def weighted(limit: int, rng: Random) -> Limiter:
    """A weighted counter of unknown phase."""
    return WeightedCounter(limit, rng.uniform(0, WINDOW_S))


def bucket(limit: int, rng: Random) -> Limiter:
    """A bucket with the tokens of a full window."""
    return Gcra(limit, burst=limit)


def gcra5(limit: int, rng: Random) -> Limiter:
    """A bucket of five tokens."""
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
    """The server's limit changes at an instant."""

    at: float
    limit: int


@attrs.frozen
class OtherClientRequest:
    """Another client of the same account sends a request at an instant."""

    at: float


Disturbance = ChangeLimit | OtherClientRequest


@attrs.define(eq=False)
class Server:
    """A limiter, a cap on running tasks, and external events."""

    limiter: Limiter
    cap: int | None = None
    sends_retry_after: bool = False  #: a refusal has a Retry-After in whole seconds
    disturbances: list[Disturbance] = attrs.field(factory=list)
    ends: list[float] = attrs.field(factory=list)  #: a heap: when the running tasks end

    def _advance(self, now: float) -> None:
        while self.disturbances and self.disturbances[0].at <= now:
            match self.disturbances.pop(0):
                case ChangeLimit(limit=limit):
                    self.limiter.limit = limit
                case OtherClientRequest(at=at):
                    self.limiter.take(at)
        while self.ends and self.ends[0] <= now:
            heapq.heappop(self.ends)

    def take(self, now: float, duration: float) -> float | None:
        """Return when the task of a request that arrives now will end; None if the request is refused."""
        self._advance(now)
        if self.cap is not None and len(self.ends) >= self.cap:
            if getattr(self.limiter, "counts_rejected", False):
                self.limiter.take(now)
            return None
        if not self.limiter.take(now):
            return None
        heapq.heappush(self.ends, now + duration)
        return now + duration

    def retry_after(self, now: float) -> float | None:
        """Return the Retry-After of a refusal sent now."""
        return float(math.ceil(self.limiter.next_free(now) - now)) if self.sends_retry_after else None

    def next_free(self, now: float) -> float:
        """Return the first instant at which a request would be accepted, knowing all future events."""
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
    """Return the makespan of a client that knows everything, sends in order and has no network delay."""
    now = last = 0.0
    for duration in durations:
        now = server.next_free(now)
        end = server.take(now, duration)
        assert end is not None, "the request that defines the bound was refused"
        last = max(last, end)
    return last


@attrs.frozen(kw_only=True)
class Run:
    """The result of one simulation."""

    makespan: float
    bound: float
    refusals: int
    jobs: int
    arrivals: list[float]  #: when accepted requests reached the server
    gate: Gate

    @property
    def ratio(self) -> float:
        """The makespan relative to the bound."""
        return self.makespan / self.bound

    @property
    def per_100(self) -> float:
        """Refusals per hundred jobs."""
        return 100 * self.refusals / self.jobs

    def worst_window(self, window_s: float = WINDOW_S) -> int:
        """Return the maximum number of accepted requests in any window, as the server counts them."""
        worst = first = 0
        for last, arrival in enumerate(self.arrivals):
            while self.arrivals[first] <= arrival - window_s:
                first += 1
            worst = max(worst, last - first + 1)
        return worst


FAST = (80.0, 0.305)  #: median and sigma of durations: P10-P90 is 54-118 s
VEO3 = (190.0, 0.359)  #: P10-P90 is 120-301 s


def draw_durations(jobs: int, rng: Random, shape: tuple[float, float] = FAST) -> list[float]:
    """Return random durations for *jobs* tasks."""
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
    """Send *jobs* jobs, all queued at the start, through *gate*; a livelock fails at *horizon_s*.

    Args:
        detection_s: the client learns that a task has ended up to this many seconds late.
        slots: maximum number of tasks that run, as far as the client knows, or are requested.
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
                retry_after = server.retry_after(now)
                at(now + 0.02, lambda when: refuse(ticket, when, retry_after))
                return
            arrivals.append(now)
            makespan = max(makespan, end)
            at(now + 0.25, lambda when: gate.accepted(ticket, when))
            at(max(end + rng.random() * detection_s, now + 0.25), gate.task_finished)

        return event

    def refuse(ticket: Grant, now: float, retry_after: float | None) -> None:
        nonlocal waiting, refusals
        refusals += 1
        waiting += 1
        gate.refused(ticket, now, retry_after)

    def wake(now: float) -> None:
        nonlocal woken_at
        woken_at = math.inf

    at(0.0, wake)
    while events and len(arrivals) < jobs:
        now, _, what = heapq.heappop(events)
        assert now < horizon_s, f"livelock: {len(arrivals)} of {jobs} accepted, {gate.statistics()}"
        what(now)
        while waiting and (known := gate.statistics()).running + known.in_flight < slots:
            decision = gate.request(now)
            if isinstance(decision, Grant):
                waiting -= 1
                at(now + rng.lognormvariate(math.log(0.06), 0.5), arrive(decision))
                continue
            if decision.until < woken_at:
                assert decision.until > now, f"asked to wait until {decision.until} at {now}"
                woken_at = decision.until
                at(decision.until, wake)
            break
    assert len(arrivals) == jobs, f"stuck: {len(arrivals)} of {jobs} accepted, {gate.statistics()}"
    return Run(makespan=makespan, bound=bound, refusals=refusals, jobs=jobs, arrivals=arrivals, gate=gate)
