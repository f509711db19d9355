"""Which failed read is retried, and when.

Theory of operation
-------------------
The API client makes one attempt and raises an error. `retry_decision` returns a `Retry`, or None to raise the error.
Only calls that cost nothing are retried here: they change nothing, so a second one does no harm. `CHARGED_ENDPOINTS`
may cost credits on every call; the gate and `doubt` decide about those.

* Retried are a request that was not sent, a 429, a 5xx or 408, a lost response and a malformed one. Any other error is
  a definite result that a second call would repeat (refused, unauthorized, insufficient credits), or another module
  decides when to ask again (the poll schedule for a record that does not exist yet, a pause for a maintenance).
* The uploads are free POSTs, and a second copy expires, so they are retried like reads; a caller that streams a file
  must be able to start again.
* Delay: full jitter, ``random() * 0.5 s * 2 ** (attempt - 1)``. 0.5 s is about four round trips. Full jitter, because
  it spreads simultaneous retries best.
* Four attempts, because a problem that outlives three delays is an outage. 120 s in total: four read timeouts of 20 s,
  their delays, and room for one ``Retry-After``.
* A ``Retry-After`` replaces the formula, with a little jitter on top. Negative, infinite or missing values are
  ignored, and more than 120 s is treated as 120 s, so that a wrong header cannot block for days.
* All retries of a session share one `RetryQuota`, with the figures of the AWS SDKs' standard mode: 500 tokens, 14 for
  a retry after an error, 5 after a 429, refunded when the retry succeeds, and 1 for a success at the first attempt.
  When everything fails, about 35 retries are made, then one per 14 successes, so retries do not add load to an outage.

The rule reads no clock and no random generator: ``elapsed_s`` and ``rng`` are arguments.
"""

import math
from typing import Final, Literal

import attrs

from veo_async._wire.endpoints import ENDPOINTS
from veo_async.errors import MalformedResponse, NotSent, RateLimited, ResponseLost, ServerError, VeoError

from .rng import Rng

Endpoint = Literal[
    "record-info",
    "job-record",
    "get-1080p-video",
    "get-4k-video",
    "credit",
    "download-url",
    "models",
    "model-price",
    "model-success-rate",
    "model-schema",
    "file-url-upload",
    "file-base64-upload",
    "file-stream-upload",
    "generate",
    "extend",
    "create-task",
]

#: Endpoints that may cost credits on every call. ``get-1080p-video`` does, although it is a GET.
CHARGED_ENDPOINTS: Final = frozenset(endpoint.name for endpoint in ENDPOINTS if endpoint.is_charged)
MAX_TRIES: Final = 4
MAX_TOTAL_S: Final = 120.0
BASE_S: Final = 0.5
MAX_RETRY_AFTER_S: Final = 120.0

QUOTA: Final = 500
ERROR_COST: Final = 14
THROTTLE_COST: Final = 5

#: Errors after which a read is retried: the reason for the log, and what the retry takes from the quota.
_RETRIED: Final[tuple[tuple[type[VeoError], str, int], ...]] = (
    (NotSent, "never-sent", ERROR_COST),
    (RateLimited, "rate-limited", THROTTLE_COST),
    (ServerError, "broken", ERROR_COST),
    (ResponseLost, "lost", ERROR_COST),
    (MalformedResponse, "malformed", ERROR_COST),
)


@attrs.frozen
class Retry:
    """Retry after *delay_s* seconds."""

    delay_s: float
    cost: int  #: tokens taken from the quota; pass it to `RetryQuota.succeeded` if the retry succeeds
    reason: str


@attrs.define(eq=False)
class RetryQuota:
    """How many retries a session may still make; shared by all its reads."""

    tokens: int = QUOTA

    def take(self, cost: int) -> bool:
        """Take *cost* tokens for a retry. Return False, and take none, if there are not enough."""
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def succeeded(self, cost: int = 0) -> None:
        """Note a success: refund the cost of its last retry, or add one token after the first attempt."""
        self.tokens = min(QUOTA, self.tokens + (cost or 1))


def retry_decision(
    error: VeoError, *, attempt: int, elapsed_s: float, retry_after: float | None = None, quota: RetryQuota, rng: Rng
) -> Retry | None:
    """Return when to retry a read that raised *error*; None to raise the error.

    Args:
        attempt: attempts made, including this one.
        elapsed_s: seconds since the first attempt began.
        retry_after: the Retry-After in seconds, if the server sent one.
    """
    reason, cost = next(((reason, cost) for kind, reason, cost in _RETRIED if isinstance(error, kind)), ("", 0))
    if not reason or attempt >= MAX_TRIES:
        return None
    delay_s = _delay(attempt, retry_after, rng)
    if elapsed_s + delay_s > MAX_TOTAL_S or not quota.take(cost):
        return None
    return Retry(delay_s, cost, reason)


def _delay(attempt: int, retry_after: float | None, rng: Rng) -> float:
    if retry_after is not None and 0 <= retry_after < math.inf:
        return min(retry_after, MAX_RETRY_AFTER_S) + rng.random() * BASE_S
    return rng.random() * BASE_S * float(2 ** (attempt - 1))
