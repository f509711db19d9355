"""A query that only tests make of the gate."""

from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import Wait


def next_deadline(gate: Gate, now: float) -> float:
    """Return when to request again if no event comes before; *now* if a request would be granted. Grants nothing."""
    decision = gate._decide(now)
    return decision.until if isinstance(decision, Wait) else now
