"""Simulated time is exact."""

from random import Random

import pytest

from veo_async.simulator.clock import SimulatedClock


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
