"""Simulated time is exact."""

from datetime import datetime
from random import Random

import pytest

from veo_async.simulator.clock import SimulatedClock

from .support import REQUEST, START, bench


def test_whole_seconds_add_up_exactly() -> None:
    """The loop's clock is a float with rounding errors; the simulated clock has none."""
    rng, loop_s = Random(3), 0.0
    clock = SimulatedClock(start_at=1_795_231_318.8157, speed=1.0, loop_time=lambda: loop_s)
    for _ in range(1000):
        loop_s += rng.uniform(0, 10_000)
        began = clock.now()
        loop_s = (loop_s + 1e-9) + 3600 - 1e-9
        assert clock.now() == began + 3600


def test_speed_and_advance_add_up() -> None:
    """The loop's seconds are multiplied by the speed, advances are not."""
    loop_s = 100.0
    clock = SimulatedClock(start_at=1000.0, speed=60.0, loop_time=lambda: loop_s)
    loop_s += 2
    clock.advance(5)
    assert clock.now() == 1125
    assert clock.in_loop_seconds(120) == 2
    with pytest.raises(ValueError, match="must be >= 0"):
        clock.advance(-1)


def test_records_show_the_times_of_a_client_at_normal_speed() -> None:
    """At speed 60, a task of one simulated minute took the client one second, and an upload lives 24 minutes."""
    sim = bench(speed=60.0, duration_s=60.0, upload_form="quickstart")
    sim.advance(600)
    task_id = sim.generate()
    body = {"base64Data": "eA==", "uploadPath": "x"}
    uploaded = sim.request_json("file-base64-upload", body)["data"]
    sim.advance(60)
    record = sim.record(task_id)["data"]
    assert (record["createTime"], record["completeTime"]) == ((START + 10) * 1000, (START + 11) * 1000)
    times = [datetime.fromisoformat(uploaded[name]).timestamp() for name in ("uploadTime", "expiresAt")]
    assert times == [START + 10, START + 10 + 86400 / 60]


def test_documented_records_show_the_times_of_a_client_at_normal_speed() -> None:
    """As text, and to the second."""
    sim = bench(dialect="openapi", speed=60.0, duration_s=60.0)
    task_id = sim.generate()
    sim.advance(60)
    record = sim.record(task_id)["data"]
    created_at, completed_at = (datetime.fromisoformat(record[name]) for name in ("createTime", "completeTime"))
    assert (completed_at - created_at).total_seconds() == 1


def test_clients_with_an_accelerated_clock_are_shown_their_own_times() -> None:
    """In a fast loop of the same speed, a task of a minute takes a minute, and a 429 lasts as long as it says."""
    options = {"speed": 60.0, "client_speed": 60.0, "retry_after": "seconds"}
    sim = bench(**options, limiter="sliding", rate=(1, 10.0))
    task_id = sim.generate()
    assert dict(sim.request("generate", REQUEST).headers)["Retry-After"] == "10"
    sim.advance(60)
    record = sim.record(task_id)["data"]
    assert record["completeTime"] - record["createTime"] == 60_000
