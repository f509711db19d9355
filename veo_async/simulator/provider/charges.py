"""The charge book: what was taken for which request, and what was given back.

It answers the one question this library exists for: was anything paid for twice?
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import attrs

from .messages import encode


@attrs.frozen(kw_only=True)
class Charge:
    """Credits taken for one accepted call."""

    #: The task that was made; of an upgrade, the task whose video it is.
    task_id: str
    endpoint: str
    account: str
    credits: float
    #: The request body as it was sent (the query, for the GET that costs).
    body: Mapping[str, Any] = attrs.field(repr=False)
    #: The attempt's own callback address.
    callback_url: str | None = None
    #: Simulated epoch seconds.
    at: float
    #: When the credits were given back, because the task failed.
    refunded_at: float | None = None


def request_key(charge: Charge) -> Hashable:
    """What was asked for, whatever callback address the attempt carried."""
    asked = {name: value for name, value in sorted(charge.body.items()) if name != "callBackUrl"}
    return charge.account, charge.endpoint, encode(asked)


class ChargeLog:
    """All charges of one account, oldest first."""

    def __init__(self) -> None:
        self._charges: list[Charge] = []
        self._index: dict[tuple[str, str], int] = {}

    @property
    def charges(self) -> tuple[Charge, ...]:
        return tuple(self._charges)

    def charge(self, charge: Charge) -> None:
        self._index[charge.endpoint, charge.task_id] = len(self._charges)
        self._charges.append(charge)

    def refund(self, endpoint: str, task_id: str, now: float) -> float:
        """Give back what *task_id* cost; the credits given back."""
        place = self._index.get((endpoint, task_id))
        if place is None or self._charges[place].refunded_at is not None:
            return 0.0
        self._charges[place] = attrs.evolve(self._charges[place], refunded_at=now)
        return self._charges[place].credits


def double_charges(
    charges: tuple[Charge, ...], key_of: Callable[[Charge], Hashable] = request_key
) -> tuple[tuple[Charge, ...], ...]:
    """Groups of charges for one and the same request.

    A charge that was given back does not count: making a failed clip again is no double payment.

    Args:
        key_of: what tells one request from another. Where two equal requests are both meant, tell them apart here.
    """
    groups: dict[Hashable, list[Charge]] = {}
    for charge in charges:
        if charge.refunded_at is None:
            groups.setdefault(key_of(charge), []).append(charge)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
