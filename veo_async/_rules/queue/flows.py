"""The flows inside one class of the fair queue: start tags, charges and whose turn it is.

The theory is told in `fairness`, which is the only user. Costs: adding and granting O(log n); dropping O(1),
since an entry is only marked, skipped when its turn comes and swept out when most of its flow is such;
rank O(n log n), since charges may differ from job to job.
"""

import heapq
from collections.abc import Callable, Hashable, Iterator
from itertools import takewhile
from typing import Generic, Literal, TypeVar

import attrs

T = TypeVar("T", bound=Hashable)
Priority = Literal["interactive", "batch"]

#: How far behind the next in turn a newcomer starts, in turns of its own.
NEWCOMER_DELAY = 0.5


@attrs.define(eq=False, weakref_slot=False)
class QueueItem(Generic[T]):
    """One job that waits, or that was granted not long ago."""

    seq: int  #: order of arrival over the whole queue
    item: T
    tenant: str
    priority: Priority
    cost: float  #: already divided by the job's own weight
    charge: float = 0.0  #: what its flow paid when it was granted
    is_removed: bool = False

    def __lt__(self, other: "QueueItem[T]") -> bool:
        return self.seq < other.seq


@attrs.define(eq=False)
class Flow(Generic[T]):
    """What one tenant has waiting in one class."""

    tenant: str
    tag: float  #: start tag of its head, or of the next job to come if nothing waits
    entries: list[QueueItem[T]] = attrs.field(factory=list)  #: a heap by age
    waiting: int = 0

    def head(self) -> QueueItem[T]:
        """The oldest job that still waits; there must be one."""
        while self.entries[0].is_removed:
            heapq.heappop(self.entries)
        return self.entries[0]

    def remove(self, entry: QueueItem[T]) -> bool:
        """Take *entry* out; whether the flow has another head now."""
        has_new_head = self.head() is entry and self.waiting > 1
        entry.is_removed = True
        self.waiting -= 1
        if len(self.entries) > 2 * self.waiting:
            self.entries = [kept for kept in self.entries if not kept.is_removed]
            heapq.heapify(self.entries)
        return has_new_head

    def tagged(self, weight: float) -> Iterator[tuple[float, int]]:
        """Start tag and age of its jobs, in the order in which they will go."""
        tag = self.tag
        for entry in sorted(entry for entry in self.entries if not entry.is_removed):
            yield tag, entry.seq
            tag += entry.cost / weight


@attrs.define(eq=False)
class FlowClass(Generic[T]):
    """The flows of one class. A row of the heap is outdated when its flow's tag or head has changed since."""

    virtual: float = 0.0
    waiting: int = 0
    flows: dict[str, Flow[T]] = attrs.field(factory=dict)
    heap: list[tuple[float, int, str]] = attrs.field(factory=list)
    compact_at: int = 32  #: flows and rows held before the next sweep

    def add(self, entry: QueueItem[T], weight: float) -> None:
        """Queue *entry*; if it was granted before, its flow gets back what it paid."""
        flow = self.flows.get(entry.tenant)
        if flow is None:
            flow = self.flows[entry.tenant] = Flow(entry.tenant, self.virtual)
        if not flow.waiting:
            is_newcomer = self.waiting and not entry.charge
            behind = NEWCOMER_DELAY * entry.cost / weight if is_newcomer else 0.0
            flow.tag = max(flow.tag, self.virtual + behind)
        flow.tag -= entry.charge
        heapq.heappush(flow.entries, entry)
        flow.waiting += 1
        self.waiting += 1
        if flow.waiting == 1 or entry.charge:
            self._offer(flow)
        entry.charge = 0.0

    def grant(self, weight: Callable[[str], float]) -> QueueItem[T]:
        """Take the job whose turn it is, and charge its flow; there must be one."""
        flow = self._first()
        heapq.heappop(self.heap)
        entry = heapq.heappop(flow.entries)
        entry.charge = entry.cost / weight(entry.tenant)
        flow.tag += entry.charge
        flow.waiting -= 1
        self.waiting -= 1
        if flow.waiting:
            self._offer(flow)
        self._tidy()
        return entry

    def remove(self, entry: QueueItem[T]) -> None:
        """Take a waiting *entry* out of the order."""
        flow = self.flows[entry.tenant]
        if flow.remove(entry):
            self._offer(flow)
        self.waiting -= 1
        self._tidy()

    def rank(self, entry: QueueItem[T], weight: Callable[[str], float]) -> int:
        """How many of this class go before *entry*."""
        own = self.flows[entry.tenant].tagged(weight(entry.tenant))
        mine = next(at for at in own if at[1] == entry.seq)
        flows = (flow.tagged(weight(flow.tenant)) for flow in self.flows.values() if flow.waiting)
        return sum(sum(1 for _ in takewhile(mine.__gt__, tagged)) for tagged in flows)

    def _offer(self, flow: Flow[T]) -> None:
        heapq.heappush(self.heap, (flow.tag, flow.head().seq, flow.tenant))

    def _first(self) -> Flow[T]:
        while True:
            tag, seq, tenant = self.heap[0]
            flow = self.flows.get(tenant)
            if flow is not None and flow.waiting and flow.tag == tag and flow.head().seq == seq:
                return flow
            heapq.heappop(self.heap)

    def _tidy(self) -> None:
        """Move the virtual time on, and forget flows that neither wait nor owe and rows that are outdated.

        The sweep comes seldom enough to cost O(1) a call.
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
