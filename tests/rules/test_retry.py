"""Which read is retried: the errors, the delays and the shared quota."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async import errors
from veo_async._rules.retry import (
    BASE_S,
    CHARGED_ENDPOINTS,
    ERROR_COST,
    MAX_RETRY_AFTER_S,
    MAX_TOTAL_S,
    MAX_TRIES,
    QUOTA,
    THROTTLE_COST,
    Retry,
    RetryQuota,
    retry_decision,
)
from veo_async._wire.endpoints import ENDPOINTS

BROKEN = errors.ServerError("502")
RETRIED = [
    (errors.NotSent("x"), "never-sent", ERROR_COST),
    (errors.RateLimited("x"), "rate-limited", THROTTLE_COST),
    (errors.ServerError("x"), "broken", ERROR_COST),
    (errors.ResponseLost("x"), "lost", ERROR_COST),
    (errors.MalformedResponse("x"), "malformed", ERROR_COST),
]
NOT_RETRIED = [
    errors.NotReady("x"),
    errors.RecordNotFound("x"),
    errors.Maintenance("x"),
    errors.Unauthorized("x"),
    errors.InvalidKey("x"),
    errors.InsufficientCredits("x"),
    errors.NotFound("x"),
    errors.Blocked("x"),
    errors.ClientClosed("x"),
]


class FixedRng:
    """A random generator that always returns the same number."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def decide(
    error: errors.VeoError = BROKEN,
    *,
    attempt: int = 1,
    elapsed: float = 0.0,
    retry_after: float | None = None,
    quota: RetryQuota | None = None,
    rng: float = 0.5,
) -> Retry | None:
    """Call `retry_decision` with defaults under which nothing prevents a retry."""
    return retry_decision(
        error,
        attempt=attempt,
        elapsed_s=elapsed,
        retry_after=retry_after,
        quota=quota or RetryQuota(),
        rng=FixedRng(rng),
    )


@pytest.mark.parametrize(("error", "reason", "cost"), RETRIED, ids=lambda value: str(value))
def test_read_is_retried_after_a_temporary_error(error: errors.VeoError, reason: str, cost: int) -> None:
    """A read without a usable response is repeated: it changes nothing."""
    assert decide(error) == Retry(0.5 * BASE_S, cost, reason)


@pytest.mark.parametrize("error", NOT_RETRIED, ids=lambda error: type(error).__name__)
def test_read_is_not_retried_after_a_definite_error(error: errors.VeoError) -> None:
    """A definite response stands, or another module decides when to ask again; the quota is untouched."""
    quota = RetryQuota()
    assert decide(error, quota=quota) is None
    assert quota.tokens == QUOTA


def test_charged_endpoints_are_those_of_both_routes() -> None:
    """The 1080p upgrade of the ``veo`` route is a GET, but every call may cost credits."""
    assert {"generate", "extend", "get-4k-video", "get-1080p-video", "create-task"} == CHARGED_ENDPOINTS
    assert {endpoint.name for endpoint in ENDPOINTS if endpoint.is_charged} == CHARGED_ENDPOINTS


@pytest.mark.parametrize(("attempt", "max_delay"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_delays_double(attempt: int, max_delay: float) -> None:
    """Full jitter between zero and a maximum that doubles with every attempt."""
    assert decide(attempt=attempt, rng=0.0) == Retry(0.0, ERROR_COST, "broken")
    assert decide(attempt=attempt, rng=1.0) == Retry(max_delay, ERROR_COST, "broken")


def test_fourth_attempt_is_the_last() -> None:
    """A problem that outlives three delays is an outage; giving up costs no quota."""
    quota = RetryQuota()
    assert decide(attempt=MAX_TRIES, quota=quota) is None
    assert quota.tokens == QUOTA
    assert isinstance(decide(attempt=MAX_TRIES - 1, quota=quota), Retry)


def test_total_time_is_limited() -> None:
    """A retry that would begin too late is not made, and costs no quota."""
    quota = RetryQuota()
    assert decide(elapsed=MAX_TOTAL_S - 0.1, rng=1.0, quota=quota) is None
    assert quota.tokens == QUOTA
    assert isinstance(decide(elapsed=MAX_TOTAL_S - 0.6, rng=1.0, quota=quota), Retry)


def test_retry_after_replaces_the_formula() -> None:
    """The retry is never earlier than the server asked for, with a little jitter against simultaneous retries."""
    limited = errors.RateLimited("429")
    assert decide(limited, retry_after=30.0, rng=0.0) == Retry(30.0, THROTTLE_COST, "rate-limited")
    assert decide(limited, retry_after=30.0, rng=1.0) == Retry(30.0 + BASE_S, THROTTLE_COST, "rate-limited")
    assert decide(retry_after=0.0, attempt=3, rng=1.0) == Retry(BASE_S, ERROR_COST, "broken")


@pytest.mark.parametrize("nonsense", [-1.0, float("nan"), float("inf"), float("-inf")])
def test_invalid_retry_after_is_ignored(nonsense: float) -> None:
    """An invalid Retry-After is treated as if it were absent."""
    assert decide(retry_after=nonsense) == decide()


def test_retry_after_of_days_is_cut_to_the_maximum() -> None:
    """The maximum is as long as all attempts may take, so the retry is possible only at the start."""
    limited = errors.RateLimited("429")
    assert decide(limited, retry_after=1e6, elapsed=1.0) is None
    assert decide(limited, retry_after=1e6, rng=0.0) == Retry(MAX_RETRY_AFTER_S, THROTTLE_COST, "rate-limited")


def test_quota_stops_retries_in_an_outage() -> None:
    """With everything failing, 35 retries use up the quota; then one retry needs fourteen successes."""
    quota = RetryQuota()
    assert sum(isinstance(decide(quota=quota), Retry) for _ in range(100)) == QUOTA // ERROR_COST == 35
    assert decide(quota=quota) is None
    for _ in range(ERROR_COST):
        quota.succeeded()
    assert isinstance(decide(quota=quota), Retry)


def test_successful_retry_is_refunded() -> None:
    """Failures use up the quota, retries do not."""
    quota = RetryQuota()
    decision = decide(quota=quota)
    assert isinstance(decision, Retry)
    assert quota.tokens == QUOTA - ERROR_COST
    quota.succeeded(decision.cost)
    assert quota.tokens == QUOTA
    quota.succeeded()
    assert quota.tokens == QUOTA


@given(
    error=st.sampled_from([error for error, _, _ in RETRIED] + NOT_RETRIED),
    attempt=st.integers(1, 10_000),
    elapsed=st.floats(0, 1e6),
    retry_after=st.none() | st.floats(),
    tokens=st.integers(0, QUOTA),
    seed=st.integers(0, 9),
)
def test_every_decision_is_bounded(
    error: errors.VeoError, attempt: int, elapsed: float, retry_after: float | None, tokens: int, seed: int
) -> None:
    """For any input the delay is finite, and the quota stays within bounds and pays for the decision."""
    quota = RetryQuota(tokens)
    decision = retry_decision(
        error,
        attempt=attempt,
        elapsed_s=elapsed,
        retry_after=retry_after,
        quota=quota,
        rng=random.Random(seed),
    )
    if isinstance(decision, Retry):
        assert 0 <= decision.delay_s <= MAX_RETRY_AFTER_S + BASE_S
        assert quota.tokens == tokens - decision.cost >= 0
        assert error not in NOT_RETRIED
    else:
        assert quota.tokens == tokens
