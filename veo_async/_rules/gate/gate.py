"""When the next creating request may be sent: one gate for everything that is sent with one API key.

Theory of operation
-------------------
The account is limited: 20 creating requests in any 10 s are documented; any more get a 429 and are not queued. How the
server counts is not documented, nor whether it caps running tasks. A 429 is harmless, but it says something about the
*account*, so jobs never back off one by one. They ask the gate, and only the gate is notified how each request ended.

The caller is a single loop. It calls `Gate.request` while jobs wait, sends with every `Grant`, and returns each grant
with exactly one of `accepted`, `refused`, `unanswered` or `not_sent`; returning one twice is an error. After a `Wait`
it sleeps until the given instant, or until the next event if that is earlier. The gate has no clock; ``now`` is in
monotonic seconds.

The gate is open, or closed until a single request, the probe, is accepted (`state`). While it is open a request may be
sent if

1. fewer requests are in transit than the current maximum: 4 at first and 1 after an unexplained closure, one more for
   each that is accepted, up to 16, or to what the rate needs at the present latency if that is more (`traffic`).
   Discovering a lower limit then costs a few refusals, not twenty;
2. the cap on running tasks, if one was learned, has room (`cap`);
3. in mode PACED, or if the caller asked for it with `Gate.pace`, the latest request is a gap old. A burst uses up a
   whole window in a second, and a request that arrives then waits for ten; evenly spread, no request waits long;
4. the window has room: fewer requests than the limit are stamped in it or in transit (`window`).

A request in transit counts in full, because its arrival is unknown. A request that was refused or got no response
keeps its place in the window, because some servers count it. So by the server's own count only *extra* requests exceed
the documented limit: they are sent when the window is full, to learn whether the limit is higher, never with
``explore=False``, and not while the caller says that a higher limit would not help (`Gate.explore`).

How the limit is learned is described in `learning`, how long a closure lasts and what its probes mean in `closure`,
and the rate of mode PACED in `pacing`. ``tests/rules/test_gate_targets.py`` asserts how close all this comes to the
ideal.
"""

import math
from collections.abc import Iterable

import attrs

from .cap import RunningCap
from .closure import Cause, Closure
from .learning import SLACK_S, LimitLearner
from .state import GateControl
from .traffic import Traffic
from .values import GateSettings, GateState, GateStatistics, Grant, LearnedLimits, Purpose, Reason, Wait
from .window import SendLog

#: Windows for which stamps are kept: a response may arrive late, and the count at its refusal is needed then.
KEEP_WINDOWS = 12


@attrs.define(eq=False)
class Gate:
    """The gate of one account.

    Args:
        settings: what is assumed about the account.
        knowledge: what an earlier gate learned. With it the first try for a higher limit comes a minute after the first
            request instead of at the first full window.
    """

    settings: GateSettings = attrs.field(factory=GateSettings)
    _knowledge: LearnedLimits | None = None
    _learner: LimitLearner = attrs.field(init=False)
    _cap: RunningCap = attrs.field(init=False)
    _traffic: Traffic = attrs.field(init=False)
    _is_new: bool = attrs.field(default=True, init=False)  #: `request` was not called yet
    _control: GateControl = attrs.field(factory=GateControl, init=False)
    _closure: Closure | None = attrs.field(default=None, init=False)  #: None while only a pause keeps the gate closed
    _accepted_at: float = attrs.field(default=-math.inf, init=False)
    _refusals: int = attrs.field(default=0, init=False)
    _closures: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self._learner = LimitLearner(settings)
        self._cap = RunningCap(settings.cap_first_s, settings.explore_max_interval_s)
        log = SendLog(KEEP_WINDOWS * settings.window_s)
        self._traffic = Traffic(settings, self._learner, self._cap, log)
        if self._knowledge is not None:
            self.restore(self._knowledge)

    def restore(self, knowledge: LearnedLimits) -> None:
        """Start with what an earlier gate learned. Call this before the first request."""
        self._knowledge = knowledge
        self._learner.restore(knowledge)
        self._cap.value = knowledge.cap

    # ---- several sessions on one account

    def rate_claim(self, ticket: Grant, now: float) -> tuple[int, float, int]:
        """Return what *ticket* claims of the account: the limit, the window in seconds, our other requests in it."""
        learner = self._learner
        limit = learner.ceiling + (ticket.purpose in (Purpose.EXTRA, Purpose.PROBE))
        return limit, learner.span_s, self._traffic.count_own(now) - 1

    def record_remote_calls(self, stamps: Iterable[float], now: float) -> None:
        """Count requests that other sessions sent with the same account like our own."""
        for stamp in stamps:
            self._traffic.log.add_remote(min(stamp, now), now)

    # ---- queries

    def request(self, now: float, *, is_urgent: bool = False) -> Grant | Wait:
        """Return a grant for one creating request that is sent now, or what it must wait for.

        Args:
            is_urgent: a user is waiting for this job; ignore the pace set with `pace`, but not the limit.
        """
        decision = self._decide(now, is_urgent=is_urgent)
        return decision if isinstance(decision, Wait) else self._grant(decision, now, is_urgent=is_urgent)

    def statistics(self) -> GateStatistics:
        """Return a snapshot."""
        learner = self._learner
        return GateStatistics(
            mode=learner.mode,
            state=self._control.state,
            limit=learner.rate,
            rate_ceiling=None if learner.pacer is None else learner.pacer.ceiling,
            margin_s=learner.margin_s,
            in_flight=len(self._traffic.in_flight),
            running=self._cap.running,
            cap=self._cap.value,
            closed_until=self._control.closed_until,
            reason=self._closed_reason(),
            refusals=self._refusals,
            closures=self._closures,
        )

    def knowledge(self) -> LearnedLimits:
        """Return what was learned, to store it for a later gate of the same account."""
        return self._learner.knowledge(self._cap.value)

    # ---- events: how a request ended

    def accepted(self, ticket: Grant, now: float) -> None:
        """Note that the provider created a task."""
        self._traffic.release(ticket)
        self._traffic.accepted(ticket, now)
        if self._control.state is GateState.PROBING:
            self._reopen(ticket, now)
        self._accepted_at = now
        self._finish_draining(now)

    def refused(self, ticket: Grant, now: float, retry_after: float | None) -> None:
        """Note a 429, by HTTP status or in the body. It is not an attempt of the job and never fails it.

        Args:
            retry_after: the Retry-After in seconds from now, if the server sent one; bounded here again.
        """
        traffic = self._traffic
        traffic.release(ticket)
        traffic.refused(ticket, now)
        self._refusals += 1
        if self._control.state is GateState.OPEN and self._cap.explains_refusal(
            ticket, now, in_flight=len(traffic.in_flight)
        ):
            return
        if self._closure is None:
            self._closures += 1
            self._closure = Closure(since=now, last_accepted_at=self._accepted_at)
        self._closure.had_extra |= ticket.purpose is Purpose.EXTRA
        self._closure.refused(now, retry_after, self.settings)
        self._control.close()
        self._finish_draining(now)

    def unanswered(self, ticket: Grant, now: float) -> None:
        """Note any other end of a request that may have been counted: another error, or no response."""
        self._traffic.release(ticket)
        self._traffic.unanswered(ticket, now)
        self._control.probe_voided(now + self._learner.gap_s)
        self._finish_draining(now)

    def not_sent(self, ticket: Grant, now: float) -> None:
        """Note that not one byte was sent, so the grant is returned unused."""
        self._traffic.release(ticket)
        self._traffic.not_sent(ticket)
        self._control.probe_voided(now)
        self._finish_draining(now)

    # ---- other events

    def task_finished(self, now: float) -> None:
        """Note that a running task has ended."""
        self._cap.running = max(0, self._cap.running - 1)
        if self._closure is not None:
            self._closure.task_ended = True
            if self._closure.failures >= 3:
                self._control.advance_probe(now)

    def set_running(self, n: int) -> None:
        """Replace the number of running tasks, after a restart or an adoption."""
        self._cap.running = max(0, n)

    def pace(self, on: bool, *, reserved_places: int = 0) -> None:
        """Start or stop spreading requests evenly, so that a single job never waits for a full window.

        Args:
            reserved_places: places in the window that are reserved for urgent requests.
        """
        self._traffic.is_paced, self._traffic.reserved_places = on, reserved_places

    def explore(self, is_useful: bool) -> None:
        """Say whether a higher limit would help; otherwise no extra requests are sent."""
        self._traffic.is_higher_limit_useful = is_useful

    def pause(self, until: float, reason: str) -> None:
        """Send nothing before *until*, and then a single probe first.

        Pauses merge: the latest end applies, with its reason. A pause cannot be withdrawn.
        """
        self._control.pause(until, reason, is_busy=bool(self._traffic.in_flight))

    # ---- deciding

    def _decide(self, now: float, *, is_urgent: bool = False) -> Purpose | Wait:
        self._begin(now)
        if wait := self._control.wait(now):
            return wait
        if self._control.state is GateState.OPEN:
            return self._traffic.decide(now, is_urgent=is_urgent)
        return self._traffic.decide_probe(now)

    def _begin(self, now: float) -> None:
        if self._is_new and self._knowledge is not None:
            self._learner.begin(now)
            self._cap.postpone(now)
        self._is_new = False

    def _closed_reason(self) -> str | None:
        if self._control.state is GateState.OPEN:
            return None
        return Reason.RATE_LIMITED if self._closure is not None else self._control.pause_reason

    # ---- acting

    def _grant(self, purpose: Purpose, now: float, *, is_urgent: bool) -> Grant:
        if purpose is Purpose.PROBE:
            self._control.probe_sent()
            if self._closure is not None:
                self._closure.waited_full_window = now >= self._closure.release_at - SLACK_S / 2
        return self._traffic.grant(purpose, now, is_urgent=is_urgent)

    def _finish_draining(self, now: float) -> None:
        if not self._traffic.in_flight and self._control.requests_drained() and self._closure is not None:
            self._attribute_refusal(self._closure, now)

    def _attribute_refusal(self, closure: Closure, now: float) -> None:
        learner, log = self._learner, self._traffic.log
        closure.failures += 1
        if closure.failures == 1:
            closure.running = self._cap.running
            closure.measured = log.count_accepted(closure.since, learner.span_s)
            count = log.count(closure.since, learner.span_s + SLACK_S) - closure.refusals
            learner.attribute(closure, count, now)
        elif closure.failures == 2:
            learner.probe_refused(closure, now)
            if self._cap.value is None and closure.is_near_cap(self.settings.cap_prior):
                self._attribute_to_cap(closure, now)
                return
        room = max(1, min(learner.ceiling, closure.measured))
        release_at = log.room_at(room, now, learner.span_s)
        self._control.schedule_probe(*closure.schedule(now, learner.gap_s, release_at, self.settings))

    def _reopen(self, ticket: Grant, now: float) -> None:
        closure = self._closure
        is_explained = closure is not None and closure.failures == 1 and closure.cause is not Cause.UNEXPLAINED
        self._traffic.limit_parallel(self.settings.parallel_first if is_explained else 1)
        if closure is not None and closure.was_cap(now, self.settings):
            self._attribute_to_cap(closure, now)
        elif closure is not None:
            self._learner.reopened(closure, ticket.at)
        self._open(now)

    def _attribute_to_cap(self, closure: Closure, now: float) -> None:
        self._cap.learn(now)
        self._learner.revert_for_cap(closure)
        self._open(now)

    def _open(self, now: float) -> None:
        self._closure = None
        self._control.open(now)
