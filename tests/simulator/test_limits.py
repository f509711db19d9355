"""The kinds of rate limit, the cap on running tasks, and the format of a 429."""

from random import Random

import pytest

from veo_async.simulator.provider.limits import FixedWindow, SlidingWindow, TokenBucket

from .support import REQUEST, bench


def test_sliding_window_is_exact() -> None:
    """At random arrivals, no window of ten seconds accepts a 21st request."""
    rng, limiter, now = Random(5), SlidingWindow(20, 10.0), 0.0
    passed: list[float] = []
    for _ in range(5000):
        now += rng.expovariate(4)
        if limiter.take(now) == 0:
            passed.append(now)
    assert all(later - earlier >= 10.0 for earlier, later in zip(passed, passed[20:], strict=False))


def test_sliding_window_returns_the_exact_wait() -> None:
    """A client that waits exactly that long is accepted; one that waits a little less is not."""
    limiter = SlidingWindow(2, 10.0)
    assert [limiter.take(now) for now in (0.0, 4.0, 6.0)] == [0.0, 0.0, 4.0]
    assert limiter.take(9.999) > 0
    assert limiter.take(10.0) == 0


def test_sliding_window_can_count_rejected_requests() -> None:
    """With ``count_rejected`` the wait starts again with each attempt."""
    limiter = SlidingWindow(1, 10.0, counts_rejected=True)
    assert [limiter.take(now) for now in (0.0, 9.0, 18.0)] == [0.0, 10.0, 10.0]
    assert limiter.take(28.0) == 0


def test_fixed_window_accepts_two_bursts_around_its_boundary() -> None:
    """Up to twice the count is accepted within a short time."""
    limiter = FixedWindow(2, 10.0)
    assert [limiter.take(now) == 0 for now in (9.8, 9.9, 9.95, 10.0, 10.1, 10.2)] == [True, True, False] * 2


def test_token_bucket_refills_evenly() -> None:
    """After the burst there is one token every half second."""
    limiter = TokenBucket(20, 10.0)
    assert all(limiter.take(0.0) == 0 for _ in range(20))
    assert limiter.take(0.0) == pytest.approx(0.5)
    assert limiter.take(0.5) == 0


def test_21st_generation_in_ten_seconds_gets_429() -> None:
    """The documented limit, with the provider's message. The next request is accepted after ten seconds."""
    sim = bench(limiter="sliding")
    responses = [sim.request("generate", REQUEST) for _ in range(21)]
    assert [response.json()["code"] for response in responses] == [200] * 20 + [429]
    assert {response.status for response in responses} == {200}
    assert responses[-1].json() == {
        "code": 429,
        "msg": "Your call frequency is too high. Please try again later.",
        "data": None,
    }
    sim.advance(10)
    assert sim.request_json("generate", REQUEST)["code"] == 200


def test_429_as_http_status_with_setting() -> None:
    """The provider's older documentation names this form."""
    sim = bench(limiter="sliding", rate=(1, 10.0), rate_limit_style="http")
    sim.generate()
    response = sim.request("generate", REQUEST)
    assert (response.status, response.json()["code"]) == (429, 429)


def test_retry_after_is_in_the_clients_seconds() -> None:
    """At speed 10, ten simulated seconds are one second of the client."""
    sim = bench(limiter="sliding", rate=(1, 10.0), retry_after="seconds", speed=10.0)
    sim.generate()
    assert dict(sim.request("generate", REQUEST).headers)["Retry-After"] == "1"


def test_retry_after_can_be_a_date() -> None:
    """The date relates to the ``Date`` header of the same response."""
    sim = bench(limiter="sliding", rate=(1, 10.0), retry_after="date", wall_clock=lambda: 784111777.0)
    sim.generate()
    headers = dict(sim.request("generate", REQUEST).headers)
    assert headers["Date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert headers["Retry-After"] == "Sun, 06 Nov 1994 08:49:47 GMT"


def test_polls_do_not_count_as_generations() -> None:
    """Reading records has limits of its own."""
    sim = bench(limiter="sliding", rate=(1, 10.0))
    task_id = sim.generate()
    assert {sim.record(task_id)["code"] for _ in range(10)} == {200}


def test_polls_are_limited_for_each_task() -> None:
    """Ten in one second; other tasks are not affected, and the next second has ten more."""
    sim = bench()
    first, other = sim.generate(), sim.generate("a cat")
    assert [sim.record(first)["code"] for _ in range(12)] == [200] * 10 + [429] * 2
    assert sim.record(other)["code"] == 200
    sim.advance(1)
    assert {sim.record(first)["code"] for _ in range(10)} == {200}


def test_limit_of_each_task_can_be_switched_off() -> None:
    """``task_poll_rate=None`` sets none."""
    sim = bench(task_poll_rate=None)
    task_id = sim.generate()
    assert {sim.record(task_id)["code"] for _ in range(50)} == {200}


def test_poll_rate_limits_record_info_only() -> None:
    """Generations are not affected."""
    sim = bench(poll_rate=(2, 1.0))
    task_id = sim.generate()
    assert [sim.record(task_id)["code"] for _ in range(3)] == [200, 200, 429]
    sim.generate()


def test_extensions_and_4k_share_the_rate_limit() -> None:
    """They count in the same window as generations."""
    sim = bench(limiter="sliding", rate=(3, 100.0))
    task_id = sim.generate()
    sim.advance(60)
    codes = [
        sim.request_json(name, {"taskId": task_id, "prompt": "on"})["code"]
        for name in ("extend", "get-4k-video", "extend")
    ]
    assert codes == [200, 200, 429]


def test_max_running_gets_429_until_a_task_finishes() -> None:
    """A request above the cap does not count in the window."""
    sim = bench(max_running=2, limiter="sliding", rate=(3, 1000.0))
    sim.generate()
    sim.generate()
    assert sim.request_json("generate", REQUEST)["code"] == 429
    sim.advance(60)
    sim.generate()


def test_limited_endpoints_is_a_setting() -> None:
    """It is not documented whether 4K requests count."""
    sim = bench(limiter="sliding", rate=(1, 1000.0), limited_endpoints=["generate"])
    task_id = sim.generate()
    sim.advance(60)
    assert sim.request_json("get-4k-video", {"taskId": task_id})["code"] == 200
    assert sim.request_json("generate", REQUEST)["code"] == 429


def test_token_bucket_can_count_rejected_requests() -> None:
    """With ``count_rejected`` each attempt lengthens the wait."""
    limiter = TokenBucket(1, 10.0, counts_rejected=True)
    waits = [limiter.take(0.0) for _ in range(3)]
    assert waits == [0.0, 20.0, 20.0]


def test_limiter_none_accepts_everything() -> None:
    """Tests about something else can disable the limit."""
    sim = bench(limiter="none")
    assert {sim.request_json("generate", REQUEST)["code"] for _ in range(100)} == {200}
