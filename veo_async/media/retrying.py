"""What follows a failed attempt: another attempt, a fresh link, or an error. Pure: randomness is an argument."""

import attrs

from veo_async._rules.rng import Rng

from .failures import Advice, AttemptFailed
from .limits import DownloadLimits
from .partial_file import CHUNK_BYTES


@attrs.frozen(kw_only=True)
class RetryAction:
    """What to do before the next attempt."""

    #: Drop the received bytes.
    restart: bool = False
    #: Renew the links first.
    renew: bool = False
    #: How long to wait.
    wait_s: float = 0.0


@attrs.define(eq=False)
class RetryPolicy:
    """Decides whether to retry the download of one file. Only failures in a row without progress are limited."""

    limits: DownloadLimits
    _failures_in_a_row: int = 0

    def next_action(
        self, failure: AttemptFailed, *, bytes_gained: int, can_renew: bool, rng: Rng
    ) -> RetryAction | None:
        """Return what to do after *failure*, or None to give up.

        Args:
            bytes_gained: how many bytes the attempt received.
            can_renew: whether newer links exist or can be requested.
        """
        if failure.advice in (Advice.STOP, Advice.DISCARD):
            return None
        if failure.advice is Advice.RENEW and can_renew:
            self._failures_in_a_row = 0
            return RetryAction(renew=True)
        if failure.advice is Advice.RENEW and (failure.status or 0) >= 400:
            return None  # an expired link does not become valid again
        has_progress = failure.advice is not Advice.RESTART and bytes_gained >= CHUNK_BYTES
        self._failures_in_a_row = 1 if has_progress else self._failures_in_a_row + 1
        if self._failures_in_a_row >= self.limits.max_attempts:
            return None
        wait_s = max(backoff(self._failures_in_a_row, self.limits, rng), failure.retry_after_s)
        return RetryAction(restart=failure.advice is Advice.RESTART, wait_s=wait_s)


def backoff(failures: int, limits: DownloadLimits, rng: Rng) -> float:
    """Return a random delay between half of and all of a maximum that doubles with each failure."""
    max_s = min(limits.backoff_first_s * 2.0 ** min(failures - 1, 30), limits.backoff_max_s)
    return max_s * (0.5 + rng.random() / 2)
