"""Whose job is sent next: start-time fair queueing over tenants, in two classes.

Theory of operation
-------------------
Jobs wait in *flows*; a flow is one tenant in one class (``interactive`` or ``batch``). Inside a flow jobs
go in the order of arrival. Between the flows of a class the rule is start-time fair queueing: every job
has a *start tag*, a flow's next start tag is the last one plus ``cost / weight``, and the smallest tag
goes first (the older job, if tags are equal). The class's virtual time ``V`` is the smallest start tag
that waits; it never goes back.

* A flow that was idle starts half a turn of its own behind ``V``, or at its old tag if that is later: it has
  saved up nothing, and it owes what it has used. Once ``V`` has passed its tag nothing is owed, so the flow
  is forgotten; when a class runs empty, all of them are. Why half a turn: the textbook starts it at ``V``
  itself, and then a trickle of new tenants with one job each holds ``V`` where it is and starves whoever was
  there before. With half a turn everybody's turn comes up however many newcomers there are, and a newcomer
  beside one long batch still waits for one grant only.
* For two flows that wait without a pause, the services S they get stay close to their weights over any
  stretch of time: ``|S_i / w_i - S_j / w_j| <= c_i / w_i + c_j / w_j`` with c the largest cost of one
  job. First come, first served has no such bound at all, and round robin has none either as soon as
  weights differ.
* Charges are worked out when a job is granted, so `FairQueue.configure_tenant` is felt by jobs that already
  wait. The weight given with a job multiplies the tenant's; to leave it at 1 is the usual thing.

Between the classes interactive goes first, but of any 10 grants made while batch work waits at least one
is batch. One in ten, because it costs the people who wait for an answer at most a tenth of the rate, and
a batch of any size still ends.

A refused job (the account said 429) comes back with `push_front`: it regains its place in its flow, by
age, and its flow gets the charge back, so a refusal is as if the grant had never been. To know place and
charge the queue remembers its latest `MAX_REMEMBERED_GRANTS` grants; at most a few dozen sends are ever under way,
so a thousand loses none and stays small.

Tenants may be bounded (``max_queued``): a full queue refuses at once, with `QueueFull`, instead of
growing unseen. Jobs that come back are never refused.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic

import attrs

from veo_async.errors import QueueFull

from .flows import FlowClass, Priority, QueueItem, T

__all__ = ["BATCH_EVERY", "MAX_REMEMBERED_GRANTS", "FairQueue", "Priority"]

#: Of so many grants in a row, at least one goes to batch work that waits.
BATCH_EVERY = 10
#: How many grants can be handed back with `FairQueue.push_front`.
MAX_REMEMBERED_GRANTS = 1024


@attrs.define(eq=False)
class _Tenant:
    weight: float = 1.0
    max_queued: int | None = None  #: None: no bound
    queued: int = 0
    reserved: int = 0  #: jobs that are about to come
    is_declared: bool = False  #: was named by configure_tenant, so it is kept while nothing waits


class FairQueue(Generic[T]):
    """The jobs of one account that wait to be sent, and whose turn it is.

    Items are hashable and wait at most once at a time. Nothing here waits or wakes anybody.

    Args:
        max_queued: how many jobs of one tenant may wait unless `configure_tenant` says otherwise; None: any number.
    """

    def __init__(self, *, max_queued: int | None = None) -> None:
        self._max_queued = max_queued
        self._seq = 0
        self._interactive = FlowClass[T]()
        self._batch = FlowClass[T]()
        self._interactive_in_a_row = 0  # interactive grants since the last batch grant, while batch work waited
        self._tenants: dict[str, _Tenant] = {}
        self._waiting_tenants = 0  # tenants that have something waiting
        self._waiting: dict[T, QueueItem[T]] = {}
        self._granted: OrderedDict[T, QueueItem[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        """The jobs that wait, in no particular order."""
        return iter(tuple(self._waiting))

    def __contains__(self, item: object) -> bool:
        return item in self._waiting

    def __repr__(self) -> str:
        counts = f"interactive={self._interactive.waiting} batch={self._batch.waiting} tenants={self.tenants}"
        return f"<FairQueue {counts}>"

    @property
    def tenants(self) -> int:
        """How many tenants have a job waiting."""
        return self._waiting_tenants

    @property
    def has_interactive(self) -> bool:
        """Whether an interactive job waits."""
        return self._interactive.waiting > 0

    @property
    def is_interactive_next(self) -> bool:
        """Whether `pop` would grant an interactive job."""
        return self.has_interactive and not (self._batch.waiting and self._interactive_in_a_row >= BATCH_EVERY - 1)

    def configure_tenant(self, name: str, *, weight: float | None = None, max_queued: int | None = None) -> None:
        """Change a tenant's weight or bound; None leaves it as it is. Jobs that wait feel the weight too."""
        tenant = self._tenant(name)
        tenant.is_declared = True
        if weight is not None:
            tenant.weight = _positive("weight", weight)
        if max_queued is not None:
            tenant.max_queued = max_queued

    def push(
        self,
        item: T,
        *,
        tenant: str = "",
        priority: Priority = "batch",
        weight: float = 1.0,
        cost: float = 1.0,
        check_limit: bool = True,
    ) -> None:
        """Queue a new job at the end of its flow.

        Args:
            weight: multiplies the weight of the tenant, for this job alone.
            cost: what the job counts for, in any unit, as long as it is the same for all.
            is_bounded: False for a job that was let in before: by `reserve`, or in an earlier run.

        Raises:
            QueueFull: the tenant has ``max_queued`` jobs waiting.
            ValueError: the item waits already, or weight or cost is not a positive number.
        """
        if item in self._waiting:
            msg = f"{item!r} is waiting already"
            raise ValueError(msg)
        charged = _positive("cost", cost) / _positive("weight", weight)
        if check_limit:
            self._require_room(tenant)
        self._granted.pop(item, None)
        self._seq += 1
        self._enqueue(QueueItem(self._seq, item, tenant, priority, charged))

    def reserve(self, tenant: str) -> None:
        """Keep room for a job that is about to come; `release` gives it back, then `push` without bound.

        Raises:
            QueueFull: the tenant has ``max_queued`` jobs waiting or about to.
        """
        self._require_room(tenant)
        self._tenant(tenant).reserved += 1

    def release(self, tenant: str) -> None:
        """Give back room that was kept."""
        self._tenant(tenant).reserved -= 1
        self._forget_if_idle(tenant)

    def push_front(self, item: T) -> None:
        """Take back a granted job that was refused, to its old place and at no charge, however full it is.

        Raises:
            KeyError: the item was not granted, was taken back already, or more than `MAX_REMEMBERED_GRANTS` grants ago.
        """
        entry = self._granted.pop(item)
        if entry.priority == "batch":
            self._interactive_in_a_row = BATCH_EVERY - 1  # its turn was not used
        else:
            self._interactive_in_a_row = max(0, self._interactive_in_a_row - 1)
        self._enqueue(entry)

    def pop(self) -> T | None:
        """Grant the job whose turn it is; None if nothing waits."""
        if not self._waiting:
            return None
        if self.is_interactive_next:
            self._interactive_in_a_row += 1 if self._batch.waiting else 0
            entry = self._interactive.grant(self._weight)
        else:
            self._interactive_in_a_row = 0
            entry = self._batch.grant(self._weight)
        self._leave(entry)
        self._granted[entry.item] = entry
        if len(self._granted) > MAX_REMEMBERED_GRANTS:
            self._granted.popitem(last=False)
        return entry.item

    def remove(self, item: T) -> None:
        """Take a waiting job out of the queue; KeyError if it does not wait."""
        entry = self._waiting[item]
        self._class(entry).remove(entry)
        self._leave(entry)

    def position(self, item: T) -> int:
        """How many of the jobs that wait now will be granted before *item*; KeyError if it does not wait."""
        entry = self._waiting[item]
        rank = self._class(entry).rank(entry, self._weight)
        until_batch = BATCH_EVERY - 1 - self._interactive_in_a_row
        if entry.priority == "batch":
            return rank + min(self._interactive.waiting, until_batch + (BATCH_EVERY - 1) * rank)
        turns = 0 if rank < until_batch else 1 + (rank - until_batch) // (BATCH_EVERY - 1)
        return rank + min(self._batch.waiting, turns)

    def _class(self, entry: QueueItem[T]) -> FlowClass[T]:
        return self._interactive if entry.priority == "interactive" else self._batch

    def _tenant(self, name: str) -> _Tenant:
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _Tenant(max_queued=self._max_queued)
        return tenant

    def _weight(self, name: str) -> float:
        return self._tenants[name].weight

    def _enqueue(self, entry: QueueItem[T]) -> None:
        tenant = self._tenant(entry.tenant)
        self._waiting_tenants += not tenant.queued
        tenant.queued += 1
        self._waiting[entry.item] = entry
        self._class(entry).add(entry, self._weight(entry.tenant))

    def _leave(self, entry: QueueItem[T]) -> None:
        del self._waiting[entry.item]
        tenant = self._tenants[entry.tenant]
        tenant.queued -= 1
        self._waiting_tenants -= not tenant.queued
        self._forget_if_idle(entry.tenant)

    def _require_room(self, name: str) -> None:
        tenant = self._tenant(name)
        if tenant.max_queued is not None and tenant.queued + tenant.reserved >= tenant.max_queued:
            who = f"tenant {name!r}" if name else "the default tenant"
            raise QueueFull(f"{who} already has {tenant.max_queued} jobs waiting", tenant=name, limit=tenant.max_queued)

    def _forget_if_idle(self, name: str) -> None:
        tenant = self._tenants[name]
        if not (tenant.queued or tenant.reserved or tenant.is_declared):
            del self._tenants[name]


def _positive(name: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        msg = f"{name} must be a positive number, not {value!r}"
        raise ValueError(msg)
    return value
