"""What follows a setback: another try, a fresh link, or the end. Pure; chance is an argument."""

import attrs

from veo_async._rules.rng import Rng

from .failures import Setback, Then
from .limits import Bounds
from .partial_file import CHUNK_BYTES


@attrs.frozen(kw_only=True)
class Step:
    """What to do before the next attempt."""

    #: Throw away what has arrived.
    restart: bool = False
    #: Ask for a fresh link first.
    renew: bool = False
    #: Wait so long.
    wait_s: float = 0.0


@attrs.define(eq=False)
class Tries:
    """The tries for one file: bounded while nothing comes of them, begun anew whenever something does."""

    bounds: Bounds
    _in_a_row: int = 0

    def after(self, setback: Setback, *, gained: int, can_renew: bool, rng: Rng) -> Step | None:
        """The next step; None when it is time to give up. *gained* is how many bytes the attempt brought."""
        if setback.then in (Then.STOP, Then.DISCARD):
            return None
        if setback.then is Then.RENEW and can_renew:
            self._in_a_row = 0
            return Step(renew=True)
        if setback.then is Then.RENEW and (setback.status or 0) >= 400:
            return None  # an expired link does not come back to life
        self._in_a_row = self._in_a_row + 1 if setback.then is Then.RESTART or gained < CHUNK_BYTES else 1
        if self._in_a_row >= self.bounds.tries:
            return None
        wait_s = max(backoff(self._in_a_row, self.bounds, rng), setback.wait_s)
        return Step(restart=setback.then is Then.RESTART, wait_s=wait_s)


def backoff(failures: int, bounds: Bounds, rng: Rng) -> float:
    """Between half of and the whole of a pause that doubles with each failure."""
    longest = min(bounds.backoff_s * 2.0 ** min(failures - 1, 30), bounds.max_backoff_s)
    return longest * (0.5 + rng.random() / 2)
