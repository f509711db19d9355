"""Calls that cost nothing, made again after a fault as `retry` says: the balance, a download link, an upload.

The client makes one attempt; here it becomes a few of them, with the pauses between. All reads of a session share one
quota, so that an outage is not fed with retries. The looks at running tasks are no reads in this sense: their schedule
looks again anyhow.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from veo_async._rules.retry import CHARGED_ENDPOINTS, Endpoint, RetryQuota, retry_decision
from veo_async._rules.rng import Rng
from veo_async.errors import RateLimited, VeoError

from .log import logger_for

logger = logger_for(__name__)

T = TypeVar("T")


class Retrier:
    """Makes reads, and makes them again.

    Args:
        rng: for the pauses, so that many clients do not come back in step.
    """

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self.quota = RetryQuota()

    async def call(self, endpoint: Endpoint, call: Callable[[], Awaitable[T]]) -> T:
        """What *call* answers, at the latest its fourth time; no attempt begins 120 s after the first or later.

        Args:
            endpoint: which one *call* asks; never one that costs.
            call: makes one attempt each time.

        Raises:
            VeoError: what the last attempt raised, as it was.
        """
        if endpoint in CHARGED_ENDPOINTS:
            raise ValueError(f"{endpoint} may cost credits each time it is called")
        began, attempt, cost = _now(), 0, 0
        while True:
            attempt += 1
            try:
                value = await call()
            except VeoError as error:
                cost = await self._wait_before_retry(endpoint, error, attempt, _now() - began)
            else:
                self.quota.succeeded(cost)
                return value

    async def _wait_before_retry(self, endpoint: Endpoint, error: VeoError, attempt: int, elapsed: float) -> int:
        """Sleep until the next attempt, or raise *error* if there is none; what the attempt takes from the quota."""
        retry_after = error.retry_after if isinstance(error, RateLimited) else None
        decision = retry_decision(
            error,
            attempt=attempt,
            elapsed_s=elapsed,
            retry_after=retry_after,
            quota=self.quota,
            rng=self._rng,
        )
        if decision is None:
            raise error
        extra = {"action": "retry", "endpoint": endpoint, "reason": decision.reason}
        logger.info("%s: %s; again in %.1f s", endpoint, error.message, decision.delay_s, extra=extra)
        await asyncio.sleep(decision.delay_s)
        return decision.cost


def _now() -> float:
    return asyncio.get_running_loop().time()
