"""Helpers for the effects of several faults."""

from typing import Any

import attrs

from veo_async.simulator.provider.messages import SimResponse

from .table import Fault


def deliver(response: SimResponse, **changes: Any) -> SimResponse:
    """Return *response* with changes to its `Delivery`."""
    return attrs.evolve(response, delivery=attrs.evolve(response.delivery, **changes))


def position(fault: Fault, response: SimResponse) -> int:
    """Return the position in the body that the fault names, or the middle."""
    return len(response.body) // 2 if fault.at is None else min(fault.at, len(response.body))
