"""The route of new requests, and its change: with ``route="auto"`` they leave the ``veo`` route if it is gone.

`RouteChoice` decides; this module passes on what happened, and carries out the decision:

- A 404 for a new clip pauses submission. After `MIN_GAP_S` another job is sent as the probe.
- After the second 404 the balance is read.
- If that succeeds, the route changes: a warning in the log, `RouteChanged` for each waiting job, and submission
  resumes. Jobs that the new route cannot express are refused.

A 404 with the provider's envelope proves that nothing was created, so its job waits, too. A 404 of another server says
as much about the route, but nothing about the job, which is in doubt as after any such response.
"""

from typing import Final

import attrs

from veo_async._rules.credits.min_balance import BalanceRead
from veo_async._rules.credits.prices import ROUTE_PRICES, clips_cost_the_same
from veo_async._rules.pauses import PauseReason
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._rules.route_choice import RouteChoice, Step
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.clock import loop_time
from veo_async._runtime.job.events import RouteChanged
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._wire import RouteName, VideoRequest, route_named
from veo_async.errors import InvalidRequest, NotFound, VeoError

from .key_renewal import KeyRenewer
from .pauses import Pauses

logger = logger_for(__name__)

_REASON: Final = "the dedicated Veo endpoints respond with 404"
_SUMMARIES: Final[dict[RouteName, str]] = {
    "veo": "the provider's dedicated Veo endpoints do not exist",
    "jobs": "the provider's jobs API does not exist",
}
_IF_WAITING: Final = "Another request is tried in two minutes, before the route is changed."
_REMEDIES: Final[dict[RouteName, str]] = {
    "veo": "Take its other route with Network(route='auto') or --route jobs.",
    "jobs": "Take its other route with Network(route='veo') or --route veo.",
}
_IF_ALONE: Final = "No other request could confirm it. Take the other route with Network(route='jobs') or --route jobs."


@attrs.define(eq=False, repr=False)
class RouteChanges:
    """The route of new requests in one session."""

    _choice: RouteChoice
    _keys: KeyRenewer
    _queue: FairQueue[LiveJob]
    _pauses: Pauses
    _announcer: Announcer
    _transitions: Transitions

    def route_for(self, job: LiveJob) -> RouteName:
        """Return the route of *job* if it is sent now; a follow-up takes that of its source."""
        return self._choice.route_for(None if job.follow_up is None else job.route)

    def problem_of(self, job: LiveJob) -> InvalidRequest | None:
        """Return why *job* cannot be sent on its route, if so."""
        if job.request is None or job.attempts:
            return None
        problems = tuple(route_named(self.route_for(job)).problems_of(job.request))
        return InvalidRequest.of(*problems) if problems else None

    def is_good_probe(self, job: LiveJob) -> bool:
        """Return whether a 404 for *job* would show that the route is gone."""
        return _is_new_clip(job) and self._choice.is_evidence_from(job.key, loop_time())

    def is_lost(self, job: LiveJob, error: VeoError) -> bool:
        """Return whether *error* says that the route of a new clip does not exist."""
        return type(error) is NotFound and error.task_id is None and _is_new_clip(job)

    def not_found(self, job: LiveJob, error: VeoError, *, key_number: int, is_probe: bool) -> bool:
        """Note a 404 that `is_lost` accepts. Pause submission if another route may be taken, and return whether *job*
        may take it, too.
        """
        now, pauses, route = loop_time(), self._pauses, job.route or "veo"
        is_alone = not any(map(_is_new_clip, self._queue))
        step = self._choice.not_found(job.key, route, now, key_number=key_number, is_alone=is_alone)
        # A request that may have been charged is never repeated on another route.
        may_wait = step is not Step.REFUSE and job.attempts == 0
        error.add_evidence(summary=_SUMMARIES[route], remedy=_IF_WAITING if may_wait else self._remedy(route))
        if job.attempts and not self._choice.is_automatic:  # the job's own remedy is about its possible charge
            logger.warning("%s. %s", error.message, _REMEDIES[route], extra=job.log_extra("route-gone"))
        if step in (Step.WAIT, Step.READ_BALANCE):
            pauses.pause(PauseReason.ROUTE_GONE, error, is_probe=is_probe)
        elif step is Step.REQUEUE and is_probe:
            pauses.state.probe_not_sent(now)
        if step is Step.READ_BALANCE:
            pauses.state.route_lost(now)
        return may_wait

    def _remedy(self, route: RouteName) -> str:
        return _IF_ALONE if route == "veo" and self._choice.is_automatic else _REMEDIES[route]

    def accepted(self, job: LiveJob) -> None:
        """Note that the request of *job* was accepted."""
        if _is_new_clip(job) and self._choice.accepted(job.route or "veo"):
            self._pauses.route_found()

    def balance_read(self, read: BalanceRead, balance: float | None) -> None:
        """Note the balance that was read after the second 404, and change the route if it may be."""
        self._pauses.balance_read(read, balance)
        step = self._choice.balance_read(
            is_success=balance is not None,
            key_number=self._keys.generation,
            prices_are_equal=clips_cost_the_same("veo", "jobs", ROUTE_PRICES),
        )
        if step is Step.MOVE:
            self._move()
            return
        self._pauses.state.route_kept(loop_time())
        if step is Step.STOP:
            message = "%s, and the jobs API has other prices: no new clips are made. Use --route jobs to accept them."
            logger.error(message, _REASON, extra={"action": "route-stopped"})

    def _move(self) -> None:
        extra = {"action": "route-changed", "reason": _REASON}
        logger.warning("new requests now take the route jobs instead of veo: %s", _REASON, extra=extra)
        for job in self._queue:
            if _is_new_clip(job):
                self._announcer.notify(job, RouteChanged(job.key, "veo", "jobs", _REASON))
        for job in self._queue:
            if (error := self.problem_of(job)) is not None:
                self._queue.remove(job)
                _ = self._transitions.recovery.start(job, self._transitions.refuse(job, error), f"refuse:{job.key}")
        self._pauses.route_found()


def _is_new_clip(job: LiveJob) -> bool:
    return isinstance(job.request, VideoRequest)
