"""The flows inside one class of the fair queue: start tags, charges, and which job is next.

`fair_queue`, the only user, describes the theory. Costs with n jobs in f flows: adding, granting and removing
O(log n), and rank O(log n + f). A flow is a sorted list: to grant or remove a job also moves the pointers behind it,
which takes a few microseconds with ten thousand jobs.
"""

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Literal, TypeVar

import attrs

T = TypeVar("T", bound=Hashable)
Priority = Literal["interactive", "batch"]

#: How far after the virtual time a new flow starts, as a share of its charge per job.
NEWCOMER_DELAY = 0.5


@attrs.define(eq=False, weakref_slot=False)
class QueueItem(Generic[T]):
    """A job that is queued, or that was granted recently."""

    seq: int  #: order of arrival in the whole queue
    job: T
    tenant: str
    priority: Priority
    charge: float = 0.0  #: what its flow paid when it was granted

    def __lt__(self, other: "QueueItem[T]") -> bool:
        return self.seq < other.seq


@attrs.define(eq=False)
class Flow(Generic[T]):
    """The queued jobs of one tenant in one class."""

    tenant: str
    tag: float  #: start tag of its head, or of the next job if none is queued
    items: list[QueueItem[T]] = attrs.field(factory=list)  #: by age

    @property
    def waiting(self) -> int:
        """The number of its jobs."""
        return len(self.items)

    def head(self) -> QueueItem[T]:
        """Return the oldest queued job; there must be one."""
        return self.items[0]

    def remove(self, item: QueueItem[T]) -> bool:
        """Remove *item*; return whether the flow has another head now."""
        place = bisect_left(self.items, item)
        del self.items[place]
        return place == 0 and bool(self.items)

    def tag_of(self, place: int, weight: float) -> float:
        """Return the start tag of its job at *place*."""
        return self.tag + place / weight

    def tagged(self, weight: float) -> Iterator[tuple[float, QueueItem[T]]]:
        """Yield its jobs with their start tags, in the order in which they will be granted."""
        return ((self.tag_of(place, weight), item) for place, item in enumerate(self.items))

    def ahead_of(self, tag: float, item: QueueItem[T], weight: float) -> int:
        """Return how many of its jobs are granted before *item*, which another flow has with this start *tag*."""
        place = min(max(0, math.ceil((tag - self.tag) * weight)), len(self.items))
        if place < len(self.items) and (self.tag_of(place, weight), self.items[place]) < (tag, item):
            return place + 1
        return place


@attrs.define(eq=False)
class FlowClass(Generic[T]):
    """The flows of one class. A row of the heap is stale when its flow's tag or head has changed since."""

    virtual: float = 0.0
    waiting: int = 0
    flows: dict[str, Flow[T]] = attrs.field(factory=dict)
    heap: list[tuple[float, int, str]] = attrs.field(factory=list)
    compact_at: int = 32  #: number of flows and rows at which `_compact` drops stale ones

    def add(self, item: QueueItem[T], weight: float) -> None:
        """Queue *item*; if it was granted before, refund its flow."""
        flow = self.flows.get(item.tenant)
        if flow is None:
            flow = self.flows[item.tenant] = Flow(item.tenant, self.virtual)
        if not flow.waiting:
            is_newcomer = self.waiting and not item.charge
            behind = NEWCOMER_DELAY / weight if is_newcomer else 0.0
            flow.tag = max(flow.tag, self.virtual + behind)
        flow.tag -= item.charge
        insort(flow.items, item)
        self.waiting += 1
        if flow.waiting == 1 or item.charge:
            self._offer(flow)
        item.charge = 0.0

    def head(self) -> QueueItem[T]:
        """Return the job that `grant` would return; there must be one."""
        return self._first().head()

    def grant(self, weight: Callable[[str], float]) -> QueueItem[T]:
        """Remove and return the next job, and charge its flow; there must be one."""
        flow = self._first()
        heapq.heappop(self.heap)
        item = flow.items.pop(0)
        item.charge = 1 / weight(item.tenant)
        flow.tag += item.charge
        self.waiting -= 1
        if flow.waiting:
            self._offer(flow)
        self._compact()
        return item

    def remove(self, item: QueueItem[T]) -> None:
        """Remove a queued *item*."""
        flow = self.flows[item.tenant]
        if flow.remove(item):
            self._offer(flow)
        self.waiting -= 1
        self._compact()

    def rank(self, item: QueueItem[T], weight: Callable[[str], float]) -> int:
        """Return how many jobs of this class are granted before *item*."""
        own = self.flows[item.tenant]
        place = bisect_left(own.items, item)
        tag = own.tag_of(place, weight(own.tenant))
        others = (flow for flow in self.flows.values() if flow is not own and flow.items)
        return place + sum(flow.ahead_of(tag, item, weight(flow.tenant)) for flow in others)

    def in_order(self, weight: Callable[[str], float]) -> Iterator[T]:
        """Yield all jobs of this class, in the order in which they will be granted."""
        flows = (flow.tagged(weight(flow.tenant)) for flow in self.flows.values() if flow.items)
        return (item.job for _, item in heapq.merge(*flows))

    def _offer(self, flow: Flow[T]) -> None:
        heapq.heappush(self.heap, (flow.tag, flow.head().seq, flow.tenant))

    def _first(self) -> Flow[T]:
        while True:
            tag, seq, tenant = self.heap[0]
            flow = self.flows.get(tenant)
            if flow is not None and flow.waiting and flow.tag == tag and flow.head().seq == seq:
                return flow
            heapq.heappop(self.heap)

    def _compact(self) -> None:
        """Advance the virtual time; drop stale rows, and flows that neither wait nor owe anything.

        Dropping is rare enough to cost O(1) per call.
        """
        if not self.waiting:
            self.virtual = 0.0
            self.flows.clear()
            self.heap.clear()
            return
        self.virtual = max(self.virtual, self._first().tag)
        if len(self.flows) + len(self.heap) > self.compact_at:
            self.flows = {name: f for name, f in self.flows.items() if f.waiting or f.tag > self.virtual}
            self.heap = [(f.tag, f.head().seq, f.tenant) for f in self.flows.values() if f.waiting]
            heapq.heapify(self.heap)
            self.compact_at = 2 * (len(self.flows) + len(self.heap)) + 32
