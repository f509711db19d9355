"""The provider's tasks. A task's outcome is drawn when it is created, so its state is a function of time alone.

::

    created ──(record_delay_s)──> record exists ──(duration_s)──> succeeded ──(urls_after_s)──> has URLs
                                                        └───────> failed, refunded
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Literal

import attrs

from veo_async.simulator.clock import ClientTime

from .limits import Limiter
from .outcomes import TaskOutcome
from .requests import GenerationRequest

Kind = Literal["generate", "extend", "1080p", "4k"]
#: ``veo``: the dedicated Veo endpoints; ``jobs``: createTask and recordInfo.
Route = Literal["veo", "jobs"]


@attrs.define
class TaskIds:
    """Generates the id and the number of each new task."""

    rng: Random
    dialect: str
    #: Ids to use before random ones.
    scripted: list[str]
    count: int = 0

    def next(self) -> tuple[str, int]:
        """Return the id and the number of the next task."""
        self.count += 1
        if self.scripted:
            return self.scripted.pop(0), self.count
        if self.dialect in ("real", "apikley"):
            return self.rng.randbytes(16).hex(), self.count
        return f"veo_task_{self.rng.randbytes(6).hex()}", self.count


@attrs.define(eq=False, kw_only=True)
class Task:
    """One generation, extension or upgrade."""

    id: str
    #: Counts over all accounts; it selects the clip.
    number: int
    kind: Kind
    #: The route on which it was created.
    route: Route = "veo"
    account: str
    request: GenerationRequest
    outcome: TaskOutcome
    #: Simulated epoch seconds.
    created_at: float
    completes_at: float
    #: Converts both to the instants that records show.
    client_time: ClientTime = attrs.field(repr=False)
    seed: int
    #: The task that this one extends or upgrades.
    source: "Task | None" = attrs.field(default=None, repr=False)
    credits: float = 0.0
    #: The balance of the account right after it finished.
    balance_after: float = 0.0
    #: Result URLs, set when the task succeeds.
    urls: tuple[str, ...] = ()
    full_urls: tuple[str, ...] = ()
    origin_urls: tuple[str, ...] = ()
    image_urls: tuple[str, ...] = ()
    #: A 1080p version was requested; the clip can no longer be extended.
    upgraded_to_1080p: bool = False
    #: Count the polls of its record, by route.
    polls: dict[Route, Limiter] = attrs.field(factory=dict, repr=False)
    #: The state in which the record was last encoded, and the encoded record.
    cached_record: tuple[tuple[str, int, bool], bytes] | None = attrs.field(default=None, repr=False)

    def flag(self, now: float) -> int:
        """Return the success flag: 0 generating, 1 succeeded, 2 or 3 failed."""
        return 0 if now < self.completes_at else self.outcome.flag

    def job_state(self, now: float, states: Sequence[str]) -> str:
        """Return the state of a running task on the jobs route: each of *states* but the last takes a tenth of it."""
        tenth_s = 0.1 * (self.completes_at - self.created_at)
        begun = sum(now >= self.created_at + n * tenth_s for n in range(1, len(states)))
        return states[begun]

    def urls_at(self, now: float) -> tuple[str, ...]:
        """Return the result URLs that the record shows at *now*."""
        return self.urls if now >= self.completes_at + self.outcome.urls_after_s else ()

    @property
    def resolution(self) -> str:
        """The resolution of the result."""
        return {"1080p": "1080p", "4k": "4k"}.get(self.kind, self.request.resolution)

    @property
    def callback_url(self) -> str | None:
        """The address for the callback, if the client gave one."""
        return self.request.callback_url

    @property
    def params(self) -> Mapping[str, Any]:
        """The request as the record shows it in ``paramJson``."""
        return self.request.params
