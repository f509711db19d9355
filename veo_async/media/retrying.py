"""What follows a setback: another try, a fresh link, or the end. Pure; chance is an argument."""

import attrs

from veo_async._rules.rng import Rng

from .failures import Advice, AttemptFailed
from .limits import DownloadLimits
from .partial_file import CHUNK_BYTES


@attrs.frozen(kw_only=True)
class RetryAction:
    """What to do before the next attempt."""

    #: Throw away what has arrived.
    restart: bool = False
    #: Ask for a fresh link first.
    renew: bool = False
    #: Wait so long.
    wait_s: float = 0.0


@attrs.define(eq=False)
class RetryPolicy:
    """The tries for one file: bounded while nothing comes of them, begun anew whenever something does."""

    bounds: DownloadLimits
    _failures_in_a_row: int = 0

    def next_action(
        self, setback: AttemptFailed, *, bytes_gained: int, can_renew: bool, rng: Rng
    ) -> RetryAction | None:
        """The next step; None when it is time to give up. *bytes_gained* is how many bytes the attempt brought."""
        if setback.advice in (Advice.STOP, Advice.DISCARD):
            return None
        if setback.advice is Advice.RENEW and can_renew:
            self._failures_in_a_row = 0
            return RetryAction(renew=True)
        if setback.advice is Advice.RENEW and (setback.status or 0) >= 400:
            return None  # an expired link does not come back to life
        self._failures_in_a_row = (
            self._failures_in_a_row + 1 if setback.advice is Advice.RESTART or bytes_gained < CHUNK_BYTES else 1
        )
        if self._failures_in_a_row >= self.bounds.max_attempts:
            return None
        wait_s = max(backoff(self._failures_in_a_row, self.bounds, rng), setback.retry_after_s)
        return RetryAction(restart=setback.advice is Advice.RESTART, wait_s=wait_s)


def backoff(failures: int, bounds: DownloadLimits, rng: Rng) -> float:
    """Between half of and the whole of a pause that doubles with each failure."""
    longest = min(bounds.backoff_first_s * 2.0 ** min(failures - 1, 30), bounds.backoff_max_s)
    return longest * (0.5 + rng.random() / 2)
