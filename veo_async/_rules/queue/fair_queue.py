"""Which job is sent next: start-time fair queueing over tenants, in two classes.

Theory of operation
-------------------
Queued jobs form *flows*; a flow is one tenant in one class (``interactive`` or ``batch``). Within a flow jobs are
granted in the order of arrival. Between the flows of a class the rule is start-time fair queueing: every job has a
*start tag*, a flow's next start tag is the last one plus ``1 / weight``, and the smallest tag is granted first (the
older job, if tags are equal). The virtual time ``V`` of a class is the smallest start tag that is queued; it never
decreases.

* A flow that was idle starts half a charge after ``V``, or at its old tag if that is later: it has saved up nothing,
  and it owes what it has used. Once ``V`` has passed its tag nothing is owed, so the flow is forgotten; when a class
  becomes empty, all its flows are. Why half a charge: the textbook starts the flow at ``V`` itself, and then a trickle
  of new tenants with one job each keeps ``V`` where it is and starves the flows that were queued before. With half a
  charge every flow is granted regularly however many new ones appear, and a new tenant still waits for one grant only
  when one long batch is queued.
* For two flows that are queued without a pause, the numbers of grants S stay close to their weights over any stretch
  of time: ``|S_i / w_i - S_j / w_j| <= 1 / w_i + 1 / w_j``. First come, first served has no such bound, and round
  robin has none either as soon as weights differ.
* A charge is calculated when a job is granted, so `FairQueue.configure_tenant` affects jobs that are queued already.

Between the classes interactive jobs are granted first, but of any 10 grants made while batch jobs are queued at least
one is a batch job. This costs interactive users at most 10 % of the rate, and a batch of any size still finishes.

A job that was refused (the provider returned 429) is returned with `push_front`: it regains its place in its flow, by
age, and its flow is refunded, so a refusal is as if the job had never been granted. To know place and charge the queue
remembers a grant until `confirm`, but only the latest `MAX_REMEMBERED_GRANTS`; at most a few dozen requests are ever in
flight, so a thousand is enough.

`FairQueue.hold` puts jobs on hold, for example those of one model. The others are granted as if those did not exist;
only the limit of their tenant counts them.

The number of queued jobs per tenant may be limited (``max_queued``): `FairQueue.reserve` then raises `QueueFull`
immediately instead of letting the queue grow.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, KeysView
from typing import Generic

import attrs

from veo_async._base.numbers import format_count
from veo_async.errors import QueueFull

from .flows import FlowClass, Priority, QueueItem, T

__all__ = ["BATCH_EVERY", "MAX_REMEMBERED_GRANTS", "FairQueue", "Priority"]

#: Of this many grants in a row, at least one is a batch job if one is queued.
BATCH_EVERY = 10
#: How many grants can be undone with `FairQueue.push_front`.
MAX_REMEMBERED_GRANTS = 1024
#: How many jobs `FairQueue.pop_first` skips at most.
_MAX_SKIPPED = 100


@attrs.define(eq=False)
class _Tenant:
    weight: float = 1.0
    max_queued: int | None = None  #: None: unlimited
    queued: int = 0
    on_hold: int = 0  #: jobs that are never granted
    reserved: int = 0  #: places for jobs that are about to be pushed
    is_configured: bool = False  #: by `configure_tenant`, so it is kept while nothing is queued


class FairQueue(Generic[T]):
    """The queued jobs of one account, and which of them is next. Never waits and never notifies.

    Jobs are hashable and are queued at most once at a time.

    Args:
        max_queued: maximum number of queued jobs per tenant, unless `configure_tenant` sets another; None: unlimited.
    """

    def __init__(self, *, max_queued: int | None = None) -> None:
        self._max_queued = max_queued
        self._seq = 0
        self._interactive = FlowClass[T]()
        self._batch = FlowClass[T]()
        self._interactive_in_a_row = 0  # interactive grants since the last batch grant, while batch jobs were queued
        self._tenants: dict[str, _Tenant] = {}
        self._waiting_tenants = 0  # tenants with queued jobs
        self._waiting: dict[T, QueueItem[T]] = {}
        self._granted: OrderedDict[T, QueueItem[T]] = OrderedDict()
        self._on_hold: dict[T, QueueItem[T]] = {}
        self._is_to_hold: Callable[[T], bool] = lambda job: False

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        """The queued jobs, in no particular order; the queue may change during the iteration."""
        return iter(tuple(self._waiting))

    def __contains__(self, job: object) -> bool:
        """Whether *job* is queued or on hold, so that `remove` removes it."""
        return job in self._waiting or job in self._on_hold

    def __repr__(self) -> str:
        counts = f"interactive={self._interactive.waiting} batch={self._batch.waiting} tenants={self.tenants}"
        return f"<FairQueue {counts}>"

    @property
    def on_hold(self) -> KeysView[T]:
        """The jobs that are on hold. ``len``, ``iter`` and `pop` ignore them."""
        return self._on_hold.keys()

    @property
    def tenants(self) -> int:
        """The number of tenants with queued jobs."""
        return self._waiting_tenants

    @property
    def has_interactive(self) -> bool:
        """Whether an interactive job is queued."""
        return self._interactive.waiting > 0

    @property
    def is_interactive_next(self) -> bool:
        """Whether `pop` would grant an interactive job."""
        return self.has_interactive and not (self._batch.waiting and self._interactive_in_a_row >= BATCH_EVERY - 1)

    def configure_tenant(self, name: str, *, weight: float | None = None, max_queued: int | None = None) -> None:
        """Change a tenant's weight or limit; None leaves it as it is. The weight affects queued jobs too.

        Raises:
            ValueError: *weight* is not a positive number.
        """
        if weight is not None and not (weight > 0 and math.isfinite(weight)):
            msg = f"weight must be a positive number, not {weight!r}"
            raise ValueError(msg)
        tenant = self._tenant(name)
        tenant.is_configured = True
        tenant.weight = tenant.weight if weight is None else weight
        tenant.max_queued = tenant.max_queued if max_queued is None else max_queued

    def reserve(self, tenant: str) -> None:
        """Reserve a place for a job that is about to be pushed. Call `release` before `push`, or instead of it.

        Raises:
            QueueFull: ``max_queued`` jobs of the tenant are queued, are on hold or have a reserved place.
        """
        self._check_limit(tenant)
        self._tenant(tenant).reserved += 1

    def release(self, tenant: str) -> None:
        """Release a reserved place."""
        self._tenant(tenant).reserved -= 1
        self._forget_if_idle(tenant)

    def push(self, job: T, *, tenant: str = "", priority: Priority = "batch") -> None:
        """Queue a new job at the end of its flow, even if the tenant's limit is reached: see `reserve`.

        Raises:
            ValueError: the job is queued or on hold already.
        """
        if job in self:
            msg = f"{job!r} is queued already"
            raise ValueError(msg)
        self._granted.pop(job, None)
        self._seq += 1
        self._enqueue(QueueItem(self._seq, job, tenant, priority))

    def push_front(self, job: T) -> None:
        """Return a granted job that was refused to its old place, without a charge and regardless of the limit.

        Raises:
            KeyError: the job was not granted, was returned already, or was granted more than `MAX_REMEMBERED_GRANTS`
                grants ago.
        """
        item = self._granted.pop(job)
        if item.priority == "batch":
            self._interactive_in_a_row = BATCH_EVERY - 1  # the next grant is a batch job again
        else:
            self._interactive_in_a_row = max(0, self._interactive_in_a_row - 1)
        self._enqueue(item)

    def confirm(self, job: T) -> None:
        """Forget that *job* was granted, because it will not be returned."""
        self._granted.pop(job, None)

    def head(self) -> T | None:
        """Return the job that `pop` would grant; None if no job is queued."""
        if not self._waiting:
            return None
        return (self._interactive if self.is_interactive_next else self._batch).head().job

    def pop(self) -> T | None:
        """Grant and return the next job; None if no job is queued."""
        if not self._waiting:
            return None
        if self.is_interactive_next:
            self._interactive_in_a_row += 1 if self._batch.waiting else 0
            item = self._interactive.grant(self._weight)
        else:
            self._interactive_in_a_row = 0
            item = self._batch.grant(self._weight)
        self._dequeue(item)
        self._granted[item.job] = item
        if len(self._granted) > MAX_REMEMBERED_GRANTS:
            self._granted.popitem(last=False)
        return item.job

    def hold(self, is_to_hold: Callable[[T], bool]) -> list[T]:
        """Hold the queued jobs for which *is_to_hold* is true, and those that are pushed later; return the former.

        Jobs on hold stay on hold. Another call replaces the condition for the other jobs.
        """
        self._is_to_hold = is_to_hold
        jobs = [job for job in self._waiting if is_to_hold(job)]
        for job in jobs:
            self._hold(job)
        return jobs

    def pop_first(self, fits: Callable[[T], bool]) -> T | None:
        """Grant and return the first job that *fits*; the next one if none of the first hundred does."""
        found: T | None = None
        skipped: list[T] = []
        while found is None and len(skipped) < _MAX_SKIPPED and (job := self.pop()) is not None:
            if fits(job):
                found = job
            else:
                skipped.append(job)
        for other in reversed(skipped):
            self.push_front(other)
        return self.pop() if found is None else found

    def remove(self, job: T) -> None:
        """Remove a job that is queued or on hold; KeyError if it is neither."""
        if (item := self._on_hold.pop(job, None)) is not None:
            self._tenants[item.tenant].on_hold -= 1
            self._forget_if_idle(item.tenant)
            return
        item = self._waiting[job]
        self._class(item).remove(item)
        self._dequeue(item)

    def position(self, job: T) -> int:
        """Return how many of the queued jobs will be granted before *job*; KeyError if it is not queued."""
        item = self._waiting[job]
        return self._position(self._class(item).rank(item, self._weight), item.priority)

    def positions(self) -> list[tuple[T, int]]:
        """Return each queued job with its `position`; for all of them that costs less than one after the other."""
        classes: tuple[tuple[FlowClass[T], Priority], ...]
        classes = (self._interactive, "interactive"), (self._batch, "batch")
        return [
            (job, self._position(rank, priority))
            for members, priority in classes
            for rank, job in enumerate(members.in_order(self._weight))
        ]

    def _position(self, rank: int, priority: Priority) -> int:
        """Return how many jobs are granted before the one with this *rank* in its class."""
        until_batch = BATCH_EVERY - 1 - self._interactive_in_a_row
        if priority == "batch":
            return rank + min(self._interactive.waiting, until_batch + (BATCH_EVERY - 1) * rank)
        batch_grants = 0 if rank < until_batch else 1 + (rank - until_batch) // (BATCH_EVERY - 1)
        return rank + min(self._batch.waiting, batch_grants)

    def _class(self, item: QueueItem[T]) -> FlowClass[T]:
        return self._interactive if item.priority == "interactive" else self._batch

    def _tenant(self, name: str) -> _Tenant:
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _Tenant(max_queued=self._max_queued)
        return tenant

    def _weight(self, name: str) -> float:
        return self._tenants[name].weight

    def _enqueue(self, item: QueueItem[T]) -> None:
        tenant = self._tenant(item.tenant)
        self._waiting_tenants += not tenant.queued
        tenant.queued += 1
        self._waiting[item.job] = item
        self._class(item).add(item, self._weight(item.tenant))
        if self._is_to_hold(item.job):
            self._hold(item.job)

    def _hold(self, job: T) -> None:
        item = self._waiting[job]
        self._tenants[item.tenant].on_hold += 1
        self.remove(job)
        self._on_hold[job] = item

    def _dequeue(self, item: QueueItem[T]) -> None:
        del self._waiting[item.job]
        tenant = self._tenants[item.tenant]
        tenant.queued -= 1
        self._waiting_tenants -= not tenant.queued
        self._forget_if_idle(item.tenant)

    def _check_limit(self, name: str) -> None:
        tenant = self._tenant(name)
        if tenant.max_queued is not None and tenant.queued + tenant.on_hold + tenant.reserved >= tenant.max_queued:
            who = f"tenant {name!r}" if name else "the default tenant"
            message = f"{who} already has {format_count(tenant.max_queued, 'queued job')}"
            raise QueueFull(message, tenant=name, limit=tenant.max_queued, on_hold=tenant.on_hold)

    def _forget_if_idle(self, name: str) -> None:
        tenant = self._tenants[name]
        if not (tenant.queued or tenant.on_hold or tenant.reserved or tenant.is_configured):
            del self._tenants[name]
