"""Free calls with retries: the balance, a download link, an upload.

The client makes one attempt; here it becomes several, with the delays that `_rules.retry` decides. All calls of a
session share one quota, so that retries do not make an outage worse. Polls are not retried here: the schedule polls
again anyway.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from veo_async._rules.retry import CHARGED_ENDPOINTS, Endpoint, RetryQuota, retry_decision
from veo_async._rules.rng import Rng
from veo_async.errors import RateLimited, VeoError

from .clock import loop_time
from .log import logger_for

logger = logger_for(__name__)

T = TypeVar("T")


class Retrier:
    """Makes free calls and retries them.

    Args:
        rng: varies the delays, so that many clients do not retry at the same moment.
    """

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self.quota: RetryQuota = RetryQuota()

    async def call(self, endpoint: Endpoint, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of *call*, in at most four attempts that begin within 120 s.

        Args:
            endpoint: the endpoint of *call*, which must be free.
            call: makes one attempt.

        Raises:
            VeoError: the error of the last attempt.
        """
        if endpoint in CHARGED_ENDPOINTS:
            raise ValueError(f"{endpoint} may cost credits each time it is called")
        began, attempt, cost = loop_time(), 0, 0
        while True:
            attempt += 1
            try:
                value = await call()
            except VeoError as error:
                cost = await self._wait_before_retry(endpoint, error, attempt, loop_time() - began)
            else:
                self.quota.succeeded(cost)
                return value

    async def _wait_before_retry(self, endpoint: Endpoint, error: VeoError, attempt: int, elapsed: float) -> int:
        """Sleep until the next attempt and return its cost to the quota; raise *error* if there is none."""
        after_s = error.retry_after if isinstance(error, RateLimited) else None
        decision = retry_decision(
            error, attempt=attempt, elapsed_s=elapsed, retry_after=after_s, quota=self.quota, rng=self._rng
        )
        if decision is None:
            raise error
        extra = {"action": "retry", "endpoint": endpoint, "reason": decision.reason}
        logger.info("%s: %s; retrying in %.1f s", endpoint, error.message, decision.delay_s, extra=extra)
        await asyncio.sleep(decision.delay_s)
        return decision.cost
