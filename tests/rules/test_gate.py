"""The gate, event by event: every way a request can end, in every state of the gate."""

import json
import math
from collections import deque
from typing import Any

import pytest

from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.traffic import ASSUME_ARRIVED_S
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

ROUND_TRIP_S = 0.3


def assert_wait(wait: Wait, until: float, reason: Reason) -> None:
    """Assert that the wait lasts until about *until*, for *reason*."""
    assert wait.until == pytest.approx(until)
    assert wait.reason == reason


class Player:
    """A caller with a clock, whose requests take `ROUND_TRIP_S`."""

    def __init__(self, knowledge: LearnedLimits | None = None, **settings: Any) -> None:
        self.gate = Gate(GateSettings(**settings), knowledge)
        self.now = 100.0

    @property
    def state(self) -> GateState:
        return self.gate.statistics().state

    def expect_grant(self) -> Grant:
        """Request, and expect a grant."""
        decision = self.gate.request(self.now)
        assert isinstance(decision, Grant), decision
        return decision

    def expect_wait(self) -> Wait:
        """Request, and expect to have to wait."""
        decision = self.gate.request(self.now)
        assert isinstance(decision, Wait), decision
        return decision

    def accept(self, times: int = 1) -> None:
        """Send *times* requests, one after the other; each is accepted."""
        for _ in range(times):
            self.sleep_until_granted()
            ticket = self.expect_grant()
            self.now += ROUND_TRIP_S
            self.gate.accepted(ticket, self.now)

    def refuse(self, retry_after: float | None = None) -> None:
        """Send one request; it is refused."""
        ticket = self.expect_grant()
        self.now += 0.1
        self.gate.refused(ticket, self.now, retry_after)

    def sleep_until_granted(self) -> None:
        """Let time pass until a request would be granted."""
        while (deadline := next_deadline(self.gate, self.now)) > self.now:
            assert deadline < math.inf
            self.now = deadline

    def expect_grant_later(self) -> Grant:
        """Let time pass until a request is granted."""
        self.sleep_until_granted()
        return self.expect_grant()

    def fail_probes(self, times: int) -> None:
        """Send *times* probes; each is refused."""
        for _ in range(times):
            self.sleep_until_granted()
            assert self.state is GateState.CLOSED
            self.refuse()


def test_requests_up_to_the_limit_are_sent_without_delay() -> None:
    """Twenty requests are sent without delay, the next when the first is older than the window and the margin."""
    player = Player(explore=False)
    player.accept(20)
    assert player.now == pytest.approx(100 + 20 * ROUND_TRIP_S)
    wait = player.expect_wait()
    assert wait.reason == Reason.WINDOW
    assert wait.until == pytest.approx(110.06)
    player.now = wait.until
    assert player.expect_grant().purpose is Purpose.ROUTINE


def test_requests_in_flight_are_few_at_first_and_grow_with_acceptances() -> None:
    """Four are in flight until the first is accepted; each accepted one makes room for two."""
    player = Player()
    tickets = [player.expect_grant() for _ in range(4)]
    assert player.expect_wait() == Wait(player.now + ASSUME_ARRIVED_S, Reason.PARALLEL)
    player.now += ROUND_TRIP_S
    player.gate.accepted(tickets[0], player.now)
    assert [player.expect_grant().purpose for _ in range(2)] == [Purpose.ROUTINE] * 2
    assert player.expect_wait().reason == Reason.PARALLEL


def test_delayed_request_is_counted_from_its_late_arrival() -> None:
    """A request that was delayed for two seconds is counted two seconds after it was sent."""
    player = Player(limit=2, explore=False)
    player.accept()
    ticket = player.expect_grant()
    player.now += 2 + ROUND_TRIP_S
    player.gate.accepted(ticket, player.now)
    assert player.expect_wait().until == pytest.approx(110.06)
    player.now = 110.06
    player.expect_grant()
    assert player.expect_wait().until == pytest.approx(ticket.at + 2 + 10.06)


def test_grant_returned_twice_raises() -> None:
    """Returning a grant a second time is an error and changes nothing."""
    player = Player()
    ticket = player.expect_grant()
    player.gate.accepted(ticket, player.now)
    before = player.gate.statistics()
    for end in (player.gate.accepted, player.gate.unanswered, player.gate.not_sent):
        with pytest.raises(ValueError, match="already returned"):
            end(ticket, player.now)
    with pytest.raises(ValueError, match="already returned"):
        player.gate.refused(ticket, player.now, None)
    assert player.gate.statistics() == before


def test_unsent_request_takes_no_place() -> None:
    """A request that was not sent takes no place in the window, and the pace allows another immediately."""
    player = Player(limit=1, explore=False)
    player.gate.pace(True)
    player.gate.not_sent(player.expect_grant(), player.now)
    assert player.expect_grant().at == player.now


def test_older_unsent_request_does_not_reset_the_pace() -> None:
    """Only the latest request can be replaced immediately."""
    player = Player()
    player.gate.pace(True)
    first = player.expect_grant()
    player.now += 1
    player.expect_grant()
    player.gate.not_sent(first, player.now)
    assert player.expect_wait().reason == Reason.PACE


def test_request_without_response_is_counted() -> None:
    """It may have been counted, so it takes a place in the window from that moment on."""
    player = Player(limit=1, explore=False)
    ticket = player.expect_grant()
    player.now += 30
    player.gate.unanswered(ticket, player.now)
    assert player.gate.statistics().running == 0
    assert player.expect_wait() == Wait(player.now + 10.06, Reason.WINDOW)


def test_refusal_closes_the_gate_until_a_probe_is_accepted() -> None:
    """Nothing is sent while requests are in flight; then one probe is sent, and nothing else until its response."""
    player = Player()
    first, second = player.expect_grant(), player.expect_grant()
    player.gate.refused(first, player.now, None)
    assert player.state is GateState.DRAINING
    assert player.expect_wait() == Wait(math.inf, Reason.RATE_LIMITED)
    player.now += ROUND_TRIP_S
    player.gate.accepted(second, player.now)
    assert player.state is GateState.CLOSED
    wait = player.expect_wait()
    assert wait == Wait(player.now + 0.5, Reason.RATE_LIMITED)
    player.now = wait.until
    probe = player.expect_grant()
    assert probe.purpose is Purpose.PROBE
    assert player.expect_wait() == Wait(math.inf, Reason.PROBING)
    player.gate.accepted(probe, player.now + ROUND_TRIP_S)
    assert player.state is GateState.OPEN
    assert player.gate.statistics().reason is None


def test_refusals_of_one_burst_are_one_closure() -> None:
    """Four refusals together close the gate once, and are learned from once."""
    player = Player()
    tickets = [player.expect_grant() for _ in range(4)]
    for ticket in tickets:
        player.gate.refused(ticket, player.now, None)
    statistics = player.gate.statistics()
    assert (statistics.refusals, statistics.closures, statistics.state) == (4, 1, GateState.CLOSED)


def test_probe_delays_grow() -> None:
    """Half a second, one and a half, a window, then ever longer; all of that is one closure."""
    player = Player()
    player.refuse()
    waits = []
    for _ in range(9):
        start = player.now
        player.sleep_until_granted()
        waits.append(player.now - start)
        player.refuse()
    assert waits == pytest.approx([0.5, 1.5, 10, 10, 10, 13.9, 25.1, 25.1, 25.1], abs=0.2)
    assert player.gate.statistics().closures == 1


@pytest.mark.parametrize(
    ("retry_after", "waited"),
    [(7, 7.02), (1, 1.02), (1000000, 120.02), (1e30, 120.02), (math.inf, 120.02)],
)
def test_retry_after_is_followed_within_bounds(retry_after: float, waited: float) -> None:
    """The probe is sent when the server asked for it, but at the latest after two minutes."""
    player = Player()
    player.refuse(retry_after)
    assert player.expect_wait().until == pytest.approx(player.now + waited)


@pytest.mark.parametrize("retry_after", [None, 0, 0.5, -5, math.nan, -math.inf])
def test_invalid_retry_after_is_ignored(retry_after: float | None) -> None:
    """Less than a second, negative or not a number: treated as if the header were absent."""
    player = Player()
    player.refuse(retry_after)
    assert player.expect_wait().until == pytest.approx(player.now + 0.5)


def test_longest_of_several_retry_after_values_applies() -> None:
    """Requests of one burst may get different values."""
    player = Player()
    tickets = [player.expect_grant() for _ in range(3)]
    for ticket, retry_after in zip(tickets, (3.0, 9.0, 2.0), strict=True):
        player.gate.refused(ticket, player.now, retry_after)
    assert player.expect_wait().until == pytest.approx(player.now + 9.02)


def test_wrong_retry_after_is_not_followed_forever() -> None:
    """From the second failure on the later of Retry-After and our own delay applies."""
    player = Player()
    player.refuse(1.0)
    waits = []
    for _ in range(6):
        start = player.now
        player.sleep_until_granted()
        waits.append(player.now - start)
        player.refuse(1.0)
    assert waits[0] == pytest.approx(1.02)
    assert all(wait >= 1 for wait in waits)
    assert waits[-1] > 7


def test_one_closure_with_retry_after_changes_no_limit() -> None:
    """A refusal whose end the server announced proves nothing about the limit, once."""
    player = Player()
    player.refuse(4.0)
    player.accept()
    statistics = player.gate.statistics()
    assert (statistics.mode, statistics.limit) == (Mode.WINDOW, 20)


def test_probe_without_response_or_unsent_is_repeated() -> None:
    """It neither opens the gate nor counts as a failure: the gate is closed again, and another probe follows."""
    player = Player()
    player.refuse()
    player.sleep_until_granted()
    player.gate.not_sent(player.expect_grant(), player.now)
    assert player.state is GateState.CLOSED
    probe = player.expect_grant()
    player.gate.unanswered(probe, player.now)
    assert player.state is GateState.CLOSED
    assert player.expect_wait().until == pytest.approx(player.now + 0.5)
    player.now += 0.5
    assert player.expect_grant().purpose is Purpose.PROBE


def test_requests_that_end_while_draining_do_not_open_the_gate() -> None:
    """Accepted, unanswered and unsent requests are only counted; the last of them closes the gate."""
    player = Player()
    tickets = [player.expect_grant() for _ in range(4)]
    player.gate.refused(tickets[0], player.now, None)
    player.gate.accepted(tickets[1], player.now)
    player.gate.unanswered(tickets[2], player.now)
    assert player.state is GateState.DRAINING
    player.gate.not_sent(tickets[3], player.now)
    assert player.state is GateState.CLOSED


def test_pause_closes_until_its_end_then_sends_one_probe() -> None:
    """A pause has its own reason, ends automatically, and is followed by a single request first."""
    player = Player()
    in_flight = player.expect_grant()
    player.gate.pause(160.0, "insufficient-credits")
    assert player.state is GateState.DRAINING
    assert player.gate.statistics().reason == "insufficient-credits"
    assert player.expect_wait() == Wait(160.0, "insufficient-credits")
    player.gate.accepted(in_flight, player.now)
    player.now = 160.0
    probe = player.expect_grant()
    assert probe.purpose is Purpose.PROBE
    assert player.expect_wait().until == math.inf
    player.gate.accepted(probe, player.now)
    assert player.state is GateState.OPEN
    assert player.gate.statistics().limit == 20


def test_pauses_merge_and_cannot_be_withdrawn() -> None:
    """The latest end applies, with its reason."""
    player = Player()
    player.gate.pause(160.0, "maintenance")
    player.gate.pause(130.0, "insufficient-credits")
    assert player.expect_wait() == Wait(160.0, "maintenance")
    player.gate.pause(170.0, "insufficient-credits")
    assert player.expect_wait() == Wait(170.0, "insufficient-credits")
    player.gate.pause(-math.inf, "nothing")
    assert player.gate.statistics().closed_until == 170.0


def test_pause_during_a_probe_requires_another_probe() -> None:
    """The response to the probe is used, but the gate stays closed until the pause ends."""
    player = Player()
    player.refuse()
    player.sleep_until_granted()
    probe = player.expect_grant()
    player.gate.pause(player.now + 50, "maintenance")
    assert player.state is GateState.PROBING
    player.gate.accepted(probe, player.now + ROUND_TRIP_S)
    assert player.state is GateState.CLOSED
    assert player.expect_wait().reason == "maintenance"
    player.now += 50
    assert player.expect_grant().purpose is Purpose.PROBE


def test_pause_longer_than_a_closure_applies() -> None:
    """A closure and a pause together end when both have ended."""
    player = Player()
    player.refuse()
    player.gate.pause(player.now + 50, "maintenance")
    assert player.expect_wait().until == player.now + 50
    assert player.gate.statistics().reason == Reason.RATE_LIMITED


def test_paced_requests_are_a_gap_apart() -> None:
    """With pacing on, twenty requests are spread over a window; with pacing off, they are not."""
    player = Player(explore=False)
    player.gate.pace(True)
    player.gate.accepted(player.expect_grant(), player.now)
    wait = player.expect_wait()
    assert_wait(wait, player.now + 10.06 / 20, Reason.PACE)
    player.now = wait.until
    player.expect_grant()
    player.gate.pace(False)
    player.now += 10.06 / 20
    player.expect_grant()
    player.expect_grant()


def test_full_window_allows_one_extra_request() -> None:
    """If the request beyond the limit is accepted, the limit is higher, and another extra one may follow."""
    player = Player(limit=3)
    player.accept(3)
    extra = player.expect_grant()
    assert extra.purpose is Purpose.EXTRA
    assert player.expect_wait().reason == Reason.WINDOW
    player.now += ROUND_TRIP_S
    player.gate.accepted(extra, player.now)
    assert player.gate.statistics().limit == 4
    assert player.expect_grant().purpose is Purpose.EXTRA


def test_no_extra_request_is_sent_while_a_higher_limit_would_not_help() -> None:
    """The caller knows whether it could use one; it may change its mind."""
    player = Player(limit=4)
    player.accept(4)
    player.gate.explore(False)
    assert player.expect_wait().reason == Reason.WINDOW
    player.gate.explore(True)
    assert player.expect_grant().purpose is Purpose.EXTRA


def test_refused_extra_request_keeps_the_limit_and_is_retried_later() -> None:
    """The next try comes a minute later, the one after that two minutes later."""
    player = Player(limit=3)
    player.accept(3)
    player.refuse()
    assert player.gate.statistics().limit == 3
    player.sleep_until_granted()
    assert player.now == pytest.approx(110.36)
    tried_at = player.now
    extras: list[float] = []
    while len(extras) < 2:
        player.sleep_until_granted()
        ticket = player.expect_grant()
        player.now += ROUND_TRIP_S
        if ticket.purpose is Purpose.EXTRA:
            extras.append(ticket.at)
            player.gate.refused(ticket, player.now, None)
        else:
            player.gate.accepted(ticket, player.now)
    assert extras[0] - tried_at == pytest.approx(60, abs=10)
    assert extras[1] - extras[0] == pytest.approx(120, abs=10)


def test_unanswered_extra_request_is_not_repeated_immediately() -> None:
    """It proved nothing, but the window is full nevertheless."""
    player = Player(limit=3)
    player.accept(3)
    player.gate.unanswered(player.expect_grant(), player.now)
    assert player.expect_wait().reason == Reason.WINDOW
    assert player.gate.statistics().limit == 3


def test_extra_request_that_is_due_long_after_a_burst_follows_the_next_one() -> None:
    """If it were refused earlier, its place would lag behind those of the burst from then on."""
    player = Player(limit=3, explore_again_s=2.0)
    player.accept(3)
    player.gate.unanswered(player.expect_grant(), player.now)
    player.now += 2.0
    assert player.expect_wait() == Wait(pytest.approx(110.36), Reason.WINDOW)
    player.accept(3)
    assert player.now < 112.0
    assert player.expect_grant().purpose is Purpose.EXTRA


def test_extra_request_that_is_due_between_evenly_spread_requests_is_sent_a_window_later() -> None:
    """The window always has room soon, so there is no better moment."""
    player = Player(explore_again_s=2.0)
    for number in range(20):
        player.now = 100 + 0.5 * number
        player.accept()
    player.gate.unanswered(player.expect_grant(), player.now)
    due_at = player.now + 2.0
    while (ticket := player.expect_grant_later()).purpose is not Purpose.EXTRA:
        player.now += ROUND_TRIP_S
        player.gate.accepted(ticket, player.now)
    assert due_at + 10 <= ticket.at <= due_at + 11


def test_refusal_at_the_edge_widens_the_margin() -> None:
    """A refusal with just enough room by our count means that the margin was too small."""
    player = Player(explore=False)
    player.accept(20)
    player.sleep_until_granted()
    player.refuse()
    assert player.gate.statistics().margin_s == pytest.approx(0.1)
    assert player.gate.statistics().limit == 20


def test_repeated_edge_refusals_lower_the_limit_then_start_pacing() -> None:
    """The second within four windows lowers the limit by one, the third ends counting by the window."""
    player = Player(explore=False, limit=5)
    seen = []
    for calls in (5, 5, 4):
        player.accept(calls)
        player.sleep_until_granted()
        player.refuse()
        seen.append((player.gate.statistics().limit, player.gate.statistics().mode))
    assert seen[:2] == [(5, Mode.WINDOW), (4, Mode.WINDOW)]
    assert seen[2][1] is Mode.PACED


def test_small_burst_starts_pacing() -> None:
    """Refused after five, accepted half a second later: from then on one request every half second."""
    player = Player()
    player.accept(5)
    player.refuse()
    player.accept()
    statistics = player.gate.statistics()
    assert statistics.mode is Mode.PACED
    assert statistics.limit == pytest.approx(19.4)
    start = player.now
    player.accept(5)
    assert player.now - start == pytest.approx(5 * 10 / 19.4, abs=0.6)


def test_strict_spacing_is_kept_by_arrival_one_at_a_time() -> None:
    """Refused after the first: requests arrive a gap apart, and never two are in flight."""
    player = Player()
    player.accept()
    player.refuse()
    player.accept()
    assert player.gate.knowledge().by_arrival
    player.sleep_until_granted()
    ticket = player.expect_grant()
    assert player.expect_wait() == Wait(player.now + ASSUME_ARRIVED_S, Reason.PARALLEL)
    player.now += ROUND_TRIP_S + 0.2
    player.gate.accepted(ticket, player.now)
    assert player.expect_wait().until == pytest.approx(ticket.at + 0.2 + 0.5, abs=0.02)


def test_lower_limit_is_the_measured_count() -> None:
    """Refused after eight until the window was empty: eight is the limit, in bursts as before."""
    player = Player()
    player.accept(8)
    player.refuse()
    player.fail_probes(2)
    player.accept()
    statistics = player.gate.statistics()
    assert (statistics.mode, statistics.limit) == (Mode.WINDOW, 8)


def test_lowered_limit_is_raised_to_the_documented_one_without_exploring() -> None:
    """The cause may pass; then the documented limit is used again, and not exceeded."""
    player = Player(explore=False, limit=4)
    player.accept(2)
    player.refuse()
    player.fail_probes(2)
    player.accept()
    assert player.gate.statistics().limit == 2
    player.now += 30
    for _ in range(8):
        player.accept()
    assert player.gate.statistics().limit == 4


def find_cap(running: int = 5) -> Player:
    """Return a player whose gate has found a cap of *running* tasks."""
    player = Player(cap_prior=running)
    player.accept(running)
    player.refuse()
    player.fail_probes(1)
    assert player.gate.statistics().cap == running
    assert player.state is GateState.OPEN
    return player


def test_cap_near_the_documented_one_is_found_by_two_refusals() -> None:
    """Then a request waits for a task to end, or for the next try beyond the cap."""
    player = find_cap()
    wait = player.expect_wait()
    assert_wait(wait, player.now + 20, Reason.CAP)
    player.gate.task_finished(player.now)
    ticket = player.expect_grant()
    assert ticket.purpose is Purpose.ROUTINE
    assert player.expect_wait() == Wait(math.inf, Reason.CAP)


def test_first_refusal_at_the_cap_lowers_it_and_the_second_closes_the_gate() -> None:
    """The first lowers the cap to the running tasks; a second one in a row is not explained by the cap."""
    player = find_cap()
    player.gate.task_finished(player.now)
    player.refuse()
    assert player.state is GateState.OPEN
    assert player.gate.statistics().cap == 4
    player.now += 0.1
    player.gate.task_finished(player.now)
    player.refuse()
    assert player.state is GateState.CLOSED


def test_raised_cap_is_found() -> None:
    """Now and then one request exceeds the cap: if accepted, the cap follows; if refused, the next try comes later."""
    player = find_cap()
    player.now += 20
    over = player.expect_grant()
    assert over.purpose is Purpose.OVER_CAP
    player.gate.accepted(over, player.now)
    assert player.gate.statistics().cap == 6
    over = player.expect_grant()
    player.gate.refused(over, player.now, None)
    assert player.state is GateState.OPEN
    assert_wait(player.expect_wait(), player.now + 40, Reason.CAP)


def test_unanswered_request_beyond_the_cap_is_not_repeated_immediately() -> None:
    """It proved nothing."""
    player = find_cap()
    player.now += 20
    player.gate.unanswered(player.expect_grant(), player.now)
    assert_wait(player.expect_wait(), player.now + 20, Reason.CAP)


def test_probe_does_not_exceed_the_cap() -> None:
    """While the cap is full even a probe waits for a task to end."""
    player = find_cap()
    player.gate.pause(player.now + 1, "maintenance")
    player.now += 1
    assert player.expect_wait().reason == Reason.CAP
    player.gate.task_finished(player.now)
    assert player.expect_grant().purpose is Purpose.PROBE


def test_undocumented_cap_is_found_when_a_task_ends() -> None:
    """Nothing was accepted for longer than a window until a task ended: the cap is the number that were running."""
    player = Player()
    player.accept(8)
    player.refuse()
    player.fail_probes(4)
    assert player.expect_wait().until > player.now + 1
    player.now += 1
    player.gate.task_finished(player.now)
    player.accept()
    assert player.gate.statistics().cap == 8
    assert player.gate.statistics().limit == 20


def test_ended_task_advances_a_late_probe() -> None:
    """But not before the counted requests are out of the window."""
    player = Player()
    player.accept(8)
    player.refuse()
    player.fail_probes(6)
    scheduled = player.expect_wait().until
    player.now += 2
    player.gate.task_finished(player.now)
    assert next_deadline(player.gate, player.now) < scheduled


def test_number_of_running_tasks_can_be_set() -> None:
    """After a restart tasks run that the gate has not seen; a negative number is treated as zero."""
    player = find_cap()
    player.gate.set_running(3)
    assert player.gate.statistics().running == 3
    player.expect_grant()
    player.gate.set_running(-1)
    player.gate.task_finished(player.now)
    assert player.gate.statistics().running == 0


def test_knowledge_survives_json() -> None:
    """Knowledge consists of plain values, and unknown keys of a newer version are ignored."""
    knowledge = LearnedLimits(mode=Mode.PACED, limit=7.5, rate_ceiling=7.7, by_arrival=True, cap=40, margin_s=0.1)
    plain = json.loads(json.dumps(knowledge.to_dict()))
    assert LearnedLimits.from_dict({**plain, "colour": "red"}) == knowledge
    assert Gate(GateSettings(), knowledge).knowledge() == knowledge


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": math.nan},
        {"limit": "many"},
        {"margin_s": math.inf},
        {"mode": "fast"},
        {"cap": -1},
        {"rate_ceiling": -2.0},
    ],
)
def test_invalid_knowledge_is_rejected(wrong: dict[str, Any]) -> None:
    """A stored value that was edited or truncated must not reach the gate."""
    plain = {**LearnedLimits(limit=20, margin_s=0.06).to_dict(), **wrong}
    with pytest.raises((ValueError, TypeError)):
        LearnedLimits.from_dict(plain)
    del plain["limit"]
    with pytest.raises((KeyError, TypeError, ValueError)):
        LearnedLimits.from_dict(plain)


def test_restored_knowledge_is_bounded_by_the_settings() -> None:
    """Without exploration a higher limit is ignored; a paced rate is held at first; a cap applies."""
    high = LearnedLimits(limit=80, margin_s=3.0, cap=2)
    player = Player(high, explore=False)
    statistics = player.gate.statistics()
    assert (statistics.limit, statistics.margin_s, statistics.cap) == (20, 1.0, 2)
    player.accept(2)
    assert player.expect_wait().reason == Reason.CAP

    paced = Player(LearnedLimits(mode=Mode.PACED, limit=10, rate_ceiling=10.3, margin_s=0.06))
    paced.accept(5)
    assert paced.gate.statistics().limit == 10
    assert paced.now - 100 == pytest.approx(4 + ROUND_TRIP_S)


def test_restored_limit_is_not_explored_immediately() -> None:
    """A new session of a known account does not begin with a refusal."""
    player = Player(LearnedLimits(limit=3, margin_s=0.06), limit=3)
    player.accept(3)
    assert player.expect_wait().reason == Reason.WINDOW


def test_restored_higher_limit_is_unproven() -> None:
    """If the account is back at the documented limit, one refusal is enough to detect it."""
    player = Player(LearnedLimits(limit=40, margin_s=0.06))
    player.accept(20)
    player.refuse()
    assert player.gate.statistics().limit == 20


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"window_s": 0.0}, {"window_s": math.inf}, {"cap_prior": 0}, {"margin_s": -1.0}]
)
def test_invalid_settings_are_rejected(wrong: dict[str, Any]) -> None:
    """A limit of zero or an infinite window would never grant anything."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GateSettings(**wrong)


def test_raising_a_lower_limit_never_exceeds_the_documented_one() -> None:
    """Without exploration extra requests need room in the documented window, whatever was restored."""
    player = Player(LearnedLimits(limit=0.5, margin_s=0.06), limit=1, explore=False)
    player.accept()
    player.now += 100
    player.accept()
    assert player.expect_wait().reason == Reason.WINDOW
    assert next_deadline(player.gate, player.now) == pytest.approx(player.now - ROUND_TRIP_S + 10.06)


def test_slow_responses_do_not_reduce_the_rate() -> None:
    """A provider that takes a minute to respond is used at two thirds of the documented rate, not at a sixth."""
    player = Player()
    sent: deque[Grant] = deque()
    granted: list[float] = []
    while player.now < 100.0 + 600:
        decision = player.gate.request(player.now)
        if isinstance(decision, Grant):
            sent.append(decision)
            granted.append(player.now)
            continue
        response_at = sent[0].at + 60 if sent else math.inf
        if response_at <= decision.until:
            player.now = response_at
            player.gate.accepted(sent.popleft(), player.now)
        else:
            player.now = decision.until
    late = [at for at in granted if at > 100.0 + 300]
    assert len(late) / 300 >= 20 / 15.2
    assert all(sum(at - 10 < other <= at for other in granted) <= 20 for at in late)


@pytest.mark.parametrize(("latency_s", "at_least", "at_most"), [(0.25, 250, 500), (0.005, 5, 16)])
def test_requests_in_flight_follow_from_the_rate_and_the_latency(latency_s: float, at_least: int, at_most: int) -> None:
    """A thousand requests per second are kept at any latency, after a start with four in flight."""
    player = Player(limit=1000, window_s=1.0, explore=False)
    sent: deque[Grant] = deque()
    granted: list[float] = []
    max_in_flight = 0
    while player.now < 100.0 + 10:
        decision = player.gate.request(player.now)
        if isinstance(decision, Grant):
            sent.append(decision)
            granted.append(player.now)
            max_in_flight = max(max_in_flight, len(sent))
            continue
        response_at = sent[0].at + latency_s if sent else math.inf
        player.now = min(response_at, decision.until)
        while sent and sent[0].at + latency_s <= player.now:
            player.gate.accepted(sent.popleft(), player.now)
    assert granted.count(100.0) == 4
    assert sum(at > 100.0 + 5 for at in granted) / 5 >= 900
    assert at_least <= max_in_flight <= at_most


def test_slow_request_is_counted_once() -> None:
    """A request that is assumed to have arrived is not stamped again when it ends, no matter how."""
    player = Player(limit=4, explore=False)
    slow = [player.expect_grant() for _ in range(4)]
    player.now += ASSUME_ARRIVED_S
    assert player.expect_wait() == Wait(player.now + 10 + GateSettings().margin_s, Reason.WINDOW)
    player.now += 5
    player.gate.accepted(slow[0], player.now)
    player.gate.unanswered(slow[1], player.now)
    player.gate.not_sent(slow[2], player.now)
    assert player.expect_wait().until == pytest.approx(slow[0].at + ASSUME_ARRIVED_S + 10 + GateSettings().margin_s)
    player.gate.refused(slow[3], player.now, None)
    assert player.gate.statistics().in_flight == 0


def test_urgent_request_ignores_the_pace() -> None:
    """One place in the window is reserved; an urgent request takes it immediately and delays no other."""
    player = Player(limit=10, explore=False)
    player.gate.pace(True, reserved_places=1)
    first = player.expect_grant()
    wait = player.expect_wait()
    assert wait.reason == Reason.PACE
    assert wait.until == pytest.approx(player.now + (10 + GateSettings().margin_s) / 9)
    urgent = player.gate.request(player.now, is_urgent=True)
    assert isinstance(urgent, Grant)
    assert player.expect_wait() == wait
    for ticket in (first, urgent):
        player.gate.accepted(ticket, player.now)


def test_urgent_request_keeps_the_limit() -> None:
    """A full window delays urgent requests too."""
    player = Player(limit=2, explore=False)
    for _ in range(2):
        player.gate.accepted(player.expect_grant(), player.now)
    decision = player.gate.request(player.now, is_urgent=True)
    assert isinstance(decision, Wait)
    assert decision.reason == Reason.WINDOW


# --- several sessions on one account ----------------------------------------------------------------------------


def test_remote_requests_fill_the_window_and_are_not_claimed_as_ours() -> None:
    """With eighteen remote requests two more may be sent; the claim has the limit, the span and our own requests."""
    player = Player(explore=False)
    player.gate.record_remote_calls([player.now - 1.0] * 18, player.now)
    first, second = player.expect_grant(), player.expect_grant()
    limit, span_s, own = player.gate.rate_claim(second, player.now)
    assert (limit, own) == (20, 1)
    assert span_s == pytest.approx(10.06)
    assert_wait(player.expect_wait(), player.now + 9.06, Reason.WINDOW)
    player.now += ROUND_TRIP_S
    for ticket in (first, second):
        player.gate.accepted(ticket, player.now)
    has_room_at = player.now - ROUND_TRIP_S - 1.0 + span_s
    player.now = has_room_at + 0.01
    third = player.expect_grant()
    assert player.gate.rate_claim(third, player.now)[2] == 2


def test_remote_request_dated_in_the_future_counts_from_now() -> None:
    """Another machine's clock may be ahead; it must not close our gate for longer than a window."""
    player = Player(explore=False)
    player.gate.record_remote_calls([player.now + 1000.0] * 20, player.now)
    assert_wait(player.expect_wait(), player.now + 10.06, Reason.WINDOW)


def test_extra_request_and_probe_claim_one_more_than_the_limit() -> None:
    """They test whether the limit is higher, so other sessions' requests must not block them forever."""
    player = Player()
    probe = Grant(1, player.now, Purpose.PROBE, is_pace_limited=False)
    routine = Grant(1, player.now, Purpose.ROUTINE, is_pace_limited=False)
    assert player.gate.rate_claim(probe, player.now)[0] == player.gate.rate_claim(routine, player.now)[0] + 1


def test_knowledge_can_be_restored_after_construction() -> None:
    """The ledger returns its stored knowledge only when the session opens."""
    constructed = Gate(GateSettings(), LearnedLimits(limit=7, margin_s=0.1, cap=5))
    restored = Gate(GateSettings())
    restored.restore(LearnedLimits(limit=7, margin_s=0.1, cap=5))
    assert restored.knowledge() == constructed.knowledge()
    assert restored.statistics() == constructed.statistics()
