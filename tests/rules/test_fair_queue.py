"""Whose job is sent next: order, shares, refusals and bounds of the fair queue."""

import copy
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from veo_async._rules.queue.fair_queue import BATCH_EVERY, MAX_REMEMBERED_GRANTS, FairQueue, Priority
from veo_async.errors import QueueFull


def drain(queue: FairQueue[int]) -> list[int]:
    """Everything that waits, in the order in which it would be granted; the queue itself is left alone."""
    queue = copy.deepcopy(queue)
    order = []
    while (item := queue.pop()) is not None:
        order.append(item)
    return order


def fill(*flows: tuple[str, int]) -> FairQueue[int]:
    """A queue with jobs 0, 1, 2, … of the given tenants, one tenant after the other."""
    queue: FairQueue[int] = FairQueue()
    item = 0
    for tenant, count in flows:
        for _ in range(count):
            queue.push(item, tenant=tenant)
            item += 1
    return queue


def test_an_empty_queue_has_nothing_to_give() -> None:
    """Popping an empty queue answers None, and it says so of itself."""
    queue: FairQueue[int] = FairQueue()
    assert queue.pop() is None
    assert len(queue) == 0
    assert repr(queue) == "<FairQueue interactive=0 batch=0 tenants=0>"


def test_one_tenant_goes_in_order_of_arrival() -> None:
    """Within a tenant and class, first come is first served."""
    assert drain(fill(("a", 5))) == [0, 1, 2, 3, 4]


def test_a_late_small_tenant_does_not_wait_for_a_large_batch() -> None:
    """One job beside a thousand of another tenant goes second, not last."""
    queue = fill(("large", 1000))
    queue.pop()
    queue.push(5000, tenant="small")
    assert queue.position(5000) <= 1


def test_weights_share_the_grants() -> None:
    """Tenants of weights 1, 2 and 4 get 10, 20 and 40 of 70 grants, give or take one."""
    queue = fill(("one", 100), ("two", 100), ("four", 100))
    queue.configure_tenant("two", weight=2)
    queue.configure_tenant("four", weight=4)
    granted = drain(queue)[:70]
    counts = [sum(low <= item < low + 100 for item in granted) for low in (0, 100, 200)]
    assert counts == pytest.approx([10, 20, 40], abs=1)


def test_dear_jobs_count_for_more() -> None:
    """A tenant whose jobs cost three times as much gets a third of the grants."""
    queue = fill(("cheap", 60))
    for item in range(100, 160):
        queue.push(item, tenant="dear", cost=3.0)
    assert sum(item >= 100 for item in drain(queue)[:40]) == pytest.approx(10, abs=1)


def test_weight_of_a_job_multiplies_the_tenants() -> None:
    """A job of weight 2 is charged half of what it would be otherwise."""
    queue = fill(("a", 40))
    for item in range(100, 140):
        queue.push(item, tenant="b", weight=2.0)
    assert sum(item >= 100 for item in drain(queue)[:30]) == pytest.approx(20, abs=1)


def test_an_idle_tenant_saves_nothing_up() -> None:
    """Who was away while others were served shares evenly from now on and claims nothing for the past."""
    queue = fill(("a", 100))
    queue.push(1000, tenant="b")
    for _ in range(60):
        queue.pop()
    for item in range(2000, 2020):
        queue.push(item, tenant="b")
    assert sum(item >= 2000 for item in drain(queue)[:20]) == pytest.approx(10, abs=1)


def test_who_leaves_and_returns_at_once_still_owes() -> None:
    """Emptying one's flow does not wipe out what it was just charged for."""
    queue: FairQueue[int] = FairQueue()
    queue.push(100, tenant="b", cost=50.0)
    for item in range(3):
        queue.push(item, tenant="a")
    assert [queue.pop(), queue.pop()] == [100, 0]
    queue.push(101, tenant="b")
    assert drain(queue) == [1, 2, 101]


def test_interactive_goes_first_and_batch_gets_every_tenth() -> None:
    """A batch of any size moves by one job for nine of the interactive class, and not more."""
    queue: FairQueue[int] = FairQueue()
    for item in range(3):
        queue.push(item)
    for item in range(100, 130):
        queue.push(item, tenant="user", priority="interactive")
    assert queue.has_interactive
    order = drain(queue)
    assert [order.index(item) for item in range(3)] == [9, 19, 29]


def test_a_batch_alone_uses_every_grant() -> None:
    """The share of the batch class is a floor, not a ceiling."""
    queue = fill(("a", 25))
    assert not queue.has_interactive
    assert len(drain(queue)) == 25


def test_a_refused_job_regains_its_place() -> None:
    """Granting and taking back leaves the order as it was, in whatever order refusals arrive."""
    queue = fill(("a", 5), ("b", 5))
    before = drain(queue)
    granted = [item for item in (queue.pop() for _ in range(4)) if item is not None]
    for place in (2, 0, 3, 1):
        queue.push_front(granted[place])
    assert drain(queue) == before


def test_a_refusal_of_a_tenants_last_job_owes_it_one_turn() -> None:
    """A flow that had gone idle and was forgotten is given back one turn, and no more than one."""
    queue = fill(("a", 1))
    assert queue.pop() == 0
    for item in range(10, 20):
        queue.push(item, tenant="b")
    for _ in range(5):
        queue.pop()
    queue.push_front(0)
    for item in range(30, 35):
        queue.push(item, tenant="a")
    order = drain(queue)
    assert order[0] == 0
    assert sum(item >= 30 for item in order[1:7]) == 3


def test_a_refusal_of_interactive_work_does_not_hurry_the_batch() -> None:
    """Turns that were not used do not count towards the batch's tenth."""
    queue: FairQueue[int] = FairQueue()
    queue.push(0)
    for item in range(100, 120):
        queue.push(item, priority="interactive")
    for _ in range(9):
        granted = queue.pop()
        assert granted is not None
        queue.push_front(granted)
    assert drain(queue).index(0) == 9


def test_a_refused_batch_job_keeps_its_turn() -> None:
    """The batch's tenth is not lost to a refusal."""
    queue: FairQueue[int] = FairQueue()
    queue.push(0)
    for item in range(100, 130):
        queue.push(item, priority="interactive")
    assert [queue.pop() for _ in range(10)][-1] == 0
    queue.push_front(0)
    assert queue.position(0) == 0


def test_charges_too_small_to_be_felt_are_given_back_all_the_same() -> None:
    """When a tag is so large that a charge vanishes in it, age alone decides and nothing breaks."""
    queue: FairQueue[int] = FairQueue()
    queue.push(0, tenant="a", cost=1e18)
    for item in range(1, 9):
        queue.push(item, tenant="a")
    queue.push(100, tenant="b", cost=1e18)
    queue.push(101, tenant="b")
    assert [queue.pop() for _ in range(10)] == [0, 100, *range(1, 9)]
    for item in range(1, 9):
        queue.push_front(item)
    assert drain(queue) == [*range(1, 9), 101]


def test_only_a_recent_grant_can_be_taken_back() -> None:
    """Strangers, jobs taken back twice and grants of long ago are refused."""
    queue = fill(("a", MAX_REMEMBERED_GRANTS + 2))
    with pytest.raises(KeyError):
        queue.push_front(0)
    for _ in range(MAX_REMEMBERED_GRANTS + 1):
        queue.pop()
    with pytest.raises(KeyError):
        queue.push_front(0)
    queue.push_front(1)
    with pytest.raises(KeyError):
        queue.push_front(1)


def test_a_new_push_forgets_the_old_grant() -> None:
    """A job that is queued anew goes to the end, and its earlier grant cannot be taken back as well."""
    queue = fill(("a", 2))
    queue.pop()
    queue.push(0, tenant="a")
    assert drain(queue) == [1, 0]
    with pytest.raises(KeyError):
        queue.push_front(0)


def test_full_queue_says_whose_and_what_to_do() -> None:
    """A tenant's bound counts both classes, names the tenant and the remedy, and leaves others alone."""
    queue: FairQueue[object] = FairQueue(max_queued=2)
    queue.push(0, tenant="a")
    queue.push(1, tenant="a", priority="interactive")
    with pytest.raises(QueueFull, match=r"'a' already has 2 jobs waiting.*max_queued") as caught:
        queue.push(2, tenant="a")
    assert (caught.value.tenant, caught.value.limit) == ("a", 2)
    queue.push(3, tenant="b")
    assert sorted(drain(queue)) == [0, 1, 3]
    for _ in range(2):
        queue.push(object(), tenant="")
    with pytest.raises(QueueFull, match="default tenant"):
        queue.push(object(), tenant="")


def test_a_refused_job_returns_to_a_full_queue() -> None:
    """What was admitted once is not turned away later."""
    queue: FairQueue[int] = FairQueue(max_queued=1)
    queue.push(0)
    queue.pop()
    queue.push(1)
    queue.push_front(0)
    assert drain(queue) == [0, 1]


def test_a_bound_can_be_set_for_one_tenant() -> None:
    """`configure_tenant` changes only what it is given, and holds while nothing of the tenant waits."""
    queue: FairQueue[int] = FairQueue()
    queue.configure_tenant("a", max_queued=1)
    queue.configure_tenant("a", weight=3)
    queue.push(0, tenant="a")
    queue.pop()
    queue.push(1, tenant="a")
    with pytest.raises(QueueFull):
        queue.push(2, tenant="a")


@pytest.mark.parametrize("nonsense", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_and_costs_are_positive_numbers(nonsense: float) -> None:
    """Nonsense is refused by name, and nothing is queued."""
    queue: FairQueue[int] = FairQueue()
    with pytest.raises(ValueError, match="cost"):
        queue.push(0, cost=nonsense)
    with pytest.raises(ValueError, match="weight"):
        queue.push(0, weight=nonsense)
    with pytest.raises(ValueError, match="weight"):
        queue.configure_tenant("a", weight=nonsense)
    assert not queue


def test_nothing_waits_twice() -> None:
    """Pushing what waits already is a mistake that is told."""
    queue = fill(("a", 1))
    with pytest.raises(ValueError, match="waiting already"):
        queue.push(0)


def test_removing_a_job_moves_those_behind_it_up() -> None:
    """A removed job is never granted; removing heads, middles and the last one leaves the rest in order."""
    queue = fill(("a", 4), ("b", 2))
    for item in (0, 2, 5):
        queue.remove(item)
    assert 0 not in queue
    assert 1 in queue
    assert queue.position(4) == 1
    assert drain(queue) == [1, 4, 3]
    with pytest.raises(KeyError):
        queue.remove(0)


def test_tenants_are_forgotten_when_nothing_of_them_waits() -> None:
    """Two thousand one-off tenants beside a long batch leave nothing behind, and do not starve it either."""
    queue = fill(("batch", 3000))
    granted: list[int | None] = []
    for item in range(10_000, 12_000):
        queue.push(item, tenant=f"user{item}")
        if item % 2:
            queue.remove(item)
        else:
            granted.append(queue.pop())
    assert len(queue._tenants) == queue.tenants == 1 + sum(item >= 10_000 for item in drain(queue))
    assert len(queue._batch.flows) < 200
    assert sum(item is not None and item < 10_000 for item in granted) >= 30  # as many as users wait by then
    assert len(queue._batch.heap) < 200


tenants_of = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 25), st.lists(st.integers(1, 5), min_size=60, max_size=60)),
    min_size=2,
    max_size=4,
)


@given(tenants_of, st.integers(0, 30))
def test_backlogged_tenants_get_their_shares_over_any_stretch(
    tenants: list[tuple[int, int, list[int]]], start: int
) -> None:
    """|S_i / w_i - S_j / w_j| <= c_i / w_i + c_j / w_j over any stretch in which both of them wait."""
    queue: FairQueue[tuple[int, int]] = FairQueue()
    joined: set[int] = set()
    left = [60] * len(tenants)
    allowed = [max(costs) / weight for weight, _, costs in tenants]
    since: dict[tuple[int, int], float] = {}  # S_i / w_i - S_j / w_j while both wait, from step `start` on
    for step in range(120):
        for tenant, (weight, join, costs) in enumerate(tenants):
            if join == step:
                queue.configure_tenant(str(tenant), weight=weight)
                for index, cost in enumerate(costs):
                    queue.push((tenant, index), tenant=str(tenant), cost=cost)
                joined.add(tenant)
        granted = queue.pop()
        if granted is None:
            continue
        tenant, index = granted
        left[tenant] -= 1
        served = tenants[tenant][2][index] / tenants[tenant][0]
        pairs = [(i, j) for i in joined for j in joined if i < j and step >= start and left[i] and left[j]]
        since = {pair: since.get(pair, 0.0) for pair in pairs}
        for i, j in pairs:
            since[i, j] += served * ((tenant == i) - (tenant == j))
            assert abs(since[i, j]) <= allowed[i] + allowed[j] + 1e-9


class Queueing(RuleBasedStateMachine):
    """Any mixture of pushes, grants, refusals and removals, against a plain book of who waits."""

    @initialize(bound=st.one_of(st.none(), st.integers(1, 6)))
    def open(self, bound: int | None) -> None:
        self.queue: FairQueue[int] = FairQueue(max_queued=bound)
        self.bound = bound
        self.next = 0
        self.where: dict[int, tuple[str, str]] = {}
        self.waiting: set[int] = set()
        self.granted: list[int] = []
        self.batch_waited = 0

    @rule(
        tenant=st.sampled_from("abc"),
        priority=st.sampled_from(["interactive", "batch"]),
        weight=st.sampled_from([0.5, 1.0, 3.0]),
        cost=st.sampled_from([1.0, 2.5]),
        count=st.integers(1, 12),
    )
    def push(self, tenant: str, priority: Priority, weight: float, cost: float, count: int) -> None:
        for _ in range(count):
            held = sum(self.where[item][0] == tenant for item in self.waiting)
            try:
                self.queue.push(self.next, tenant=tenant, priority=priority, weight=weight, cost=cost)
            except QueueFull:
                assert self.bound is not None
                assert held >= self.bound
                return
            assert self.bound is None or held < self.bound
            self.where[self.next] = tenant, priority
            self.waiting.add(self.next)
            self.next += 1

    @rule(count=st.integers(1, 15))
    def pop(self, count: int) -> None:
        for _ in range(count):
            item = self.queue.pop()
            if item is None:
                assert not self.waiting
                return
            self.waiting.remove(item)  # KeyError: lost its way, or granted twice
            self.granted.append(item)
            older = {other for other in self.waiting if other < item and self.where[other] == self.where[item]}
            assert not older
            batch_waits = any(self.where[other][1] == "batch" for other in self.waiting)
            self.batch_waited = self.batch_waited + 1 if batch_waits and self.where[item][1] != "batch" else 0
            assert self.batch_waited < BATCH_EVERY

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.granted))
        self.granted.remove(item)
        self.queue.push_front(item)
        self.waiting.add(item)
        self.batch_waited = 0

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.waiting)))
        self.queue.remove(item)
        self.waiting.remove(item)

    @rule(tenant=st.sampled_from("abc"), weight=st.sampled_from([0.25, 1.0, 4.0]))
    def set_weight(self, tenant: str, weight: float) -> None:
        self.queue.configure_tenant(tenant, weight=weight)

    @invariant()
    def nobody_is_lost_and_everybody_knows_their_place(self) -> None:
        if not hasattr(self, "queue"):
            return
        order = drain(self.queue)
        assert len(order) == len(self.queue) == len(self.waiting)
        assert set(order) == self.waiting
        for place, item in list(enumerate(order))[:: max(1, len(order) // 8)]:
            assert self.queue.position(item) == place
        flows: dict[tuple[str, str], list[int]] = {}
        for item in order:
            flows.setdefault(self.where[item], []).append(item)
        assert all(a < b for flow in flows.values() for a, b in pairwise(flow))
        assert self.queue.tenants == len({self.where[item][0] for item in self.waiting})


TestQueueing = Queueing.TestCase
TestQueueing.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_whoever_waits_can_be_told() -> None:
    """Going over the queue shows each job that waits, once, and a job may leave meanwhile."""
    queue: FairQueue[int] = FairQueue()
    for number in range(3):
        queue.push(number, tenant=str(number))
    for number in queue:
        queue.remove(number)
    assert not list(queue)


def test_who_is_next_is_known_beforehand() -> None:
    """The queue tells whether an interactive job would be granted, the turns that batch work is owed included."""
    queue: FairQueue[str] = FairQueue()
    assert not queue.is_interactive_next
    queue.push("batch", priority="batch")
    for number in range(BATCH_EVERY):
        queue.push(f"person {number}", priority="interactive")
    told: list[bool] = []
    granted: list[bool] = []
    while queue:
        told.append(queue.is_interactive_next)
        granted.append(str(queue.pop()).startswith("person"))
    assert told == granted
    assert granted.index(False) == BATCH_EVERY - 1


def test_reserved_room_counts_until_it_is_given_back() -> None:
    """A job that is being written down is about to come: two cannot be promised one place."""
    queue: FairQueue[int] = FairQueue(max_queued=2)
    queue.push(1, tenant="a")
    queue.reserve("a")
    with pytest.raises(QueueFull):
        queue.reserve("a")
    with pytest.raises(QueueFull):
        queue.push(2, tenant="a")
    queue.reserve("b")
    queue.release("a")
    queue.push(3, tenant="a", check_limit=False)
    assert drain(queue) == [1, 3]


def test_a_tenant_with_reserved_room_is_not_forgotten() -> None:
    """Its only job leaves while another is being written down."""
    queue: FairQueue[int] = FairQueue()
    queue.push(1, tenant="a")
    queue.reserve("a")
    assert queue.pop() == 1
    queue.release("a")
    queue.push(2, tenant="a")
    assert queue.pop() == 2


def test_a_job_from_an_earlier_run_is_let_in_however_full() -> None:
    """It was let in once; that holds."""
    queue: FairQueue[int] = FairQueue(max_queued=1)
    queue.push(1)
    queue.push(2, check_limit=False)
    assert len(queue) == 2
    with pytest.raises(QueueFull):
        queue.push(3)
