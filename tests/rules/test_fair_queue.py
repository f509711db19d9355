"""Which job is sent next: order, shares, refusals and limits of the fair queue."""

import copy
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from veo_async._rules.queue.fair_queue import BATCH_EVERY, MAX_REMEMBERED_GRANTS, FairQueue, Priority
from veo_async.errors import QueueFull


def drain(queue: FairQueue[int]) -> list[int]:
    """Return all queued jobs in the order in which they would be granted; the queue itself is unchanged."""
    queue = copy.deepcopy(queue)
    order = []
    while (item := queue.pop()) is not None:
        order.append(item)
    return order


def fill(*flows: tuple[str, int]) -> FairQueue[int]:
    """Return a queue with jobs 0, 1, 2, … of the given tenants, one tenant after the other."""
    queue: FairQueue[int] = FairQueue()
    item = 0
    for tenant, count in flows:
        for _ in range(count):
            queue.push(item, tenant=tenant)
            item += 1
    return queue


def admit(queue: FairQueue[int], job: int, *, tenant: str = "", priority: Priority = "batch") -> None:
    """Queue a new job as the session does: only if the tenant's limit allows it."""
    queue.reserve(tenant)
    queue.release(tenant)
    queue.push(job, tenant=tenant, priority=priority)


def test_empty_queue_pops_none() -> None:
    """Popping an empty queue returns None, and its repr shows that it is empty."""
    queue: FairQueue[int] = FairQueue()
    assert queue.pop() is None
    assert len(queue) == 0
    assert repr(queue) == "<FairQueue interactive=0 batch=0 tenants=0>"


def test_jobs_of_one_tenant_keep_their_order() -> None:
    """Within a tenant and class the first job is granted first."""
    assert drain(fill(("a", 5))) == [0, 1, 2, 3, 4]


def test_first_job_that_fits_is_granted_before_its_turn() -> None:
    """The others of its tenant keep their order, and the tenants their shares."""
    queue = fill(("a", 3), ("b", 3))
    assert queue.pop_first(lambda job: job == 4) == 4
    order = drain(queue)
    assert [job for job in order if job < 3] == [0, 1, 2]
    assert [job for job in order if job >= 3] == [3, 5]
    assert set(order[:2]) == {0, 1}  # tenant b has had one


def test_next_job_is_granted_if_none_fits() -> None:
    """Nothing is skipped then; an empty queue grants nothing."""
    queue = fill(("a", 3))
    assert [queue.pop_first(lambda _: False) for _ in range(4)] == [0, 1, 2, None]


def test_fitting_job_far_behind_does_not_jump_the_queue() -> None:
    """Only the first hundred are searched."""
    queue = fill(("a", 200))
    assert queue.pop_first(lambda job: job == 150) == 0
    assert queue.pop_first(lambda job: job == 50) == 50


def test_small_tenant_does_not_wait_for_a_large_batch() -> None:
    """A single job next to a thousand of another tenant is granted second, not last."""
    queue = fill(("large", 1000))
    queue.pop()
    queue.push(5000, tenant="small")
    assert queue.position(5000) <= 1


def test_grants_are_shared_by_weight() -> None:
    """Tenants of weights 1, 2 and 4 get 10, 20 and 40 of 70 grants, plus or minus one."""
    queue = fill(("one", 100), ("two", 100), ("four", 100))
    queue.configure_tenant("two", weight=2)
    queue.configure_tenant("four", weight=4)
    granted = drain(queue)[:70]
    counts = [sum(low <= item < low + 100 for item in granted) for low in (0, 100, 200)]
    assert counts == pytest.approx([10, 20, 40], abs=1)


def test_idle_tenant_saves_nothing_up() -> None:
    """A tenant that was idle while others were granted shares evenly from now on and gets nothing for the past."""
    queue = fill(("a", 100))
    queue.push(1000, tenant="b")
    for _ in range(60):
        queue.pop()
    for item in range(2000, 2020):
        queue.push(item, tenant="b")
    assert sum(item >= 2000 for item in drain(queue)[:20]) == pytest.approx(10, abs=1)


def test_tenant_that_returns_immediately_still_owes_its_charge() -> None:
    """Emptying a flow does not cancel what it was just charged."""
    queue: FairQueue[int] = FairQueue()
    queue.configure_tenant("b", weight=0.02)
    queue.push(100, tenant="b")
    for item in range(3):
        queue.push(item, tenant="a")
    assert [queue.pop(), queue.pop()] == [100, 0]
    queue.push(101, tenant="b")
    assert drain(queue) == [1, 2, 101]


def test_interactive_jobs_are_first_and_batch_gets_every_tenth_grant() -> None:
    """A batch of any size advances by one job for nine interactive ones, and not by more."""
    queue: FairQueue[int] = FairQueue()
    for item in range(3):
        queue.push(item)
    for item in range(100, 130):
        queue.push(item, tenant="user", priority="interactive")
    assert queue.has_interactive
    order = drain(queue)
    assert [order.index(item) for item in range(3)] == [9, 19, 29]


def test_batch_alone_gets_every_grant() -> None:
    """The share of the batch class is a minimum, not a maximum."""
    queue = fill(("a", 25))
    assert not queue.has_interactive
    assert len(drain(queue)) == 25


def test_refused_job_regains_its_place() -> None:
    """Granting and returning jobs leaves the order unchanged, in whatever order the refusals arrive."""
    queue = fill(("a", 5), ("b", 5))
    before = drain(queue)
    granted = [item for item in (queue.pop() for _ in range(4)) if item is not None]
    for place in (2, 0, 3, 1):
        queue.push_front(granted[place])
    assert drain(queue) == before


def test_refused_last_job_of_a_forgotten_flow_is_refunded_once() -> None:
    """A flow that was idle and forgotten gets one grant back, and not more."""
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


def test_refused_interactive_job_does_not_count_towards_the_batch_share() -> None:
    """Grants that were not used do not bring the next batch grant closer."""
    queue: FairQueue[int] = FairQueue()
    queue.push(0)
    for item in range(100, 120):
        queue.push(item, priority="interactive")
    for _ in range(9):
        granted = queue.pop()
        assert granted is not None
        queue.push_front(granted)
    assert drain(queue).index(0) == 9


def test_refused_batch_job_is_next_again() -> None:
    """A refusal does not cost the batch its tenth grant."""
    queue: FairQueue[int] = FairQueue()
    queue.push(0)
    for item in range(100, 130):
        queue.push(item, priority="interactive")
    assert [queue.pop() for _ in range(10)][-1] == 0
    queue.push_front(0)
    assert queue.position(0) == 0


def test_refund_that_vanishes_in_a_large_tag_keeps_the_order() -> None:
    """If a tag is so large that a charge vanishes in it, age alone decides."""
    queue: FairQueue[int] = FairQueue()
    for tenant in "ab":
        queue.configure_tenant(tenant, weight=1e-18)
    for item in range(9):
        queue.push(item, tenant="a")
    queue.push(100, tenant="b")
    queue.push(101, tenant="b")
    assert [queue.pop() for _ in range(2)] == [0, 100]
    queue.configure_tenant("a", weight=1)
    assert [queue.pop() for _ in range(8)] == [*range(1, 9)]
    for item in range(1, 9):
        queue.push_front(item)
    assert drain(queue) == [*range(1, 9), 101]


def test_only_a_recent_grant_can_be_returned() -> None:
    """Unknown jobs, jobs returned twice and old grants raise KeyError."""
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


def test_push_forgets_the_earlier_grant() -> None:
    """A job that is queued again is last, and its earlier grant cannot be returned as well."""
    queue = fill(("a", 2))
    queue.pop()
    queue.push(0, tenant="a")
    assert drain(queue) == [1, 0]
    with pytest.raises(KeyError):
        queue.push_front(0)


def test_full_queue_names_tenant_and_remedy() -> None:
    """The limit of a tenant counts both classes; the error names tenant and remedy; others are unaffected."""
    queue: FairQueue[int] = FairQueue(max_queued=2)
    admit(queue, 0, tenant="a")
    admit(queue, 1, tenant="a", priority="interactive")
    with pytest.raises(QueueFull, match=r"'a' already has 2 queued jobs.*max_queued") as caught:
        admit(queue, 2, tenant="a")
    assert (caught.value.tenant, caught.value.limit) == ("a", 2)
    admit(queue, 3, tenant="b")
    assert sorted(drain(queue)) == [0, 1, 3]
    for item in (4, 5):
        admit(queue, item)
    with pytest.raises(QueueFull, match="default tenant"):
        admit(queue, 6)


def test_refused_job_returns_to_a_full_queue() -> None:
    """A job that was admitted once is not rejected later."""
    queue: FairQueue[int] = FairQueue(max_queued=1)
    queue.push(0)
    queue.pop()
    queue.push(1)
    queue.push_front(0)
    assert drain(queue) == [0, 1]


def test_limit_of_one_tenant_can_be_set() -> None:
    """`configure_tenant` changes only the given values, and they apply while none of the tenant's jobs is queued."""
    queue: FairQueue[int] = FairQueue()
    queue.configure_tenant("a", max_queued=1)
    queue.configure_tenant("a", weight=3)
    admit(queue, 0, tenant="a")
    queue.pop()
    admit(queue, 1, tenant="a")
    with pytest.raises(QueueFull):
        admit(queue, 2, tenant="a")


@pytest.mark.parametrize("nonsense", [0.0, -1.0, float("nan"), float("inf")])
def test_weight_must_be_a_positive_number(nonsense: float) -> None:
    """An invalid weight is rejected by name and changes nothing."""
    queue: FairQueue[int] = FairQueue()
    with pytest.raises(ValueError, match="weight"):
        queue.configure_tenant("a", weight=nonsense)
    assert not queue._tenants


def test_push_of_a_queued_job_raises() -> None:
    """A job can be queued only once at a time."""
    queue = fill(("a", 1))
    with pytest.raises(ValueError, match="queued already"):
        queue.push(0)


def test_older_job_of_another_tenant_is_ahead_when_both_are_due_together() -> None:
    """With twice the weight, the second job of the first tenant is due together with the first one of a newcomer."""
    queue: FairQueue[int] = FairQueue()
    queue.configure_tenant("a", weight=2.0)
    for item, tenant in enumerate("aaab"):
        queue.push(item, tenant=tenant)
    assert queue.position(3) == 2
    assert drain(queue) == [0, 1, 3, 2]


def test_removed_job_is_skipped() -> None:
    """A removed job is never granted; removing heads, middles and the last one keeps the order of the others."""
    queue = fill(("a", 4), ("b", 2))
    for item in (0, 2, 5):
        queue.remove(item)
    assert 0 not in queue
    assert 1 in queue
    assert queue.position(4) == 1
    assert drain(queue) == [1, 4, 3]
    with pytest.raises(KeyError):
        queue.remove(0)


def test_tenants_without_queued_jobs_are_forgotten() -> None:
    """Two thousand one-off tenants next to a long batch leave nothing behind and do not starve it."""
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


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 25)), min_size=2, max_size=4), st.integers(0, 30))
def test_backlogged_tenants_get_their_shares_over_any_stretch(tenants: list[tuple[int, int]], start: int) -> None:
    """|S_i / w_i - S_j / w_j| <= 1 / w_i + 1 / w_j over any stretch in which both have queued jobs."""
    queue: FairQueue[tuple[int, int]] = FairQueue()
    joined: set[int] = set()
    left = [60] * len(tenants)
    since: dict[tuple[int, int], float] = {}  # S_i / w_i - S_j / w_j while both are queued, from step `start` on
    for step in range(120):
        for tenant, (weight, join) in enumerate(tenants):
            if join == step:
                queue.configure_tenant(str(tenant), weight=weight)
                for index in range(60):
                    queue.push((tenant, index), tenant=str(tenant))
                joined.add(tenant)
        granted = queue.pop()
        if granted is None:
            continue
        tenant, _ = granted
        left[tenant] -= 1
        charge = 1 / tenants[tenant][0]
        pairs = [(i, j) for i in joined for j in joined if i < j and step >= start and left[i] and left[j]]
        since = {pair: since.get(pair, 0.0) for pair in pairs}
        for i, j in pairs:
            since[i, j] += charge * ((tenant == i) - (tenant == j))
            assert abs(since[i, j]) <= 1 / tenants[i][0] + 1 / tenants[j][0] + 1e-9


class Queueing(RuleBasedStateMachine):
    """Any mixture of pushes, grants, refusals, removals and holds, compared with plain sets of jobs."""

    @initialize(bound=st.one_of(st.none(), st.integers(1, 6)))
    def open(self, bound: int | None) -> None:
        self.queue: FairQueue[int] = FairQueue(max_queued=bound)
        self.bound = bound
        self.next = 0
        self.where: dict[int, tuple[str, str]] = {}
        self.waiting: set[int] = set()
        self.on_hold: set[int] = set()
        self.residues_on_hold: set[int] = set()
        self.granted: list[int] = []
        self.batch_waited = 0

    def enqueued(self, item: int) -> None:
        """Note where a job is that was pushed, or pushed back."""
        (self.on_hold if item % 5 in self.residues_on_hold else self.waiting).add(item)

    @rule(
        tenant=st.sampled_from("abc"),
        priority=st.sampled_from(["interactive", "batch"]),
        count=st.integers(1, 12),
    )
    def push(self, tenant: str, priority: Priority, count: int) -> None:
        for _ in range(count):
            queued = sum(self.where[item][0] == tenant for item in self.waiting | self.on_hold)
            try:
                admit(self.queue, self.next, tenant=tenant, priority=priority)
            except QueueFull:
                assert self.bound is not None
                assert queued >= self.bound
                return
            assert self.bound is None or queued < self.bound
            self.where[self.next] = tenant, priority
            self.enqueued(self.next)
            self.next += 1

    @rule(count=st.integers(1, 15))
    def pop(self, count: int) -> None:
        for _ in range(count):
            head = self.queue.head()
            item = self.queue.pop()
            assert item is head
            if item is None:
                assert not self.waiting
                return
            self.waiting.remove(item)  # KeyError: unknown, or granted twice
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
        self.enqueued(item)
        self.batch_waited = 0

    @precondition(lambda self: self.waiting or self.on_hold)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.waiting | self.on_hold)))
        self.queue.remove(item)
        self.waiting.discard(item)
        self.on_hold.discard(item)

    @rule(residue=st.integers(0, 4))
    def hold(self, residue: int) -> None:
        """As a session does: each overcharge adds a model to those on hold."""
        self.residues_on_hold.add(residue)
        moved = set(self.queue.hold(lambda item: item % 5 in self.residues_on_hold))
        assert moved == {item for item in self.waiting if item % 5 == residue}
        self.waiting -= moved
        self.on_hold |= moved

    @rule(tenant=st.sampled_from("abc"), weight=st.sampled_from([0.25, 1.0, 4.0]))
    def set_weight(self, tenant: str, weight: float) -> None:
        self.queue.configure_tenant(tenant, weight=weight)

    @invariant()
    def every_job_is_granted_once_at_its_position(self) -> None:
        if not hasattr(self, "queue"):
            return
        order = drain(self.queue)
        assert len(order) == len(self.queue) == len(self.waiting)
        assert set(order) == self.waiting
        assert self.queue.on_hold == self.on_hold
        assert all(item in self.queue for item in self.on_hold)
        assert dict(self.queue.positions()) == {item: place for place, item in enumerate(order)}
        for place, item in list(enumerate(order))[:: max(1, len(order) // 8)]:
            assert self.queue.position(item) == place
        flows: dict[tuple[str, str], list[int]] = {}
        for item in order:
            flows.setdefault(self.where[item], []).append(item)
        assert all(a < b for flow in flows.values() for a, b in pairwise(flow))
        assert self.queue.tenants == len({self.where[item][0] for item in self.waiting})


TestQueueing = Queueing.TestCase
TestQueueing.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_confirmed_grant_cannot_be_returned() -> None:
    """So the queue does not keep a job that was accepted; confirming twice does no harm."""
    queue = fill(("a", 2))
    assert (queue.pop(), queue.pop()) == (0, 1)
    queue.confirm(0)
    queue.confirm(0)
    with pytest.raises(KeyError):
        queue.push_front(0)
    queue.push_front(1)
    assert drain(queue) == [1]


def test_iteration_survives_removal() -> None:
    """Iterating yields each queued job once, and jobs may be removed during the iteration."""
    queue: FairQueue[int] = FairQueue()
    for number in range(3):
        queue.push(number, tenant=str(number))
    for number in queue:
        queue.remove(number)
    assert not list(queue)


def test_is_interactive_next_predicts_pop() -> None:
    """The queue knows whether an interactive job would be granted, including the batch's share."""
    queue: FairQueue[str] = FairQueue()
    assert not queue.is_interactive_next
    queue.push("batch", priority="batch")
    for number in range(BATCH_EVERY):
        queue.push(f"person {number}", priority="interactive")
    predicted: list[bool] = []
    granted: list[bool] = []
    while queue:
        predicted.append(queue.is_interactive_next)
        granted.append(str(queue.pop()).startswith("person"))
    assert predicted == granted
    assert granted.index(False) == BATCH_EVERY - 1


def test_reserved_place_counts_until_it_is_released() -> None:
    """A job that is being inserted needs its place: two jobs cannot reserve the same one."""
    queue: FairQueue[int] = FairQueue(max_queued=2)
    queue.push(1, tenant="a")
    queue.reserve("a")
    with pytest.raises(QueueFull):
        queue.reserve("a")
    queue.reserve("b")
    queue.release("a")
    queue.push(3, tenant="a")
    assert drain(queue) == [1, 3]


def test_tenant_with_a_reserved_place_is_not_forgotten() -> None:
    """Its only job is granted while another one is being inserted."""
    queue: FairQueue[int] = FairQueue()
    queue.push(1, tenant="a")
    queue.reserve("a")
    assert queue.pop() == 1
    queue.release("a")
    queue.push(2, tenant="a")
    assert queue.pop() == 2


def test_push_ignores_the_limit() -> None:
    """A job of an earlier run was admitted then and is queued again."""
    queue: FairQueue[int] = FairQueue(max_queued=1)
    queue.push(1)
    queue.push(2)
    assert len(queue) == 2
    with pytest.raises(QueueFull):
        queue.reserve("")


def is_odd(job: int) -> bool:
    return job % 2 == 1


def test_jobs_on_hold_are_passed_over() -> None:
    """Only the others are in the queue, and they keep their order and positions."""
    queue = fill(("a", 4), ("b", 4))
    assert sorted(queue.hold(is_odd)) == [1, 3, 5, 7]
    assert sorted(queue.on_hold) == [1, 3, 5, 7]
    assert len(queue) == len(list(queue)) == 4
    assert drain(queue) == [0, 4, 2, 6]
    assert [queue.position(job) for job in (0, 4, 2, 6)] == [0, 1, 2, 3]
    with pytest.raises(KeyError):
        queue.position(1)


def test_job_on_hold_at_the_head_does_not_block_the_queue() -> None:
    """Neither within a tenant nor as the last one of it: the tenant is not counted any more."""
    queue: FairQueue[int] = FairQueue()
    queue.push(1, tenant="a", priority="interactive")
    queue.push(2, tenant="b")
    queue.hold(is_odd)
    assert (queue.head(), queue.tenants, queue.has_interactive) == (2, 1, False)
    assert queue.pop() == 2
    assert queue.pop() is None
    assert 1 in queue


def test_job_that_is_pushed_after_the_hold_is_put_on_hold() -> None:
    queue: FairQueue[int] = FairQueue()
    queue.hold(is_odd)
    queue.push(1)
    queue.push(2)
    assert list(queue.on_hold) == [1]
    assert drain(queue) == [2]
    with pytest.raises(ValueError, match="queued already"):
        queue.push(1)


def test_refused_job_is_put_on_hold_and_its_tenant_refunded() -> None:
    """Its request was on its way when its model was put on hold: its tenant has paid nothing."""
    queue = fill(("a", 2), ("b", 2))
    assert queue.pop() == 0
    queue.hold(lambda job: job == 0)
    queue.push_front(0)
    assert list(queue.on_hold) == [0]
    assert drain(queue)[0] == 1


def test_job_on_hold_can_be_removed() -> None:
    queue = fill(("a", 2))
    queue.hold(is_odd)
    queue.remove(1)
    assert not queue.on_hold
    assert 1 not in queue
    with pytest.raises(KeyError):
        queue.remove(1)
    queue.push(3, tenant="b")
    assert list(queue.on_hold) == [3]


def test_second_hold_keeps_the_jobs_on_hold() -> None:
    """It decides about the queued jobs and those that come."""
    queue = fill(("", 4))
    queue.hold(lambda job: job == 0)
    assert queue.hold(lambda job: job == 1) == [1]
    assert sorted(queue.on_hold) == [0, 1]
    assert drain(queue) == [2, 3]


def test_jobs_on_hold_count_for_the_limit_of_their_tenant() -> None:
    """Otherwise a tenant could submit any number of them."""
    queue: FairQueue[int] = FairQueue(max_queued=1)
    admit(queue, 1, tenant="a")
    queue.hold(is_odd)
    with pytest.raises(QueueFull):
        queue.reserve("a")
    admit(queue, 2, tenant="b")
    queue.remove(1)
    admit(queue, 4, tenant="a")
