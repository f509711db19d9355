"""Which call is tried again: the table, the delays and the shared quota."""

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async import errors
from veo_async._rules.retry import (
    BASE_S,
    CAP_S,
    CHARGED_ENDPOINTS,
    FAULT_COST,
    MAX_RETRY_AFTER_S,
    MAX_TOTAL_S,
    MAX_TRIES,
    QUOTA,
    THROTTLE_COST,
    Endpoint,
    GiveUp,
    Retry,
    RetryQuota,
    Verdict,
    classify,
    retry_decision,
)

READING = sorted(set(get_args(Endpoint)) - CHARGED_ENDPOINTS)
FAULTS = ["broken", "lost", "malformed"]


class Dice:
    """Chance that always falls the same way."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def ask(
    endpoint: Endpoint = "record-info",
    verdict: Verdict = "broken",
    *,
    attempt: int = 1,
    elapsed: float = 0.0,
    retry_after: float | None = None,
    quota: RetryQuota | None = None,
    dice: float = 0.5,
) -> Retry | GiveUp:
    """`decide`, with everything at ease."""
    return retry_decision(
        endpoint,
        verdict,
        attempt=attempt,
        elapsed_s=elapsed,
        retry_after=retry_after,
        quota=quota or RetryQuota(),
        rng=Dice(dice),
    )


@pytest.mark.parametrize("endpoint", READING)
@pytest.mark.parametrize("verdict", [*FAULTS, "never-sent", "rate-limited"])
def test_reads_are_tried_again_after_any_fault(endpoint: Endpoint, verdict: Verdict) -> None:
    """A read that found no answer may be made again: it changes nothing."""
    assert isinstance(ask(endpoint, verdict), Retry)


@pytest.mark.parametrize("endpoint", sorted(CHARGED_ENDPOINTS))
@pytest.mark.parametrize("verdict", FAULTS)
def test_creating_calls_are_not_repeated_when_they_may_have_acted(endpoint: Endpoint, verdict: Verdict) -> None:
    """Broken, lost and senseless answers leave a paid call in doubt; a repeat could be a second charge."""
    assert ask(endpoint, verdict) == GiveUp("may-have-acted")


def test_what_costs_is_creating_whatever_its_method() -> None:
    """The 1080p upgrade is a GET and is held back all the same."""
    assert {"generate", "extend", "get-4k-video", "get-1080p-video"} == CHARGED_ENDPOINTS


@pytest.mark.parametrize("endpoint", sorted(CHARGED_ENDPOINTS))
def test_creating_calls_go_again_when_nothing_was_sent(endpoint: Endpoint) -> None:
    """Without a byte sent there is nothing to be charged, but tries and quota still count."""
    assert isinstance(ask(endpoint, "never-sent"), Retry)
    assert ask(endpoint, "never-sent", attempt=MAX_TRIES) == GiveUp("too-many-tries")
    assert ask(endpoint, "never-sent", quota=RetryQuota(0)) == GiveUp("quota-empty")


@pytest.mark.parametrize("endpoint", sorted(CHARGED_ENDPOINTS))
def test_a_429_never_fails_a_creating_call(endpoint: Endpoint) -> None:
    """It uses up no try, no time and no quota: the gate decides when, and the job cannot fail by it."""
    quota = RetryQuota(0)
    answer = ask(endpoint, "rate-limited", attempt=1000, elapsed=1e6, quota=quota)
    assert answer == Retry(0.5 * CAP_S)
    assert quota.tokens == 0


@pytest.mark.parametrize("endpoint", get_args(Endpoint))
@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        ("not-yet", "ask-later"),
        ("maintenance", "ask-later"),
        ("refused", "answer-stands"),
        ("unauthorized", "answer-stands"),
        ("insufficient-credits", "answer-stands"),
    ],
)
def test_definite_answers_are_not_asked_for_twice(endpoint: Endpoint, verdict: Verdict, why: str) -> None:
    """What the server has said stands, or is somebody else's to ask again."""
    assert ask(endpoint, verdict) == GiveUp(why)  # type: ignore[arg-type]


@pytest.mark.parametrize(("attempt", "most"), [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0)])
def test_delays_double(attempt: int, most: float) -> None:
    """Full jitter between nothing and a bound that doubles with every try."""
    assert ask(attempt=attempt, dice=0.0) == Retry(0.0, FAULT_COST)
    assert ask(attempt=attempt, dice=1.0) == Retry(most, FAULT_COST)


def test_the_fourth_try_is_the_last() -> None:
    """A fault that outlives three delays is an outage."""
    assert isinstance(ask(attempt=MAX_TRIES - 1), Retry)
    assert ask(attempt=MAX_TRIES) == GiveUp("too-many-tries")


def test_time_is_bounded_too() -> None:
    """A retry that would begin too late is not made, and costs no quota."""
    quota = RetryQuota()
    assert ask(elapsed=MAX_TOTAL_S - 0.1, dice=1.0, quota=quota) == GiveUp("too-late")
    assert quota.tokens == QUOTA
    assert isinstance(ask(elapsed=MAX_TOTAL_S - 0.6, dice=1.0, quota=quota), Retry)


def test_the_servers_wish_beats_the_formula() -> None:
    """Never earlier than told, with a little jitter so that not everybody comes at once."""
    assert ask(verdict="rate-limited", retry_after=30.0, dice=0.0) == Retry(30.0, THROTTLE_COST)
    assert ask(verdict="rate-limited", retry_after=30.0, dice=1.0) == Retry(30.0 + BASE_S, THROTTLE_COST)
    assert ask(retry_after=0.0, attempt=3, dice=1.0) == Retry(BASE_S, FAULT_COST)


@pytest.mark.parametrize("nonsense", [-1.0, float("nan"), float("inf"), float("-inf")])
def test_senseless_wishes_are_ignored(nonsense: float) -> None:
    """A bad Retry-After is no Retry-After."""
    assert ask(retry_after=nonsense) == ask()


def test_a_wish_for_days_is_cut() -> None:
    """A read gives up rather than sleep for days; a creation waits two minutes and asks again."""
    assert ask(verdict="rate-limited", retry_after=1e6, elapsed=1.0) == GiveUp("too-late")
    assert ask("generate", "rate-limited", retry_after=1e6, dice=0.0) == Retry(MAX_RETRY_AFTER_S)


def test_an_outage_is_not_fed() -> None:
    """With everything failing, 35 retries empty the quota; then one retry takes fourteen successes."""
    quota = RetryQuota()
    assert sum(isinstance(ask(quota=quota), Retry) for _ in range(100)) == QUOTA // FAULT_COST == 35
    assert ask(quota=quota) == GiveUp("quota-empty")
    for _ in range(FAULT_COST):
        quota.succeeded()
    assert isinstance(ask(quota=quota), Retry)


def test_a_retry_that_succeeds_is_given_back() -> None:
    """The quota is spent by failing, not by retrying."""
    quota = RetryQuota()
    answer = ask(quota=quota)
    assert isinstance(answer, Retry)
    assert quota.tokens == QUOTA - FAULT_COST
    quota.succeeded(answer.cost)
    assert quota.tokens == QUOTA
    quota.succeeded()
    assert quota.tokens == QUOTA


@pytest.mark.parametrize(("endpoint", "verdict"), [("record_info", "broken"), ("record-info", "5xx")])
def test_unknown_words_are_refused(endpoint: Endpoint, verdict: Verdict) -> None:
    """A new endpoint or verdict must be put into the table before it can be retried."""
    with pytest.raises(ValueError, match="known are"):
        ask(endpoint, verdict)


@given(
    endpoint=st.sampled_from(get_args(Endpoint)),
    verdict=st.sampled_from(get_args(Verdict)),
    attempt=st.integers(1, 10_000),
    elapsed=st.floats(0, 1e6),
    retry_after=st.none() | st.floats(),
    tokens=st.integers(0, QUOTA),
    seed=st.integers(0, 9),
)
def test_every_decision_is_bounded(
    endpoint: Endpoint,
    verdict: Verdict,
    attempt: int,
    elapsed: float,
    retry_after: float | None,
    tokens: int,
    seed: int,
) -> None:
    """Whatever comes in: the wait is finite, the quota stays within bounds and pays for what is decided."""
    quota = RetryQuota(tokens)
    answer = retry_decision(
        endpoint,
        verdict,
        attempt=attempt,
        elapsed_s=elapsed,
        retry_after=retry_after,
        quota=quota,
        rng=random.Random(seed),
    )
    if isinstance(answer, Retry):
        assert 0 <= answer.delay_s <= MAX_RETRY_AFTER_S + BASE_S
        assert quota.tokens == tokens - answer.cost >= 0
        assert endpoint not in CHARGED_ENDPOINTS or verdict in {"never-sent", "rate-limited"}
    else:
        assert quota.tokens == tokens


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (errors.NotSent("x"), "never-sent"),
        (errors.RateLimited("x"), "rate-limited"),
        (errors.ServerError("x"), "broken"),
        (errors.ResponseLost("x"), "lost"),
        (errors.MalformedResponse("x"), "malformed"),
        (errors.NotReady("x"), "not-yet"),
        (errors.RecordNotFound("x"), "not-yet"),
        (errors.Maintenance("x"), "maintenance"),
        (errors.Unauthorized("x"), "unauthorized"),
        (errors.InvalidKey("x"), "unauthorized"),
        (errors.InsufficientCredits("x"), "insufficient-credits"),
        (errors.NotFound("x"), "refused"),
        (errors.Blocked("x"), "refused"),
        (errors.ClientClosed("x"), "refused"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, errors.VeoError) else value,
)
def test_every_error_comes_to_a_verdict(error: errors.VeoError, verdict: Verdict) -> None:
    """What may pass is told from what stands, and what is not named is a definite no."""
    assert classify(error) == verdict
