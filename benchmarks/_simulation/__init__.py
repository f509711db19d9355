"""Simulate batches of jobs under faults drawn from a seed, in virtual time.

A *world* holds what outlives a session: the provider, the ledger and the receiver of callbacks. Sessions open on the
ledger one after the other, or two at a time, and most of them are killed. First comes a phase with faults; then all
faults stop, and the last session must finish every job.

- `conditions`: what a seed draws: limits, fault rates, the number of sessions.
- `world`: the shared state, and the faults of the ledger.
- `session`: one session from its opening until it is closed or killed.
- `outside`: outages, callback delivery, and an operator who interferes.
- `invariants`: what must never happen, and what must happen once the faults stop.
- `simulation`: the order of events, and the result.
"""

from .simulation import SimulationResult, simulate

__all__ = ["SimulationResult", "simulate"]
