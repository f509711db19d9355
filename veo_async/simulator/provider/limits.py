"""The account's rate limit, in each of the ways in which a provider may count.

``take(now)`` returns 0.0 and counts the request, or returns the seconds until a request would be accepted. A rejected
request is not counted unless ``counts_rejected`` is set. The limiters are exact: no window ever accepts more than the
count.
"""

import math
from collections import deque
from typing import Literal, Protocol

import attrs


class Limiter(Protocol):
    """Decides whether a request is accepted now."""

    def take(self, now: float) -> float:
        """Return 0.0 if the request is accepted, else the seconds until one would be."""
        ...


@attrs.define
class SlidingWindow:
    """At most *count* requests in any *window_s*, from a log of the last accepted requests."""

    count: int
    window_s: float
    counts_rejected: bool = False
    _accepted: deque[float] = attrs.field(factory=deque, init=False)

    def take(self, now: float) -> float:
        while self._accepted and self._accepted[0] <= now - self.window_s:
            self._accepted.popleft()
        if len(self._accepted) < self.count:
            self._accepted.append(now)
            return 0.0
        if self.counts_rejected:
            self._accepted.append(now)
        return self._accepted[-self.count] + self.window_s - now


@attrs.define
class FixedWindow:
    """At most *count* requests per window; windows start at fixed times that the client cannot see."""

    count: int
    window_s: float
    counts_rejected: bool = False
    _tick: int = attrs.field(default=-1, init=False)
    _accepted: int = attrs.field(default=0, init=False)

    def take(self, now: float) -> float:
        tick = math.floor(now / self.window_s)
        if tick != self._tick:
            self._tick, self._accepted = tick, 0
        if self._accepted < self.count:
            self._accepted += 1
            return 0.0
        return (tick + 1) * self.window_s - now


@attrs.define
class TokenBucket:
    """*count* tokens, refilled evenly over *window_s*. Up to twice the count can be accepted in one window."""

    count: int
    window_s: float
    counts_rejected: bool = False
    _tokens: float = attrs.field(init=False)
    _seen_at: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = float(self.count)

    def take(self, now: float) -> float:
        per_s = self.count / self.window_s
        if self._seen_at is not None:
            self._tokens = min(self.count, self._tokens + (now - self._seen_at) * per_s)
        self._seen_at = now
        if self._tokens >= 1 - 1e-9:
            self._tokens -= 1
            return 0.0
        if self.counts_rejected:
            self._tokens = max(self._tokens - 1, -float(self.count))
        return (1 - self._tokens) / per_s


class NoLimit:
    """Accepts every request."""

    def take(self, now: float) -> float:
        return 0.0


def make_limiter(
    kind: Literal["sliding", "fixed", "bucket", "none"], rate: tuple[int, float], *, counts_rejected: bool
) -> Limiter:
    """Return a limiter of this *kind* for *rate*, a count and a window in seconds."""
    count, window_s = int(rate[0]), float(rate[1])
    match kind:
        case "sliding":
            return SlidingWindow(count, window_s, counts_rejected)
        case "fixed":
            return FixedWindow(count, window_s, counts_rejected)
        case "bucket":
            return TokenBucket(count, window_s, counts_rejected)
        case "none":
            return NoLimit()
