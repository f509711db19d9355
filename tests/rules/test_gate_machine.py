"""The gate under any order of questions and answers."""

import json
import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from veo_async._rules.gate.gate import (
    Gate,
    GateSettings,
    GateState,
    Grant,
    LearnedLimits,
    Mode,
    Purpose,
    Reason,
    Wait,
)

REASONS = {*Reason, "insufficient-credits", "maintenance"}


class GateMachine(RuleBasedStateMachine):
    """Time passes, calls end in any way and any order, tasks finish, somebody pauses."""

    @initialize(
        limit=st.integers(1, 6),
        explore=st.booleans(),
        cap_prior=st.sampled_from([2, 5, 100]),
        recalls=st.booleans(),
        mode=st.sampled_from(Mode),
        data=st.data(),
    )
    def begin(self, limit: int, explore: bool, cap_prior: int, recalls: bool, mode: Mode, data: st.DataObject) -> None:
        """A gate, new or with the knowledge of another one."""
        self.settings = GateSettings(limit=limit, explore=explore, cap_prior=cap_prior)
        knowledge = None
        if recalls:
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
        self.under_way: dict[int, Grant] = {}
        self.stamps: list[float] = []  #: earliest instants at which the calls that may count were made
        self.closed_until = -math.inf
        self.refusals = 0

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 1.0, 4.0, 12.0, 100.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(times=st.integers(1, 8))
    def ask(self, times: int) -> None:
        """Ask for calls, until told to wait."""
        for _ in range(times):
            self._ask()

    @rule()
    def wait_as_told(self) -> None:
        """Sleep until the deadline: then there is a grant, or a later deadline."""
        deadline = self.gate.next_deadline(self.now)
        if deadline == math.inf:
            return
        assert deadline >= self.now
        self.now = deadline
        self._ask()

    def _ask(self) -> None:
        before = self.gate.statistics()
        promised = self.gate.next_deadline(self.now)
        answer = self.gate.request(self.now)
        if isinstance(answer, Wait):
            assert answer.until == promised
            assert answer.until > self.now
            assert answer.reason in REASONS
            # what only an event can change has a call under way that will bring it
            assert answer.until < math.inf or self.under_way
            return
        assert promised == self.now
        assert self.now >= before.closed_until
        assert answer.at == self.now
        assert answer.number not in self.under_way
        assert (answer.purpose is Purpose.PROBE) == (before.state is GateState.CLOSED)
        if answer.purpose is Purpose.PROBE:
            assert not self.under_way
        self.under_way[answer.number] = answer
        self._count(answer, before.limit, before.mode)

    def _count(self, grant: Grant, limit: float, mode: Mode) -> None:
        """No window holds more calls than believed to be allowed, by the gate's own earliest stamps."""
        self.stamps.append(self.now)
        recent = sum(1 for stamp in self.stamps if stamp > self.now - self.settings.window_s)
        if not self.settings.explore:
            assert recent <= self.settings.limit
            assert grant.purpose is not Purpose.EXTRA or limit < self.settings.limit
        elif mode is Mode.WINDOW and grant.purpose is not Purpose.EXTRA:
            assert recent <= max(1, math.floor(limit))

    @precondition(lambda self: self.under_way)
    @rule(
        data=st.data(),
        how=st.sampled_from(["accepted"] * 4 + ["refused"] * 2 + ["lost", "not_sent"]),
        retry_after=st.sampled_from([None, None, 0.0, 2.0, 7.0, 1e30, math.inf, math.nan, -5.0]),
        all_of_them=st.booleans(),
    )
    def end(self, data: st.DataObject, how: str, retry_after: float | None, all_of_them: bool) -> None:
        """One call under way ends, or all of them do."""
        numbers = sorted(self.under_way)
        for number in numbers if all_of_them else [data.draw(st.sampled_from(numbers))]:
            ticket = self.under_way.pop(number)
            if how == "accepted":
                self.gate.accepted(ticket, self.now)
            elif how == "refused":
                self.refusals += 1
                self.gate.refused(ticket, self.now, retry_after)
            elif how == "lost":
                self.gate.unanswered(ticket, self.now)
            else:
                self.stamps.remove(ticket.at)
                self.gate.not_sent(ticket, self.now)

    @rule(times=st.integers(1, 5))
    def finish(self, times: int) -> None:
        """Tasks end, perhaps more than the gate knows of."""
        for _ in range(times):
            self.gate.task_finished(self.now)

    @rule(n=st.integers(0, 8))
    def adopt(self, n: int) -> None:
        """The number of running tasks is set from outside."""
        self.gate.set_running(n)

    @rule(on=st.booleans())
    def pace(self, on: bool) -> None:
        """Somebody interactive comes or goes."""
        self.gate.pace(on)

    @rule(
        ahead=st.sampled_from([-5.0, 0.0, 3.0, 30.0]), reason=st.sampled_from(["insufficient-credits", "maintenance"])
    )
    def pause(self, ahead: float, reason: str) -> None:
        """Something outside closes the gate; nothing leaves before the end of it."""
        self.gate.pause(self.now + ahead, reason)
        assert self.gate.statistics().closed_until >= self.now + ahead
        assert self.gate.next_deadline(self.now) >= self.now + ahead

    @invariant()
    def the_closing_only_moves_forward(self) -> None:
        """Nobody can make the gate open earlier than was said before, and nothing makes it close for ever."""
        closed_until = self.gate.statistics().closed_until
        assert closed_until >= self.closed_until
        assert closed_until == self.closed_until or closed_until < self.now + 200
        self.closed_until = closed_until

    @invariant()
    def no_ticket_is_forgotten(self) -> None:
        """The gate knows what is under way and how often it was refused."""
        statistics = self.gate.statistics()
        assert statistics.in_flight == len(self.under_way)
        assert statistics.refusals == self.refusals
        assert (statistics.reason is None) == (statistics.state is GateState.OPEN)

    @invariant()
    def exactly_one_probe(self) -> None:
        """While the gate probes one call is under way, while it is closed none, while it drains some."""
        match self.gate.statistics().state:
            case GateState.PROBING:
                assert [ticket.purpose for ticket in self.under_way.values()] == [Purpose.PROBE]
            case GateState.CLOSED:
                assert not self.under_way
            case GateState.DRAINING:
                assert self.under_way
            case GateState.OPEN:
                assert all(ticket.purpose is not Purpose.PROBE for ticket in self.under_way.values())

    @invariant()
    def knowledge_survives_being_kept(self) -> None:
        """What was learned goes through JSON and comes back the same, and makes sense."""
        knowledge = self.gate.knowledge()
        assert LearnedLimits.from_dict(json.loads(json.dumps(knowledge.to_dict()))) == knowledge
        assert self.settings.explore or knowledge.limit <= self.settings.limit
        recalled = Gate(self.settings, knowledge).knowledge()
        assert recalled == knowledge


GateMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_gate_under_any_order_of_events = GateMachine.TestCase
