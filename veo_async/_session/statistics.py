"""`Statistics`: a snapshot of a session."""

from collections.abc import Mapping

import attrs

from veo_async._base.numbers import format_number
from veo_async._rules.lifecycle import JobState
from veo_async._rules.rate_limit import RateLimitStatistics
from veo_async._runtime.queued.spending import CreditUsage
from veo_async._runtime.running.price_check import PriceDifferences
from veo_async._runtime.running.watched_task import WatcherStatistics
from veo_async._wire import RouteName


@attrs.frozen(kw_only=True)
class Statistics:
    """A snapshot of a session. ``print()`` shows it in one line.

    Attributes:
        jobs: how many jobs of this session are in each state, including all that have finished.
        slots_in_use: tasks that occupy a slot.
        max_in_flight: how many slots there are.
        pause_reason: why no request is sent at present; None if only the rate limit decides.
        rate_limit: its state, the learned limits, and how often the provider refused a request.
        watcher: tasks that are polled, polls and failed polls.
        credits: estimated, reserved and measured spending.
        price_differences: jobs whose tasks cost more or less than the price table says, and jobs on hold for it.
        route: the route of new requests.
        is_route_changed: whether that is another one than at first, because ``route="auto"`` has changed it.
        callback_responses: received callbacks, by the HTTP status they were answered with.
    """

    jobs: Mapping[JobState, int]
    slots_in_use: int
    max_in_flight: int
    pause_reason: str | None
    rate_limit: RateLimitStatistics
    watcher: WatcherStatistics
    credits: CreditUsage
    price_differences: PriceDifferences
    route: RouteName
    is_route_changed: bool
    callback_responses: Mapping[int, int]

    def __str__(self) -> str:
        jobs = ", ".join(f"{count} {state}" for state, count in self.jobs.items()) or "no jobs"
        slots = f"{self.slots_in_use}/{self.max_in_flight} slots"
        spent = (
            f"about {format_number(self.credits.estimated)} credits spent, "
            f"{format_number(self.credits.reserved)} reserved"
        )
        paused = f"; paused ({self.pause_reason})" if self.pause_reason else ""
        models = self.price_differences.on_hold.items()
        on_hold = "".join(f"; {count} {model} on hold (overcharge)" for model, count in models)
        changed = f"; new requests take the route {self.route}" if self.is_route_changed else ""
        return f"{jobs}; {slots}; {spent}{paused}{on_hold}{changed}"
