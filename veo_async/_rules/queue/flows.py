"""The flows inside one class of the fair queue: start tags, charges, and which job is next.

`fair_queue`, the only user, describes the theory. Costs: adding and granting O(log n); removing O(1), because an item
is only marked, then skipped, and dropped when most of its flow is marked; rank O(n log n).
"""

import heapq
from collections.abc import Callable, Hashable, Iterator
from itertools import takewhile
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
    is_removed: bool = False

    def __lt__(self, other: "QueueItem[T]") -> bool:
        return self.seq < other.seq


@attrs.define(eq=False)
class Flow(Generic[T]):
    """The queued jobs of one tenant in one class."""

    tenant: str
    tag: float  #: start tag of its head, or of the next job if none is queued
    items: list[QueueItem[T]] = attrs.field(factory=list)  #: a heap by age
    waiting: int = 0

    def head(self) -> QueueItem[T]:
        """Return the oldest queued job; there must be one."""
        while self.items[0].is_removed:
            heapq.heappop(self.items)
        return self.items[0]

    def remove(self, item: QueueItem[T]) -> bool:
        """Remove *item*; return whether the flow has another head now."""
        has_new_head = self.head() is item and self.waiting > 1
        item.is_removed = True
        self.waiting -= 1
        if len(self.items) > 2 * self.waiting:
            self.items = [kept for kept in self.items if not kept.is_removed]
            heapq.heapify(self.items)
        return has_new_head

    def tagged(self, weight: float) -> Iterator[tuple[float, int]]:
        """Yield the start tag and the age of its jobs, in the order in which they will be granted."""
        tag = self.tag
        for item in sorted(item for item in self.items if not item.is_removed):
            yield tag, item.seq
            tag += 1 / weight


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
        heapq.heappush(flow.items, item)
        flow.waiting += 1
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
        item = heapq.heappop(flow.items)
        item.charge = 1 / weight(item.tenant)
        flow.tag += item.charge
        flow.waiting -= 1
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
        own = self.flows[item.tenant].tagged(weight(item.tenant))
        position = next(at for at in own if at[1] == item.seq)
        flows = (flow.tagged(weight(flow.tenant)) for flow in self.flows.values() if flow.waiting)
        return sum(sum(1 for _ in takewhile(position.__gt__, tagged)) for tagged in flows)

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
