"""The gate under any order of requests and events."""

import json
import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import (
    GateSettings,
    GateState,
    Grant,
    LearnedLimits,
    Mode,
    Purpose,
    Reason,
    Wait,
)

from .gate_support import next_deadline

REASONS = {*Reason, "insufficient-credits", "maintenance"}


class GateMachine(RuleBasedStateMachine):
    """Time passes, requests end in any way and any order, tasks end, and the gate is paused."""

    @initialize(
        limit=st.integers(1, 6),
        explore=st.booleans(),
        cap_prior=st.sampled_from([2, 5, 100]),
        has_knowledge=st.booleans(),
        mode=st.sampled_from(Mode),
        data=st.data(),
    )
    def begin(
        self, limit: int, explore: bool, cap_prior: int, has_knowledge: bool, mode: Mode, data: st.DataObject
    ) -> None:
        """Create a gate, new or with the knowledge of another one."""
        self.settings = GateSettings(limit=limit, explore=explore, cap_prior=cap_prior)
        knowledge = None
        if has_knowledge:
            knowledge = LearnedLimits(
                mode=mode,
                limit=data.draw(st.floats(0.1, 50)),
                rate_ceiling=data.draw(st.none() | st.floats(0.1, 50)),
                by_arrival=data.draw(st.booleans()),
                cap=data.draw(st.none() | st.integers(1, 9)),
                margin_s=data.draw(st.floats(0.001, 5)),
            )
        self.gate = Gate(self.settings, knowledge)
        self.now = 1000.0
        self.in_flight: dict[int, Grant] = {}
        self.stamps: list[float] = []  #: the earliest instants at which the counted requests were sent
        self.closed_until = -math.inf
        self.refusals = 0

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 1.0, 4.0, 12.0, 100.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule(times=st.integers(1, 8))
    def request(self, times: int) -> None:
        """Request grants until the gate answers with a wait."""
        for _ in range(times):
            self._request()

    @rule()
    def wait_until_deadline(self) -> None:
        """Sleep until the deadline: then there is a grant, or a later deadline."""
        deadline = next_deadline(self.gate, self.now)
        if deadline == math.inf:
            return
        assert deadline >= self.now
        self.now = deadline
        self._request()

    def _request(self) -> None:
        before = self.gate.statistics()
        expected = next_deadline(self.gate, self.now)
        decision = self.gate.request(self.now)
        if isinstance(decision, Wait):
            assert decision.until == expected
            assert decision.until > self.now
            assert decision.reason in REASONS
            # an infinite wait requires a request in flight, whose end is the event
            assert decision.until < math.inf or self.in_flight
            return
        assert expected == self.now
        assert self.now >= before.closed_until
        assert decision.at == self.now
        assert decision.number not in self.in_flight
        assert (decision.purpose is Purpose.PROBE) == (before.state is GateState.CLOSED)
        if decision.purpose is Purpose.PROBE:
            assert not self.in_flight
        self.in_flight[decision.number] = decision
        self._count(decision, before.limit, before.mode)

    def _count(self, grant: Grant, limit: float, mode: Mode) -> None:
        """No window contains more requests than the assumed limit, by the earliest possible stamps."""
        self.stamps.append(self.now)
        recent = sum(1 for stamp in self.stamps if stamp > self.now - self.settings.window_s)
        if not self.settings.explore:
            assert recent <= self.settings.limit
            assert grant.purpose is not Purpose.EXTRA or limit < self.settings.limit
        elif mode is Mode.WINDOW and grant.purpose is not Purpose.EXTRA:
            assert recent <= max(1, math.floor(limit))

    @precondition(lambda self: self.in_flight)
    @rule(
        data=st.data(),
        how=st.sampled_from(["accepted"] * 4 + ["refused"] * 2 + ["unanswered", "not_sent"]),
        retry_after=st.sampled_from([None, None, 0.0, 2.0, 7.0, 1e30, math.inf, math.nan, -5.0]),
        ends_all=st.booleans(),
    )
    def end(self, data: st.DataObject, how: str, retry_after: float | None, ends_all: bool) -> None:
        """End one request in flight, or all of them."""
        numbers = sorted(self.in_flight)
        for number in numbers if ends_all else [data.draw(st.sampled_from(numbers))]:
            ticket = self.in_flight.pop(number)
            if how == "accepted":
                self.gate.accepted(ticket, self.now)
            elif how == "refused":
                self.refusals += 1
                self.gate.refused(ticket, self.now, retry_after)
            elif how == "unanswered":
                self.gate.unanswered(ticket, self.now)
            else:
                self.stamps.remove(ticket.at)
                self.gate.not_sent(ticket, self.now)

    @rule(times=st.integers(1, 5))
    def finish(self, times: int) -> None:
        """End tasks, possibly more than the gate knows about."""
        for _ in range(times):
            self.gate.task_finished(self.now)

    @rule(n=st.integers(0, 8))
    def adopt(self, n: int) -> None:
        """Set the number of running tasks."""
        self.gate.set_running(n)

    @rule(on=st.booleans())
    def pace(self, on: bool) -> None:
        """Switch pacing on or off."""
        self.gate.pace(on)

    @rule(
        ahead=st.sampled_from([-5.0, 0.0, 3.0, 30.0]), reason=st.sampled_from(["insufficient-credits", "maintenance"])
    )
    def pause(self, ahead: float, reason: str) -> None:
        """Pause the gate; nothing is sent before the pause ends."""
        self.gate.pause(self.now + ahead, reason)
        assert self.gate.statistics().closed_until >= self.now + ahead
        assert next_deadline(self.gate, self.now) >= self.now + ahead

    @invariant()
    def closed_until_only_grows(self) -> None:
        """No event makes the gate open earlier than announced, and none closes it forever."""
        closed_until = self.gate.statistics().closed_until
        assert closed_until >= self.closed_until
        assert closed_until == self.closed_until or closed_until < self.now + 200
        self.closed_until = closed_until

    @invariant()
    def no_grant_is_forgotten(self) -> None:
        """The gate knows what is in flight and how often it was refused."""
        statistics = self.gate.statistics()
        assert statistics.in_flight == len(self.in_flight)
        assert statistics.refusals == self.refusals
        assert (statistics.reason is None) == (statistics.state is GateState.OPEN)

    @invariant()
    def exactly_one_probe(self) -> None:
        """While the gate probes one request is in flight, while it is closed none, while it drains some."""
        match self.gate.statistics().state:
            case GateState.PROBING:
                assert [ticket.purpose for ticket in self.in_flight.values()] == [Purpose.PROBE]
            case GateState.CLOSED:
                assert not self.in_flight
            case GateState.DRAINING:
                assert self.in_flight
            case GateState.OPEN:
                assert all(ticket.purpose is not Purpose.PROBE for ticket in self.in_flight.values())

    @invariant()
    def knowledge_survives_json(self) -> None:
        """What was learned survives JSON unchanged, and is within the settings."""
        knowledge = self.gate.knowledge()
        assert LearnedLimits.from_dict(json.loads(json.dumps(knowledge.to_dict()))) == knowledge
        assert self.settings.explore or knowledge.limit <= self.settings.limit
        restored = Gate(self.settings, knowledge).knowledge()
        assert restored == knowledge


GateMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_gate_under_any_order_of_events = GateMachine.TestCase
