"""Which route new requests take, and on what evidence ``route="auto"`` leaves the dedicated endpoints.

With ``"veo"`` or ``"jobs"`` the route never changes. ``"auto"`` starts on ``"veo"`` and moves to ``"jobs"`` only if all
of this holds:

- two different generate requests got a 404, at least `MIN_GAP_S` apart,
- the balance could be read with the same API key after the first 404,
- no generate request was accepted on ``"veo"`` since then,
- the prices are the same on both routes.

Nothing else counts: no other 4xx, no 429, no 5xx, no lost response. The route never moves back.

Only requests that were not sent yet move. A request that got a 404 created nothing, so its job waits in the queue like
the others and takes the route of that later moment. A follow-up always takes the route of its source. A 404 for a
follow-up does not count, because it may be about its source; do not report it here.

Each session has its own choice. What sessions share is the route of each job on the ledger.
"""

from enum import Enum
from typing import Final, Literal

import attrs

from veo_async._wire import RouteName

#: The routes that can be chosen.
RouteSetting = Literal["veo", "jobs", "auto"]

#: Seconds between the two 404s. A restart or a faulty deployment of the provider usually ends sooner; a batch, whose
#: clips take minutes each, is delayed only once.
MIN_GAP_S: Final = 120.0


class Step(Enum):
    """What follows from a response."""

    #: Refuse the job: its route does not exist, and no other may be taken.
    REFUSE = "refuse"
    #: Queue the job again and send no generate request until the next probe.
    WAIT = "wait"
    #: Queue the job again and read the balance; report the result to `RouteChoice.balance_read`.
    READ_BALANCE = "read-balance"
    #: Queue the job again; it takes the new route.
    REQUEUE = "requeue"
    #: The route has just changed: say so, and send the waiting requests.
    MOVE = "move"
    #: The route is gone, but the other one has other prices: send nothing, and say so.
    STOP = "stop"


@attrs.define(eq=False)
class RouteChoice:
    """The route of new requests, and the evidence against it.

    Args:
        setting: the route the user chose.
    """

    _setting: RouteSetting
    route: RouteName = attrs.field(init=False)
    #: When each request first got a 404, by the key of its job.
    _not_found: dict[str, float] = attrs.field(factory=dict, init=False)
    #: The API key of this evidence.
    _key_number: int = attrs.field(default=0, init=False)
    _is_proved: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.route = "jobs" if self._setting == "jobs" else "veo"

    @property
    def is_automatic(self) -> bool:
        """Whether the route may change."""
        return self._setting == "auto"

    @property
    def is_changed(self) -> bool:
        """Whether the route has changed."""
        return self.is_automatic and self.route == "jobs"

    @property
    def is_suspicious(self) -> bool:
        """Whether a 404 has been seen, so that generate requests wait."""
        return bool(self._not_found)

    def route_for(self, source: RouteName | None = None) -> RouteName:
        """Return the route of a request that is sent now: that of its *source* if it has one."""
        return self.route if source is None else source

    def is_evidence_from(self, job_key: str, now: float) -> bool:
        """Return whether a 404 for this job at *now* would complete the two 404s: it is a good probe."""
        return any(key != job_key and now - at >= MIN_GAP_S for key, at in self._not_found.items())

    def not_found(self, job_key: str, route: RouteName, now: float, *, key_number: int, is_alone: bool = False) -> Step:
        """Note a 404 for a generate request that was sent on *route*.

        Args:
            job_key: the key of its job.
            route: the route of the request.
            now: the loop's time.
            key_number: the number of the API key of the request.
            is_alone: whether no other generate request waits. Then a second 404 for the same request refuses it: no
                other request can complete the evidence.
        """
        if not self.is_automatic or route == "jobs":
            return Step.REFUSE
        if self.route == "jobs":
            return Step.REQUEUE
        self._use_key(key_number)
        is_repeated = job_key in self._not_found
        self._is_proved = self._is_proved or self.is_evidence_from(job_key, now)
        self._not_found.setdefault(job_key, now)
        if self._is_proved:
            return Step.READ_BALANCE
        return Step.REFUSE if is_repeated and is_alone else Step.WAIT

    def balance_read(self, *, is_success: bool, key_number: int, prices_are_equal: bool) -> Step:
        """Note a balance read that began after the last 404, and decide whether to move."""
        if not self._is_proved or not is_success or key_number != self._key_number:
            return Step.WAIT
        if not prices_are_equal:
            return Step.STOP
        self._clear()
        self.route = "jobs"
        return Step.MOVE

    def accepted(self, route: RouteName) -> bool:
        """Note that a generate request was accepted on *route*. Return whether this ends a suspicion."""
        was_suspicious = route == "veo" and self.is_suspicious
        if was_suspicious:
            self._clear()
        return was_suspicious

    def _use_key(self, key_number: int) -> None:
        """Forget what another API key has shown."""
        if key_number != self._key_number:
            self._clear()
        self._key_number = key_number

    def _clear(self) -> None:
        self._not_found.clear()
        self._is_proved = False
