"""Faults of the connection: delays, resets and incomplete responses."""

from math import inf
from typing import Literal, Unpack

from veo_async.simulator.provider.messages import SimResponse

from .effects import deliver, position
from .table import Fault, FaultContext, When, fault_kind


def _close(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    return deliver(response, cut="close")


def _reset(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    cut_at = position(fault, response) if fault.variant == "middle" else None
    return deliver(response, cut="reset", cut_at=cut_at)


def _delay_after(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    delay_s = fault.seconds if fault.variant == "after" else 0.0
    return deliver(response, delay_s=response.delivery.delay_s + delay_s)


@fault_kind(
    delay_s=lambda fault: fault.seconds if fault.variant == "before" else 0.0,
    response=_delay_after,
)
def delay(seconds: float, *, before: bool = True, **when: Unpack[When]) -> Fault:
    """Respond *seconds* later; the account sees the request after that delay, or before it."""
    return Fault(kind="delay", seconds=seconds, variant="before" if before else "after", **when)


@fault_kind(short_name="drop-before", response=_close)
def drop_before_accepting(**when: Unpack[When]) -> Fault:
    """Read the request and close the connection; nothing is created or charged."""
    return Fault(kind="drop-before-accepting", accepted=False, **when)


@fault_kind(short_name="drop-after", response=_close)
def drop_after_accepting(**when: Unpack[When]) -> Fault:
    """Create and charge the task, then close the connection without a response."""
    return Fault(kind="drop-after-accepting", **when)


@fault_kind(short_name="reset", response=_reset)
def reset_connection(when: Literal["before", "after", "middle"] = "after", **requests: Unpack[When]) -> Fault:
    """Reset the connection before or after the account sees the request, or in the middle of the response."""
    return Fault(kind="reset-connection", variant=when, accepted=when != "before", **requests)


@fault_kind(memory_only=True, response=lambda fault, response, context: deliver(response, unreachable=True))
def unreachable(**when: Unpack[When]) -> Fault:
    """Refuse the connection. Only for `MemoryTransport`; a `Simulator` has ``go_offline()``."""
    return Fault(kind="unreachable", accepted=False, **when)


@fault_kind(response=lambda fault, response, context: deliver(response, cut="close", cut_at=position(fault, response)))
def truncate(at: int | None = None, **when: Unpack[When]) -> Fault:
    """Close the connection after *at* bytes of the body; ``Content-Length`` announces the whole body."""
    return Fault(kind="truncate", at=at, **when)


@fault_kind(response=lambda fault, response, context: deliver(response, drip_s=fault.seconds))
def slow_body(seconds: float = 1.0, **when: Unpack[When]) -> Fault:
    """Send one byte of the body every *seconds*."""
    return Fault(kind="slow-body", seconds=seconds, **when)


@fault_kind(short_name="endless", response=lambda fault, response, context: deliver(response, repeat=inf))
def endless_body(**when: Unpack[When]) -> Fault:
    """Send the body again and again, without end."""
    return Fault(kind="endless-body", **when)
