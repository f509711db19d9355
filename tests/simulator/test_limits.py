"""The rate limit in its several kinds, the cap on running tasks, and how a 429 looks."""

from random import Random

import pytest

from veo_async.simulator.provider.limits import FixedWindow, SlidingWindow, TokenBucket

from .support import bench


def test_no_window_ever_holds_more_than_the_count() -> None:
    """Exact: at random arrivals, no ten seconds whatever see a 21st passing."""
    rng, limiter, now = Random(5), SlidingWindow(20, 10.0), 0.0
    passed: list[float] = []
    for _ in range(5000):
        now += rng.expovariate(4)
        if limiter.take(now) == 0:
            passed.append(now)
    assert all(later - earlier >= 10.0 for earlier, later in zip(passed, passed[20:], strict=False))


def test_the_sliding_window_tells_when_it_opens() -> None:
    """Waiting just as long as was told is enough, and a moment less is not."""
    limiter = SlidingWindow(2, 10.0)
    assert [limiter.take(now) for now in (0.0, 4.0, 6.0)] == [0.0, 0.0, 4.0]
    assert limiter.take(9.999) > 0
    assert limiter.take(10.0) == 0


def test_counted_refusals_keep_the_door_shut() -> None:
    """With ``count_rejected`` whoever hammers waits from the last attempt on."""
    limiter = SlidingWindow(1, 10.0, counts_rejected=True)
    assert [limiter.take(now) for now in (0.0, 9.0, 18.0)] == [0.0, 10.0, 10.0]
    assert limiter.take(28.0) == 0


def test_the_fixed_window_lets_two_bursts_meet() -> None:
    """Its known weakness: twice the count around a tick."""
    limiter = FixedWindow(2, 10.0)
    assert [limiter.take(now) == 0 for now in (9.8, 9.9, 9.95, 10.0, 10.1, 10.2)] == [True, True, False] * 2


def test_the_token_bucket_refills_evenly() -> None:
    """After the burst one token comes every half second."""
    limiter = TokenBucket(20, 10.0)
    assert all(limiter.take(0.0) == 0 for _ in range(20))
    assert limiter.take(0.0) == pytest.approx(0.5)
    assert limiter.take(0.5) == 0


def test_the_21st_creation_in_ten_seconds_is_429() -> None:
    """The documented limit, as an HTTP status, with the real sentence; it opens after ten seconds."""
    at = bench(limiter="sliding")
    answers = [at.ask("generate", {"prompt": "x"}) for _ in range(21)]
    assert [answer.status for answer in answers] == [200] * 20 + [429]
    assert answers[-1].json() == {
        "code": 429,
        "msg": "Your call frequency is too high. Please try again later.",
        "data": None,
    }
    at.pass_(10)
    assert at.ask("generate", {"prompt": "x"}).status == 200


def test_a_429_can_come_as_http_200() -> None:
    """The form met on sister endpoints."""
    at = bench(limiter="sliding", rate=(1, 10.0), rate_limit_style="body")
    at.generate()
    answer = at.ask("generate", {"prompt": "x"})
    assert (answer.status, answer.json()["code"]) == (200, 429)


def test_retry_after_is_in_the_clients_seconds() -> None:
    """At tenfold speed a window of ten simulated seconds is one of the client's."""
    at = bench(limiter="sliding", rate=(1, 10.0), retry_after="seconds", speed=10.0)
    at.generate()
    assert dict(at.ask("generate", {"prompt": "x"}).headers)["Retry-After"] == "1"


def test_retry_after_can_be_a_date() -> None:
    """The date is relative to the ``Date`` that comes with it."""
    at = bench(limiter="sliding", rate=(1, 10.0), retry_after="date", wall_clock=lambda: 784111777.0)
    at.generate()
    headers = dict(at.ask("generate", {"prompt": "x"}).headers)
    assert headers["Date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert headers["Retry-After"] == "Sun, 06 Nov 1994 08:49:47 GMT"


def test_reads_are_not_limited() -> None:
    """Polls do not count as creations."""
    at = bench(limiter="sliding", rate=(1, 10.0))
    task_id = at.generate()
    assert {at.record(task_id)["code"] for _ in range(50)} == {200}


def test_polls_can_have_a_limit_of_their_own() -> None:
    """``poll_rate`` strikes record-info alone."""
    at = bench(poll_rate=(2, 1.0))
    task_id = at.generate()
    assert [at.record(task_id)["code"] for _ in range(3)] == [200, 200, 429]
    at.generate()


def test_extensions_and_4k_count_as_creations() -> None:
    """They share the account's window with generations."""
    at = bench(limiter="sliding", rate=(3, 100.0))
    task_id = at.generate()
    at.pass_(60)
    codes = [
        at.told(name, {"taskId": task_id, "prompt": "on"})["code"] for name in ("extend", "get-4k-video", "extend")
    ]
    assert codes == [200, 200, 429]


def test_running_tasks_are_capped() -> None:
    """Above the cap a creation gets 429 without using up the window; an ended task makes room."""
    at = bench(max_running=2, limiter="sliding", rate=(3, 1000.0))
    at.generate()
    at.generate()
    assert at.told("generate", {"prompt": "x"})["code"] == 429
    at.pass_(60)
    at.generate()


def test_what_counts_as_a_creation_is_a_setting() -> None:
    """Nobody knows whether 4K requests count: here they need not."""
    at = bench(limiter="sliding", rate=(1, 1000.0), limited_endpoints=["generate"])
    task_id = at.generate()
    at.pass_(60)
    assert at.told("get-4k-video", {"taskId": task_id})["code"] == 200
    assert at.told("generate", {"prompt": "x"})["code"] == 429


def test_a_drained_bucket_can_go_into_debt() -> None:
    """With ``count_rejected`` hammering lengthens the wait here, too."""
    limiter = TokenBucket(1, 10.0, counts_rejected=True)
    waits = [limiter.take(0.0) for _ in range(3)]
    assert waits == [0.0, 20.0, 20.0]


def test_the_limit_can_be_switched_off() -> None:
    """For tests that are about something else."""
    at = bench(limiter="none")
    assert {at.told("generate", {"prompt": "x"})["code"] for _ in range(100)} == {200}
