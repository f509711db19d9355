"""When the next creating call may leave: one gate for everything that is sent with one key.

Theory of operation
-------------------
The account is limited: documented are 20 creations in any 10 s, and what is over gets a 429 and is not
queued. How the server counts is not documented; whether it caps running tasks is not either. A 429 is cheap
by itself, but it says something about the *account*, so jobs never back off one by one. They ask the gate,
and the gate alone hears what became of each call.

The caller is a single loop: it calls `Gate.ask` while jobs wait, sends with every `Grant`, and hands each
back with exactly one of `accepted`, `refused`, `unanswered` or `not_sent`. On a `Wait` it sleeps until the
instant named or until the next event, whichever comes first. The gate holds no clock; ``now`` is monotonic
seconds.

The door (`gate_door`) is open, or shut until a single call, the probe, has been accepted.

While it is open a call may leave if

1. fewer calls are under way than may be: 4 at first and 1 after a closing nobody could explain, one more for
   each that is accepted, up to 16. A limit that turns out lower then costs a few refusals, not twenty;
2. the cap on running tasks, if one was learned, has room (module `cap`);
3. in mode PACED, or if the caller asked for it with `Gate.pace`, the last call is a gap old. A burst uses
   up a whole window in a second, and whoever comes then waits for ten; evenly spread nobody waits long;
4. the window has room: fewer calls than the limit are stamped in it or under way (`gate_window`).

A call under way counts in full, as its arrival is not known. Those that were refused or lost keep their
place in the window too: some servers count them. So by the server's own count the documented limit is not
exceeded but by the *extra* calls, which leave when the window is full to learn whether the limit is higher;
with ``explore=False`` there are none. What is believed of the limit, and why, is told
in `gate_learning`; how long a closing lasts and what its probes mean, in `gate_closing`; the rate of mode
PACED in `gate_pacing`.

A ticket ends once: handing it back twice is an error.

Where this departs from the policy that was studied first (figures: ``tests/rules/test_gate_targets.py``):
stamps follow the round trip instead of a fixed margin, so the limit holds on a slow network too and costs
less on a quick one; a lower limit is first tried as a log; a paced rate is measured between two refusals,
which brings fewer refusals *and* less loss of time at limits unknown; strict spacing is kept by arrival.
"""

import math
from collections.abc import Iterable

import attrs

from .cap import RunningCap
from .closure import Cause, Closure
from .learning import SLACK_S, LimitLearner
from .state import GateControl
from .traffic import Traffic
from .values import (
    GateSettings,
    GateState,
    GateStatistics,
    Grant,
    LearnedLimits,
    Mode,
    Purpose,
    Reason,
    Wait,
)
from .window import SendLog

__all__ = [
    "Gate",
    "GateSettings",
    "GateState",
    "GateStatistics",
    "Grant",
    "LearnedLimits",
    "Mode",
    "Purpose",
    "Reason",
    "Wait",
]

#: Windows a stamp is kept: a call may come home late, and the count at its refusal is asked for then.
KEEP_WINDOWS = 12


@attrs.define(eq=False)
class Gate:
    """The gate of one account.

    Args:
        settings: what is believed of the account.
        knowledge: what an earlier gate had learned, if it was kept; with it the first try for a higher limit
            comes a minute after the first question instead of at the first full window.
    """

    settings: GateSettings = attrs.field(factory=GateSettings)
    _knowledge: LearnedLimits | None = None
    _learner: LimitLearner = attrs.field(init=False)
    _cap: RunningCap = attrs.field(init=False)
    _traffic: Traffic = attrs.field(init=False)
    _is_new: bool = attrs.field(default=True, init=False)  #: nobody has asked yet
    _door: GateControl = attrs.field(factory=GateControl, init=False)
    _closing: Closure | None = attrs.field(default=None, init=False)  #: None if a pause alone closed the gate
    _accepted_at: float = attrs.field(default=-math.inf, init=False)
    _refusals: int = attrs.field(default=0, init=False)
    _closings: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self._learner = LimitLearner(settings)
        self._cap = RunningCap(settings.cap_first_s, settings.explore_max_interval_s)
        log = SendLog(KEEP_WINDOWS * settings.window_s)
        self._traffic = Traffic(settings, self._learner, self._cap, log)
        if self._knowledge is not None:
            self.restore(self._knowledge)

    def restore(self, knowledge: LearnedLimits) -> None:
        """Begin with what an earlier gate had learned; before anything is asked."""
        self._knowledge = knowledge
        self._learner.restore(knowledge)
        self._cap.value = knowledge.cap

    # ---- several sessions on one account

    def rate_claim(self, ticket: Grant, now: float) -> tuple[int, float, int]:
        """What the call of *ticket* claims of the account, for the others to allow: limit, span, and our own calls."""
        learner = self._learner
        limit = learner.ceiling + (ticket.purpose in (Purpose.EXTRA, Purpose.PROBE))
        return limit, learner.span_s, self._traffic.count_own(now) - 1

    def record_remote_calls(self, stamps: Iterable[float], now: float) -> None:
        """Other sessions have sent calls with the same account; they count like ours."""
        for stamp in stamps:
            self._traffic.log.add_remote(min(stamp, now), now)

    # ---- questions

    def request(self, now: float, *, is_urgent: bool = False) -> Grant | Wait:
        """May one creating call leave now?

        Args:
            is_urgent: somebody waits for this one; it need not keep the pace that `pace` asked for, only the limit.
        """
        answer = self._decide(now, is_urgent=is_urgent)
        return answer if isinstance(answer, Wait) else self._grant(answer, now, is_urgent=is_urgent)

    def next_deadline(self, now: float) -> float:
        """When to ask again, if no event comes before; infinity if only an event can change the answer."""
        answer = self._decide(now)
        return answer.until if isinstance(answer, Wait) else now

    def statistics(self) -> GateStatistics:
        """The gate, looked into."""
        learner = self._learner
        return GateStatistics(
            mode=learner.mode,
            state=self._door.state,
            limit=learner.rate,
            rate_ceiling=None if learner.pacer is None else learner.pacer.ceiling,
            margin_s=learner.margin_s,
            in_flight=len(self._traffic.in_flight),
            running=self._cap.running,
            cap=self._cap.value,
            closed_until=self._door.closed_until,
            reason=self._shut_reason(),
            refusals=self._refusals,
            closures=self._closings,
        )

    def knowledge(self) -> LearnedLimits:
        """What was learned, to be kept and given to a later gate of the same account."""
        return self._learner.knowledge(self._cap.value)

    # ---- events: how a call ended

    def accepted(self, ticket: Grant, now: float) -> None:
        """The provider made a task of the call."""
        self._traffic.release(ticket)
        self._traffic.accepted(ticket, now)
        if self._door.state is GateState.PROBING:
            self._reopen(ticket, now)
        self._accepted_at = now
        self._settle(now)

    def refused(self, ticket: Grant, now: float, retry_after: float | None) -> None:
        """The call got a 429, by HTTP or in the body. Never an attempt of its job, never a failure.

        Args:
            retry_after: the server's wish in seconds from now, if it had one; bounded here once more.
        """
        traffic = self._traffic
        traffic.release(ticket)
        traffic.refused(ticket, now)
        self._refusals += 1
        if self._door.state is GateState.OPEN and self._cap.explains_refusal(
            ticket, now, in_flight=len(traffic.in_flight)
        ):
            return
        if self._closing is None:
            self._closings += 1
            self._closing = Closure(since=now, last_accepted_at=self._accepted_at)
        self._closing.had_extra |= ticket.purpose is Purpose.EXTRA
        self._closing.refused(now, retry_after, self.settings)
        self._door.close()
        self._settle(now)

    def unanswered(self, ticket: Grant, now: float) -> None:
        """The call ended in any other way and may have been counted: an error, or no answer at all."""
        self._traffic.release(ticket)
        self._traffic.unanswered(ticket, now)
        self._door.probe_voided(now + self._learner.gap_s)
        self._settle(now)

    def not_sent(self, ticket: Grant, now: float) -> None:
        """No byte left us: the ticket is given back unused."""
        self._traffic.release(ticket)
        self._traffic.not_sent(ticket)
        self._door.probe_voided(now)
        self._settle(now)

    # ---- events: everything else

    def task_finished(self, now: float) -> None:
        """One running task has ended."""
        self._cap.running = max(0, self._cap.running - 1)
        if self._closing is not None:
            self._closing.task_ended = True
            if self._closing.failures >= 3:
                self._door.advance_probe(now)

    def set_running(self, n: int) -> None:
        """So many tasks run, whatever was thought before; after a restart or an adoption."""
        self._cap.running = max(0, n)

    def pace(self, on: bool, *, reserved_places: int = 0) -> None:
        """Spread the calls evenly, because somebody waits for a single one; or stop doing so.

        Args:
            keep_free: places of the window that paced calls leave to urgent ones.
        """
        self._traffic.is_paced, self._traffic.keep_free = on, reserved_places

    def pause(self, until: float, reason: str) -> None:
        """Let nothing leave before *until*, and then one probe first.

        Pauses merge: the latest end counts, with its reason. None can be taken back.
        """
        self._door.pause(until, reason, is_busy=bool(self._traffic.in_flight))

    # ---- deciding

    def _decide(self, now: float, *, is_urgent: bool = False) -> Purpose | Wait:
        self._begin(now)
        if wait := self._door.wait(now):
            return wait
        if self._door.state is GateState.OPEN:
            return self._traffic.decide(now, is_urgent=is_urgent)
        return self._traffic.decide_probe(now)

    def _begin(self, now: float) -> None:
        if self._is_new and self._knowledge is not None:
            self._learner.begin(now)
            self._cap.postpone(now)
        self._is_new = False

    def _shut_reason(self) -> str | None:
        if self._door.state is GateState.OPEN:
            return None
        return Reason.RATE_LIMITED if self._closing is not None else self._door.pause_reason

    # ---- acting

    def _grant(self, purpose: Purpose, now: float, *, is_urgent: bool) -> Grant:
        if purpose is Purpose.PROBE:
            self._door.probe_sent()
            if self._closing is not None:
                self._closing.waited_full_window = now >= self._closing.release_at - SLACK_S / 2
        return self._traffic.grant(purpose, now, is_urgent=is_urgent)

    def _settle(self, now: float) -> None:
        if not self._traffic.in_flight and self._door.calls_finished() and self._closing is not None:
            self._attribute_refusal(self._closing, now)

    def _attribute_refusal(self, closing: Closure, now: float) -> None:
        learner, log = self._learner, self._traffic.log
        closing.failures += 1
        if closing.failures == 1:
            closing.running = self._cap.running
            closing.measured = log.count_accepted(closing.since, learner.span_s)
            count = log.count(closing.since, learner.span_s + SLACK_S) - closing.refusals
            learner.attribute(closing, count, now)
        elif closing.failures == 2:
            learner.probe_refused(closing, now)
            if self._cap.value is None and closing.is_near_cap(self.settings.cap_prior):
                self._attribute_to_cap(closing, now)
                return
        room = max(1, min(learner.ceiling, closing.measured))
        release_at = log.room_at(room, now, learner.span_s)
        self._door.schedule_probe(*closing.schedule(now, learner.gap_s, release_at, self.settings))

    def _reopen(self, ticket: Grant, now: float) -> None:
        closing = self._closing
        is_explained = closing is not None and closing.failures == 1 and closing.cause is not Cause.UNEXPLAINED
        self._traffic.limit_parallel(self.settings.parallel_first if is_explained else 1)
        if closing is not None and closing.was_cap(now, self.settings):
            self._attribute_to_cap(closing, now)
        elif closing is not None:
            self._learner.reopened(closing, ticket.at)
        self._open(now)

    def _attribute_to_cap(self, closing: Closure, now: float) -> None:
        self._cap.learn(now)
        self._learner.revert_for_cap(closing)
        self._open(now)

    def _open(self, now: float) -> None:
        self._closing = None
        self._door.open(now)
