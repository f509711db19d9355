"""Faults of callbacks."""

from typing import Literal, Unpack

import attrs

from veo_async.simulator.provider.callbacks import PlannedCallback
from veo_async.simulator.provider.messages import CALLBACK

from .table import Fault, When, fault_kind

_HOUR_S = 3600


def _forge(fault: Fault, callback: PlannedCallback) -> PlannedCallback:
    body = {"code": 400, "msg": "failed", "data": {"taskId": callback.task_id}}
    shift_s = {"stale": -_HOUR_S, "future": _HOUR_S}.get(fault.variant, 0)
    secret = {"key": "not the key", "unsigned": None}.get(fault.variant, callback.secret)
    return attrs.evolve(callback, body=body, secret=secret, signed_at=callback.signed_at + shift_s)


def _malform(fault: Fault, callback: PlannedCallback) -> PlannedCallback:
    return attrs.evolve(callback, body=[{"event": "done", "filler": "x" * fault.size}])


@fault_kind(endpoint=CALLBACK, callback=lambda fault, callback: attrs.evolve(callback, is_lost=True))
def lost_callback(**when: Unpack[When]) -> Fault:
    """Never send the callback."""
    return Fault(kind="lost-callback", **when)


@fault_kind(endpoint=CALLBACK, callback=lambda fault, callback: attrs.evolve(callback, copies=fault.size))
def duplicate_callback(copies: int = 2, **when: Unpack[When]) -> Fault:
    """Send the callback *copies* times."""
    return Fault(kind="duplicate-callback", size=copies, **when)


@fault_kind(endpoint=CALLBACK, callback=lambda fault, callback: attrs.evolve(callback, delay_s=fault.seconds))
def late_callback(seconds: float, **when: Unpack[When]) -> Fault:
    """Send the callback *seconds* late."""
    return Fault(kind="late-callback", seconds=seconds, **when)


@fault_kind(endpoint=CALLBACK, callback=_forge)
def forged_callback(
    variant: Literal["key", "body", "unsigned", "stale", "future"] = "key", **when: Unpack[When]
) -> Fault:
    """Send a callback that falsely reports a failure.

    Args:
        variant: How it is signed: with another key; correctly, which does not cover the body; not at all; or with a
            timestamp one hour in the past or in the future.
    """
    return Fault(kind="forged-callback", variant=variant, **when)


@fault_kind(endpoint=CALLBACK, callback=_malform)
def malformed_callback(size: int = 0, **when: Unpack[When]) -> Fault:
    """Send a correctly signed callback in an unknown format, with *size* bytes of filler."""
    return Fault(kind="malformed-callback", size=size, **when)


@fault_kind(endpoint=CALLBACK, callback=lambda fault, callback: attrs.evolve(callback, waits_for_next=True))
def reordered_callbacks(**when: Unpack[When]) -> Fault:
    """Send the callback after the next one."""
    return Fault(kind="reordered-callbacks", **when)
