"""Randomness is an argument of the rules, so that a test can control it."""

from typing import Protocol


class Rng(Protocol):
    """A source of random numbers, such as `random.Random`."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...
