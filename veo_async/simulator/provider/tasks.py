"""A task's life. Its end is decided when it is made, so its state is a plain function of the time.

::

    made ──(record_gap_s)──> known ──(duration_s)──> done ──(urls_after_s)──> with URLs
                                        └───────> failed, refunded
"""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from .outcomes import TaskOutcome
from .requests import GenerationRequest

Kind = Literal["generate", "extend", "1080p", "4k"]


@attrs.define(eq=False, kw_only=True)
class Task:
    """One piece of work of the provider."""

    id: str
    #: Counts up over all accounts; picks the clip.
    number: int
    kind: Kind
    account: str
    request: GenerationRequest
    outcome: TaskOutcome
    #: Simulated epoch seconds.
    created_at: float
    completes_at: float
    seed: int
    #: The task that this one goes on from.
    source: "Task | None" = attrs.field(default=None, repr=False)
    credits: float = 0.0
    #: Results, once it is done.
    urls: tuple[str, ...] = ()
    full_urls: tuple[str, ...] = ()
    origin_urls: tuple[str, ...] = ()
    image_urls: tuple[str, ...] = ()
    #: Its 1080p version was asked for; after that it cannot be extended.
    upgraded_to_1080p: bool = False
    #: The record's last phase and how it was written then.
    cached_record: tuple[tuple[int, bool], bytes] | None = attrs.field(default=None, repr=False)

    def flag(self, now: float) -> int:
        """0 making, 1 done, 2 and 3 failed."""
        return 0 if now < self.completes_at else self.outcome.flag

    def urls_at(self, now: float) -> tuple[str, ...]:
        """The results that the record shows at *now*."""
        return self.urls if now >= self.completes_at + self.outcome.urls_after_s else ()

    @property
    def resolution(self) -> str:
        return {"1080p": "1080p", "4k": "4k"}.get(self.kind, self.request.resolution)

    @property
    def callback_url(self) -> str | None:
        return self.request.callback_url

    @property
    def params(self) -> Mapping[str, Any]:
        return self.request.params
