"""The charge log: which request was charged, and which charges were refunded.

It shows whether any request was charged twice.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import attrs

from .messages import encode


@attrs.frozen(kw_only=True)
class Charge:
    """Credits charged for one accepted request."""

    #: The task that was created; for an upgrade, the id under which it is known.
    task_id: str
    endpoint: str
    account: str
    credits: float
    #: The request body as it was received, or the query of the GET that starts a 1080p upgrade.
    body: Mapping[str, Any] = attrs.field(repr=False)
    #: The attempt's callback address.
    callback_url: str | None = None
    #: Simulated epoch seconds.
    at: float
    #: When the credits were refunded because the task failed.
    refunded_at: float | None = None


def request_key(charge: Charge) -> Hashable:
    """Return a value that is equal for equal requests, regardless of their callback addresses."""
    fields = {name: value for name, value in sorted(charge.body.items()) if name != "callBackUrl"}
    return charge.account, charge.endpoint, encode(fields)


class ChargeLog:
    """All charges of one account, oldest first."""

    def __init__(self) -> None:
        self._charges: list[Charge] = []
        self._index: dict[tuple[str, str], int] = {}

    @property
    def charges(self) -> tuple[Charge, ...]:
        """All charges, refunded ones included."""
        return tuple(self._charges)

    def charge(self, charge: Charge) -> None:
        """Add *charge*."""
        self._index[charge.endpoint, charge.task_id] = len(self._charges)
        self._charges.append(charge)

    def refund(self, endpoint: str, task_id: str, now: float) -> float:
        """Mark the charge for *task_id* as refunded and return its credits; 0.0 if there is nothing to refund."""
        index = self._index.get((endpoint, task_id))
        if index is None or self._charges[index].refunded_at is not None:
            return 0.0
        self._charges[index] = attrs.evolve(self._charges[index], refunded_at=now)
        return self._charges[index].credits


def double_charges(
    charges: tuple[Charge, ...], key_of: Callable[[Charge], Hashable] = request_key
) -> tuple[tuple[Charge, ...], ...]:
    """Return each group of charges for the same request that has more than one member.

    Refunded charges do not count: generating a failed clip again is not a double payment.

    Args:
        key_of: Returns equal values for charges of the same request. Pass another function if a test submits equal
            requests on purpose.
    """
    groups: dict[Hashable, list[Charge]] = {}
    for charge in charges:
        if charge.refunded_at is None:
            groups.setdefault(key_of(charge), []).append(charge)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
