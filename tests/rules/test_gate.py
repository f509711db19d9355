"""The gate, event by event: each kind of end in each state of the door."""

import json
import math
from collections import deque
from typing import Any

import pytest

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
from veo_async._rules.gate.traffic import ASSUME_ARRIVED_S

TRIP_S = 0.3


def assert_wait(wait: Wait, until: float, reason: Reason) -> None:
    """The wait is until about then, for that reason."""
    assert wait.until == pytest.approx(until)
    assert wait.reason == reason


class Player:
    """A caller with a clock, whose calls take `TRIP_S`."""

    def __init__(self, knowledge: LearnedLimits | None = None, **settings: Any) -> None:
        self.gate = Gate(GateSettings(**settings), knowledge)
        self.now = 100.0

    def door(self) -> GateState:
        return self.gate.statistics().state

    def grant(self) -> Grant:
        """Ask, and expect a grant."""
        answer = self.gate.request(self.now)
        assert isinstance(answer, Grant), answer
        return answer

    def told_to_wait(self) -> Wait:
        """Ask, and expect to be told to wait."""
        answer = self.gate.request(self.now)
        assert isinstance(answer, Wait), answer
        return answer

    def accept(self, times: int = 1) -> None:
        """So many calls, one after the other, each accepted."""
        for _ in range(times):
            self.sleep_until_granted()
            ticket = self.grant()
            self.now += TRIP_S
            self.gate.accepted(ticket, self.now)

    def refuse(self, retry_after: float | None = None) -> None:
        """One call, refused."""
        ticket = self.grant()
        self.now += 0.1
        self.gate.refused(ticket, self.now, retry_after)

    def sleep_until_granted(self) -> None:
        """Let time pass until a call may leave."""
        while (deadline := self.gate.next_deadline(self.now)) > self.now:
            assert deadline < math.inf
            self.now = deadline

    def fail_probes(self, times: int) -> None:
        """So many probes, each refused."""
        for _ in range(times):
            self.sleep_until_granted()
            assert self.door() is GateState.CLOSED
            self.refuse()


def test_a_burst_up_to_the_limit_and_then_a_window() -> None:
    """Twenty calls leave without delay, the next when the first is a window and the margin old."""
    player = Player(explore=False)
    player.accept(20)
    assert player.now == pytest.approx(100 + 20 * TRIP_S)
    wait = player.told_to_wait()
    assert wait.reason == Reason.WINDOW
    assert wait.until == pytest.approx(110.06)
    player.now = wait.until
    assert player.grant().purpose is Purpose.ROUTINE


def test_few_calls_are_under_way_at_first_and_more_later() -> None:
    """Four at once until the first is accepted; each that is accepted makes room for two."""
    player = Player()
    tickets = [player.grant() for _ in range(4)]
    assert player.told_to_wait() == Wait(player.now + ASSUME_ARRIVED_S, Reason.PARALLEL)
    player.now += TRIP_S
    player.gate.accepted(tickets[0], player.now)
    assert [player.grant().purpose for _ in range(2)] == [Purpose.ROUTINE] * 2
    assert player.told_to_wait().reason == Reason.PARALLEL


def test_a_slow_call_counts_as_if_it_had_arrived_late() -> None:
    """A call that was held up for two seconds is counted two seconds later than it left."""
    player = Player(limit=2, explore=False)
    player.accept()
    ticket = player.grant()
    player.now += 2 + TRIP_S
    player.gate.accepted(ticket, player.now)
    assert player.told_to_wait().until == pytest.approx(110.06)
    player.now = 110.06
    player.grant()
    assert player.told_to_wait().until == pytest.approx(ticket.at + 2 + 10.06)


def test_a_ticket_ends_once() -> None:
    """Handing a ticket back twice is an error and changes nothing."""
    player = Player()
    ticket = player.grant()
    player.gate.accepted(ticket, player.now)
    before = player.gate.statistics()
    for end in (player.gate.accepted, player.gate.unanswered, player.gate.not_sent):
        with pytest.raises(ValueError, match="handed back already"):
            end(ticket, player.now)
    with pytest.raises(ValueError, match="handed back already"):
        player.gate.refused(ticket, player.now, None)
    assert player.gate.statistics() == before


def test_never_sent_gives_the_ticket_back() -> None:
    """A call of which no byte left takes no place in the window, and the pace lets another leave at once."""
    player = Player(limit=1, explore=False)
    player.gate.pace(True)
    player.gate.not_sent(player.grant(), player.now)
    assert player.grant().at == player.now


def test_never_sent_of_an_older_call_does_not_turn_the_pace_back() -> None:
    """Only the latest call can be replaced at once."""
    player = Player()
    player.gate.pace(True)
    first = player.grant()
    player.now += 1
    player.grant()
    player.gate.not_sent(first, player.now)
    assert player.told_to_wait().reason == Reason.PACE


def test_a_lost_call_is_counted_to_be_safe() -> None:
    """Nobody knows whether it was counted, so it takes a place in the window from that moment on."""
    player = Player(limit=1, explore=False)
    ticket = player.grant()
    player.now += 30
    player.gate.unanswered(ticket, player.now)
    assert player.gate.statistics().running == 0
    assert player.told_to_wait() == Wait(player.now + 10.06, Reason.WINDOW)


def test_a_refusal_shuts_the_gate_for_everybody() -> None:
    """Nothing leaves while calls are under way, then one probe, then nothing until its answer."""
    player = Player()
    first, second = player.grant(), player.grant()
    player.gate.refused(first, player.now, None)
    assert player.door() is GateState.DRAINING
    assert player.told_to_wait() == Wait(math.inf, Reason.RATE_LIMITED)
    player.now += TRIP_S
    player.gate.accepted(second, player.now)
    assert player.door() is GateState.CLOSED
    wait = player.told_to_wait()
    assert wait == Wait(player.now + 0.5, Reason.RATE_LIMITED)
    player.now = wait.until
    probe = player.grant()
    assert probe.purpose is Purpose.PROBE
    assert player.told_to_wait() == Wait(math.inf, Reason.PROBING)
    player.gate.accepted(probe, player.now + TRIP_S)
    assert player.door() is GateState.OPEN
    assert player.gate.statistics().reason is None


def test_many_refusals_of_one_burst_are_one_closing() -> None:
    """Four refusals at once shut the gate once, and nothing is learned four times."""
    player = Player()
    tickets = [player.grant() for _ in range(4)]
    for ticket in tickets:
        player.gate.refused(ticket, player.now, None)
    statistics = player.gate.statistics()
    assert (statistics.refusals, statistics.closures, statistics.state) == (4, 1, GateState.CLOSED)


def test_probes_leave_less_and_less_often() -> None:
    """Half a second, one and a half, a window; then ever longer. And all that is one closing."""
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
def test_a_retry_after_is_obeyed_within_bounds(retry_after: float, waited: float) -> None:
    """The probe leaves when the server said, but never later than two minutes."""
    player = Player()
    player.refuse(retry_after)
    assert player.told_to_wait().until == pytest.approx(player.now + waited)


@pytest.mark.parametrize("retry_after", [None, 0, 0.5, -5, math.nan, -math.inf])
def test_a_retry_after_that_says_nothing_is_ignored(retry_after: float | None) -> None:
    """Less than a second, negative, or no number at all: as if there had been none."""
    player = Player()
    player.refuse(retry_after)
    assert player.told_to_wait().until == pytest.approx(player.now + 0.5)


def test_of_several_wishes_the_longest_counts() -> None:
    """Calls of one burst may be told different things."""
    player = Player()
    tickets = [player.grant() for _ in range(3)]
    for ticket, wish in zip(tickets, (3.0, 9.0, 2.0), strict=True):
        player.gate.refused(ticket, player.now, wish)
    assert player.told_to_wait().until == pytest.approx(player.now + 9.02)


def test_a_retry_after_that_proves_wrong_is_not_followed_for_ever() -> None:
    """From the second failure on the later of the server's wish and our own delay counts."""
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


def test_one_obeyed_closing_teaches_nothing() -> None:
    """A refusal whose end the server named says nothing about the limit, once."""
    player = Player()
    player.refuse(4.0)
    player.accept()
    statistics = player.gate.statistics()
    assert (statistics.mode, statistics.limit) == (Mode.WINDOW, 20)


def test_a_probe_that_is_lost_or_never_sent_is_made_again() -> None:
    """Neither opens the gate nor counts against it: the door is closed again, and one probe will leave."""
    player = Player()
    player.refuse()
    player.sleep_until_granted()
    player.gate.not_sent(player.grant(), player.now)
    assert player.door() is GateState.CLOSED
    probe = player.grant()
    player.gate.unanswered(probe, player.now)
    assert player.door() is GateState.CLOSED
    assert player.told_to_wait().until == pytest.approx(player.now + 0.5)
    player.now += 0.5
    assert player.grant().purpose is Purpose.PROBE


def test_calls_that_come_home_while_it_drains_do_not_open_the_gate() -> None:
    """Accepted, lost and never sent calls under way only count; the last of them closes the door."""
    player = Player()
    tickets = [player.grant() for _ in range(4)]
    player.gate.refused(tickets[0], player.now, None)
    player.gate.accepted(tickets[1], player.now)
    player.gate.unanswered(tickets[2], player.now)
    assert player.door() is GateState.DRAINING
    player.gate.not_sent(tickets[3], player.now)
    assert player.door() is GateState.CLOSED


def test_a_pause_closes_until_its_end_and_then_one_probe() -> None:
    """A pause has its own reason, ends by itself, and lets one call go first."""
    player = Player()
    under_way = player.grant()
    player.gate.pause(160.0, "insufficient-credits")
    assert player.door() is GateState.DRAINING
    assert player.gate.statistics().reason == "insufficient-credits"
    assert player.told_to_wait() == Wait(160.0, "insufficient-credits")
    player.gate.accepted(under_way, player.now)
    player.now = 160.0
    probe = player.grant()
    assert probe.purpose is Purpose.PROBE
    assert player.told_to_wait().until == math.inf
    player.gate.accepted(probe, player.now)
    assert player.door() is GateState.OPEN
    assert player.gate.statistics().limit == 20


def test_pauses_merge_and_none_can_be_taken_back() -> None:
    """The latest end counts, with its reason."""
    player = Player()
    player.gate.pause(160.0, "maintenance")
    player.gate.pause(130.0, "insufficient-credits")
    assert player.told_to_wait() == Wait(160.0, "maintenance")
    player.gate.pause(170.0, "insufficient-credits")
    assert player.told_to_wait() == Wait(170.0, "insufficient-credits")
    player.gate.pause(-math.inf, "nothing")
    assert player.gate.statistics().closed_until == 170.0


def test_a_pause_while_a_probe_is_under_way_needs_another_probe() -> None:
    """The probe's answer is learned from, but the gate stays shut until the pause is over."""
    player = Player()
    player.refuse()
    player.sleep_until_granted()
    probe = player.grant()
    player.gate.pause(player.now + 50, "maintenance")
    assert player.door() is GateState.PROBING
    player.gate.accepted(probe, player.now + TRIP_S)
    assert player.door() is GateState.CLOSED
    assert player.told_to_wait().reason == "maintenance"
    player.now += 50
    assert player.grant().purpose is Purpose.PROBE


def test_a_pause_during_a_closing_outlasts_it() -> None:
    """A closing and a pause together end when both have."""
    player = Player()
    player.refuse()
    player.gate.pause(player.now + 50, "maintenance")
    assert player.told_to_wait().until == player.now + 50
    assert player.gate.statistics().reason == Reason.RATE_LIMITED


def test_paced_calls_leave_a_gap_apart() -> None:
    """With somebody waiting for single calls, twenty are spread over a window; without, they are not."""
    player = Player(explore=False)
    player.gate.pace(True)
    player.gate.accepted(player.grant(), player.now)
    wait = player.told_to_wait()
    assert_wait(wait, player.now + 10.06 / 20, Reason.PACE)
    player.now = wait.until
    player.grant()
    player.gate.pace(False)
    player.now += 10.06 / 20
    player.grant()
    player.grant()


def test_a_full_window_is_tried_with_one_extra_call() -> None:
    """If the call beyond the limit is accepted the limit is higher, and the next may follow, alone again."""
    player = Player(limit=3)
    player.accept(3)
    extra = player.grant()
    assert extra.purpose is Purpose.EXTRA
    assert player.told_to_wait().reason == Reason.WINDOW
    player.now += TRIP_S
    player.gate.accepted(extra, player.now)
    assert player.gate.statistics().limit == 4
    assert player.grant().purpose is Purpose.EXTRA


def test_a_refused_extra_call_leaves_the_limit_and_comes_again_later() -> None:
    """The next try is a minute away, the one after that two."""
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
        ticket = player.grant()
        player.now += TRIP_S
        if ticket.purpose is Purpose.EXTRA:
            extras.append(ticket.at)
            player.gate.refused(ticket, player.now, None)
        else:
            player.gate.accepted(ticket, player.now)
    assert extras[0] - tried_at == pytest.approx(60, abs=10)
    assert extras[1] - extras[0] == pytest.approx(120, abs=10)


def test_a_lost_extra_call_is_not_made_again_at_once() -> None:
    """It taught nothing, but the window is full all the same."""
    player = Player(limit=3)
    player.accept(3)
    player.gate.unanswered(player.grant(), player.now)
    assert player.told_to_wait().reason == Reason.WINDOW
    assert player.gate.statistics().limit == 3


def test_a_deadline_can_be_the_next_try_for_more() -> None:
    """If a try for a higher limit is due before the window has room, that is when to ask again."""
    player = Player(limit=3, explore_again_s=2.0)
    player.accept(3)
    player.gate.unanswered(player.grant(), player.now)
    assert player.told_to_wait() == Wait(player.now + 2.0, Reason.WINDOW)
    player.now += 2.0
    assert player.grant().purpose is Purpose.EXTRA


def test_an_edge_refusal_widens_the_margin() -> None:
    """A refusal with just enough room by our count means that the margin was too small."""
    player = Player(explore=False)
    player.accept(20)
    player.sleep_until_granted()
    player.refuse()
    assert player.gate.statistics().margin_s == pytest.approx(0.1)
    assert player.gate.statistics().limit == 20


def test_edges_in_a_row_lower_the_limit_and_then_change_the_mode() -> None:
    """The second within four windows costs one of the limit, the third ends counting by the window."""
    player = Player(explore=False, limit=5)
    seen = []
    for calls in (5, 5, 4):
        player.accept(calls)
        player.sleep_until_granted()
        player.refuse()
        seen.append((player.gate.statistics().limit, player.gate.statistics().mode))
    assert seen[:2] == [(5, Mode.WINDOW), (4, Mode.WINDOW)]
    assert seen[2][1] is Mode.PACED


def test_a_small_burst_ends_in_an_even_pace() -> None:
    """Refused after five, accepted half a second later: from then on one call every half second."""
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


def test_strict_spacing_is_kept_by_arrival_and_one_at_a_time() -> None:
    """Refused after the first: calls are a gap apart where they arrive, and never two under way."""
    player = Player()
    player.accept()
    player.refuse()
    player.accept()
    assert player.gate.knowledge().by_arrival
    player.sleep_until_granted()
    ticket = player.grant()
    assert player.told_to_wait() == Wait(player.now + ASSUME_ARRIVED_S, Reason.PARALLEL)
    player.now += TRIP_S + 0.2
    player.gate.accepted(ticket, player.now)
    assert player.told_to_wait().until == pytest.approx(ticket.at + 0.2 + 0.5, abs=0.02)


def test_a_lower_limit_is_what_was_counted() -> None:
    """Refused after eight until the window was empty: eight is the limit, in bursts as before."""
    player = Player()
    player.accept(8)
    player.refuse()
    player.fail_probes(2)
    player.accept()
    statistics = player.gate.statistics()
    assert (statistics.mode, statistics.limit) == (Mode.WINDOW, 8)


def test_without_exploring_a_lower_limit_is_still_raised_to_the_documented_one() -> None:
    """What made the limit fall may pass; then the documented one is used again, and no more."""
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
    """A player whose gate has found that no more than so many tasks may run."""
    player = Player(cap_prior=running)
    player.accept(running)
    player.refuse()
    player.fail_probes(1)
    assert player.gate.statistics().cap == running
    assert player.door() is GateState.OPEN
    return player


def test_a_cap_near_the_documented_one_is_found_by_two_refusals() -> None:
    """Then a call waits for a task that ends, or for the next try beyond the cap."""
    player = find_cap()
    wait = player.told_to_wait()
    assert_wait(wait, player.now + 20, Reason.CAP)
    player.gate.task_finished(player.now)
    ticket = player.grant()
    assert ticket.purpose is Purpose.ROUTINE
    assert player.told_to_wait() == Wait(math.inf, Reason.CAP)


def test_a_refusal_at_the_cap_closes_nothing_once() -> None:
    """It lowers the cap to what ran; a second one in a row is no longer explained that way."""
    player = find_cap()
    player.gate.task_finished(player.now)
    player.refuse()
    assert player.door() is GateState.OPEN
    assert player.gate.statistics().cap == 4
    player.now += 0.1
    player.gate.task_finished(player.now)
    player.refuse()
    assert player.door() is GateState.CLOSED


def test_a_cap_that_was_raised_is_found() -> None:
    """One call beyond the cap now and then: accepted, the cap follows; refused, the next is further off."""
    player = find_cap()
    player.now += 20
    over = player.grant()
    assert over.purpose is Purpose.OVER_CAP
    player.gate.accepted(over, player.now)
    assert player.gate.statistics().cap == 6
    over = player.grant()
    player.gate.refused(over, player.now, None)
    assert player.door() is GateState.OPEN
    assert_wait(player.told_to_wait(), player.now + 40, Reason.CAP)


def test_a_lost_call_beyond_the_cap_is_not_made_again_at_once() -> None:
    """It taught nothing."""
    player = find_cap()
    player.now += 20
    player.gate.unanswered(player.grant(), player.now)
    assert_wait(player.told_to_wait(), player.now + 20, Reason.CAP)


def test_a_probe_does_not_go_beyond_the_cap() -> None:
    """While the cap is full even a probe waits for a task that ends."""
    player = find_cap()
    player.gate.pause(player.now + 1, "maintenance")
    player.now += 1
    assert player.told_to_wait().reason == Reason.CAP
    player.gate.task_finished(player.now)
    assert player.grant().purpose is Purpose.PROBE


def test_a_cap_nobody_spoke_of_is_found_when_a_task_ends() -> None:
    """Nothing accepted for longer than a window, until a task ended: that many may run."""
    player = Player()
    player.accept(8)
    player.refuse()
    player.fail_probes(4)
    assert player.told_to_wait().until > player.now + 1
    player.now += 1
    player.gate.task_finished(player.now)
    player.accept()
    assert player.gate.statistics().cap == 8
    assert player.gate.statistics().limit == 20


def test_a_task_that_ends_brings_a_late_probe_forward() -> None:
    """But not before the calls that were counted have left the window."""
    player = Player()
    player.accept(8)
    player.refuse()
    player.fail_probes(6)
    later = player.told_to_wait().until
    player.now += 2
    player.gate.task_finished(player.now)
    assert player.gate.next_deadline(player.now) < later


def test_the_number_of_running_tasks_can_be_set() -> None:
    """After a restart tasks run of which the gate has seen nothing; fewer than none cannot run."""
    player = find_cap()
    player.gate.set_running(3)
    assert player.gate.statistics().running == 3
    player.grant()
    player.gate.set_running(-1)
    player.gate.task_finished(player.now)
    assert player.gate.statistics().running == 0


def test_knowledge_goes_through_json() -> None:
    """What was learned is plain values, and unknown keys of a newer version are left out."""
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
def test_knowledge_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """A file that was edited or cut short must not reach the gate."""
    plain = {**LearnedLimits(limit=20, margin_s=0.06).to_dict(), **wrong}
    with pytest.raises((ValueError, TypeError)):
        LearnedLimits.from_dict(plain)
    del plain["limit"]
    with pytest.raises((KeyError, TypeError, ValueError)):
        LearnedLimits.from_dict(plain)


def test_recalled_knowledge_is_used_and_kept_within_the_settings() -> None:
    """Without exploration a higher limit is not believed; a paced rate is held at first; a cap is kept to."""
    high = LearnedLimits(limit=80, margin_s=3.0, cap=2)
    player = Player(high, explore=False)
    statistics = player.gate.statistics()
    assert (statistics.limit, statistics.margin_s, statistics.cap) == (20, 1.0, 2)
    player.accept(2)
    assert player.told_to_wait().reason == Reason.CAP

    paced = Player(LearnedLimits(mode=Mode.PACED, limit=10, rate_ceiling=10.3, margin_s=0.06))
    paced.accept(5)
    assert paced.gate.statistics().limit == 10
    assert paced.now - 100 == pytest.approx(4 + TRIP_S)


def test_a_recalled_limit_is_not_put_to_the_test_at_once() -> None:
    """A new session of a known account does not begin with a refusal."""
    player = Player(LearnedLimits(limit=3, margin_s=0.06), limit=3)
    player.accept(3)
    assert player.told_to_wait().reason == Reason.WINDOW


def test_a_recalled_higher_limit_is_on_trial() -> None:
    """If the account is back at the documented limit, one refusal is enough to know."""
    player = Player(LearnedLimits(limit=40, margin_s=0.06))
    player.accept(20)
    player.refuse()
    assert player.gate.statistics().limit == 20


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"window_s": 0.0}, {"window_s": math.inf}, {"cap_prior": 0}, {"margin_s": -1.0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    """A limit of none or a window without end would never let anything through."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GateSettings(**wrong)


def test_regaining_a_lower_limit_never_passes_the_documented_one() -> None:
    """Without exploration extra calls need room in the documented window, whatever was recalled."""
    player = Player(LearnedLimits(limit=0.5, margin_s=0.06), limit=1, explore=False)
    player.accept()
    player.now += 100
    player.accept()
    assert player.told_to_wait().reason == Reason.WINDOW
    assert player.gate.next_deadline(player.now) == pytest.approx(player.now - TRIP_S + 10.06)


def test_slow_answers_do_not_slow_the_rate() -> None:
    """A provider that takes a minute to answer is used at two thirds of the documented rate, not at a sixth."""
    player = Player()
    sent: deque[Grant] = deque()
    granted: list[float] = []
    while player.now < 100.0 + 600:
        answer = player.gate.request(player.now)
        if isinstance(answer, Grant):
            sent.append(answer)
            granted.append(player.now)
            continue
        home_at = sent[0].at + 60 if sent else math.inf
        if home_at <= answer.until:
            player.now = home_at
            player.gate.accepted(sent.popleft(), player.now)
        else:
            player.now = answer.until
    late = [at for at in granted if at > 100.0 + 300]
    assert len(late) / 300 >= 20 / 15.2
    assert all(sum(at - 10 < other <= at for other in granted) <= 20 for at in late)


def test_a_slow_call_is_counted_once() -> None:
    """A call that was taken for arrived is not stamped again when its answer comes, whatever that is."""
    player = Player(limit=4, explore=False)
    slow = [player.grant() for _ in range(4)]
    player.now += ASSUME_ARRIVED_S
    assert player.told_to_wait() == Wait(player.now + 10 + GateSettings().margin_s, Reason.WINDOW)
    player.now += 5
    player.gate.accepted(slow[0], player.now)
    player.gate.unanswered(slow[1], player.now)
    player.gate.not_sent(slow[2], player.now)
    assert player.told_to_wait().until == pytest.approx(slow[0].at + ASSUME_ARRIVED_S + 10 + GateSettings().margin_s)
    player.gate.refused(slow[3], player.now, None)
    assert player.gate.statistics().in_flight == 0


def test_an_urgent_call_need_not_keep_the_pace() -> None:
    """Paced calls leave a place of the window free; an urgent one takes it at once and moves nobody's turn."""
    player = Player(limit=10, explore=False)
    player.gate.pace(True, reserved_places=1)
    first = player.grant()
    turn = player.told_to_wait()
    assert turn.reason == Reason.PACE
    assert turn.until == pytest.approx(player.now + (10 + GateSettings().margin_s) / 9)
    urgent = player.gate.request(player.now, is_urgent=True)
    assert isinstance(urgent, Grant)
    assert player.told_to_wait() == turn
    for ticket in (first, urgent):
        player.gate.accepted(ticket, player.now)


def test_an_urgent_call_keeps_the_limit() -> None:
    """Urgent or not, a full window is full."""
    player = Player(limit=2, explore=False)
    for _ in range(2):
        player.gate.accepted(player.grant(), player.now)
    answer = player.gate.request(player.now, is_urgent=True)
    assert isinstance(answer, Wait)
    assert answer.reason == Reason.WINDOW


# --- several sessions on one account ----------------------------------------------------------------------------


def test_calls_of_others_fill_the_window_and_are_not_our_own() -> None:
    """With eighteen of theirs two of ours may leave; what is claimed are the limit, the span and our own calls."""
    player = Player(explore=False)
    player.gate.record_remote_calls([player.now - 1.0] * 18, player.now)
    first, second = player.grant(), player.grant()
    limit, span_s, own = player.gate.rate_claim(second, player.now)
    assert (limit, own) == (20, 1)
    assert span_s == pytest.approx(10.06)
    assert_wait(player.told_to_wait(), player.now + 9.06, Reason.WINDOW)
    player.now += TRIP_S
    for ticket in (first, second):
        player.gate.accepted(ticket, player.now)
    third_may_leave_at = player.now - TRIP_S - 1.0 + span_s
    player.now = third_may_leave_at + 0.01
    third = player.grant()
    assert player.gate.rate_claim(third, player.now)[2] == 2


def test_a_call_that_others_date_in_the_future_is_of_now() -> None:
    """Their clock may be ahead of ours; it must not keep our gate shut for longer than a window."""
    player = Player(explore=False)
    player.gate.record_remote_calls([player.now + 1000.0] * 20, player.now)
    assert_wait(player.told_to_wait(), player.now + 10.06, Reason.WINDOW)


def test_an_extra_call_and_a_probe_claim_one_more_than_the_limit() -> None:
    """They are sent to learn whether there is more; the others' calls must not forbid that for ever."""
    player = Player()
    probe = Grant(1, player.now, Purpose.PROBE, is_pressed=False)
    routine = Grant(1, player.now, Purpose.ROUTINE, is_pressed=False)
    assert player.gate.rate_claim(probe, player.now)[0] == player.gate.rate_claim(routine, player.now)[0] + 1


def test_knowledge_may_be_recalled_after_the_gate_was_made() -> None:
    """A ledger tells what it kept only when the session opens."""
    made = Gate(GateSettings(), LearnedLimits(limit=7, margin_s=0.1, cap=5))
    recalled = Gate(GateSettings())
    recalled.restore(LearnedLimits(limit=7, margin_s=0.1, cap=5))
    assert recalled.knowledge() == made.knowledge()
    assert recalled.statistics() == made.statistics()
