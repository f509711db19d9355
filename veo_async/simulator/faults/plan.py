"""Decides which requests trigger a fault: counts the requests of each fault and draws from its generator. Pure."""

from random import Random

import attrs

from .table import Fault


@attrs.frozen(kw_only=True)
class TriggeredFault:
    """A fault that was triggered."""

    fault: Fault
    endpoint: str
    #: Simulated epoch seconds.
    at: float

    @property
    def kind(self) -> str:
        """The fault's name."""
        return self.fault.kind


@attrs.define(eq=False)
class _ActiveFault:
    fault: Fault
    rng: Random
    seen: int = 0
    triggered: int = 0

    def triggers(self) -> bool:
        """Whether the request that was just counted triggers it."""
        if self.fault.times is not None and self.triggered >= self.fault.times:
            return False
        return self.fault.is_on(self.seen) and (self.fault.probability >= 1 or self._is_drawn())

    def _is_drawn(self) -> bool:
        return self.rng.random() < self.fault.probability


class FaultPlan:
    """All faults, the number of requests that each has seen, and the faults that were triggered."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        self._seed = seed
        self._active: list[_ActiveFault] = []
        self.triggered: list[TriggeredFault] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Add faults. They count requests from now on."""
        for fault in faults:
            seed = self._seed + len(self._active) if fault.seed is None else fault.seed
            self._active.append(_ActiveFault(fault, Random(seed)))

    def next_fault(self, endpoint: str, now: float, body: bytes = b"") -> tuple[Fault, Random] | None:
        """Count a request to *endpoint* with *body*; return the fault that it triggers, and its random generator."""
        chosen: _ActiveFault | None = None
        for active in self._active:
            if active.fault.matches(endpoint, body):
                active.seen += 1
                if chosen is None and active.triggers():
                    chosen = active
        if chosen is None:
            return None
        chosen.triggered += 1
        self.triggered.append(TriggeredFault(fault=chosen.fault, endpoint=endpoint, at=now))
        return chosen.fault, chosen.rng
