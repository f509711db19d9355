"""Chance, as the rules take it: an argument, so that a test can give the dice."""

from typing import Protocol


class Rng(Protocol):
    """Chance, as `random.Random` gives it."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...
