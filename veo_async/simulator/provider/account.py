"""One account of the provider: its balance, its limits and its tasks.

Nothing happens between requests. `Account.catch_up` applies everything that should have happened by *now*: tasks that
finished, refunds, callbacks that became due. Time, randomness and ids are arguments.
"""

import heapq
from math import ceil, inf
from random import Random
from typing import Any

from veo_async.simulator.clock import ClientTime

from .charges import Charge, ChargeLog
from .files import FileHost
from .http_headers import retry_after_headers
from .limits import make_limiter
from .messages import ErrorResponse
from .outcomes import TaskOutcome
from .requests import GenerationRequest
from .results import publish
from .settings import DAY_S, ProviderSettings
from .tasks import Kind, Route, Task, TaskIds

TOO_FREQUENT = "Your call frequency is too high. Please try again later."
_NO_CREDITS = "The current credits are insufficient. Please top up."
_KEY_CAP = "The current number of points used by apiKey has exceeded the daily limit"
_DISABLED = "The requested feature is currently disabled"


class Account:
    """The balance, limits, charges and tasks of one account."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        *,
        rng: Random,
        ids: TaskIds,
        files: FileHost,
        client_time: ClientTime,
    ) -> None:
        self.name = name
        #: The balance. A test may set it, for example to 0 to provoke code 402.
        self.credits: float = settings.credits
        self.charge_log: ChargeLog = ChargeLog()
        self.tasks: dict[str, Task] = {}
        self.settings = settings
        self.rng = rng
        self.files = files
        self._ids = ids
        self._client_time = client_time
        counts_rejected = settings.count_rejected
        self._creations = make_limiter(settings.limiter, settings.rate, counts_rejected=counts_rejected)
        polls = settings.poll_rate
        self._polls = make_limiter("sliding" if polls else "none", polls or (1, 1), counts_rejected=counts_rejected)
        self._running: list[tuple[float, int, Task]] = []
        self._finished: list[Task] = []
        self._spent: dict[tuple[str, int], float] = {}

    # --- time -------------------------------------------------------------------------------------------------

    def catch_up(self, now: float) -> None:
        """Finish every task that should have finished by *now*."""
        while self._running and self._running[0][0] <= now:
            _, _, task = heapq.heappop(self._running)
            self._finish(task)

    def finished_with_callback(self, now: float) -> list[Task]:
        """Return the tasks with a callback address that finished since the last call."""
        self.catch_up(now)
        finished, self._finished = self._finished, []
        return finished

    def next_deadline(self, now: float) -> float:
        """Return when the next task finishes; `inf` if none is running."""
        return now if self._finished else self._running[0][0] if self._running else inf

    @property
    def running(self) -> int:
        """The number of running tasks, as of the last request."""
        return len(self._running)

    def _finish(self, task: Task) -> None:
        if task.outcome.is_success:
            publish(task, self.files, self.settings.file_ttl_s, self.settings.delivered_resolution)
        else:
            self.credits += self.charge_log.refund(task.request.endpoint, task.id, task.completes_at)
        task.balance_after = self.credits
        if task.callback_url:
            self._finished.append(task)

    # --- checks -----------------------------------------------------------------------------------------------

    def check_rate(self, endpoint: str, now: float) -> None:
        """Raise code 429 unless this creating request is accepted now."""
        if endpoint not in self.settings.limited_endpoints:
            return
        if self.settings.max_running is not None and self.running >= self.settings.max_running:
            raise self._too_frequent(self._running[0][0] - now)
        if wait_s := self._creations.take(now):
            raise self._too_frequent(wait_s)

    def check_poll_rate(self, now: float) -> None:
        """Raise code 429 unless this poll is accepted now."""
        if wait_s := self._polls.take(now):
            raise self._too_frequent(wait_s)

    def check_task_polls(self, task: Task, now: float) -> None:
        """Raise code 429 unless this poll of *task* is accepted now."""
        if wait_s := self.take_task_poll(task, "veo", now):
            raise self._too_frequent(wait_s)

    def take_task_poll(self, task: Task, route: Route, now: float) -> float:
        """Count a poll of *task* on *route*; return how long it must wait, 0 if it is accepted."""
        rate = self.settings.task_poll_rate if route == "veo" else self.settings.poll_rate_per_task
        if rate is None:
            return 0.0
        if route not in task.polls:
            task.polls[route] = make_limiter("sliding", rate, counts_rejected=self.settings.count_rejected)
        return task.polls[route].take(now)

    def _too_frequent(self, wait_s: float) -> ErrorResponse:
        is_announced = self.settings.retry_after and wait_s < inf
        retry_after = ceil(wait_s / self._client_time.speed) if is_announced else None
        headers = retry_after_headers(retry_after, self.settings.retry_after or "seconds", self.settings.wall_clock())
        return ErrorResponse(429, TOO_FREQUENT, form=self.settings.rate_limit_style, headers=tuple(headers))

    def check_features(self, *names: str | None) -> None:
        """Raise code 505 if one of *names* is disabled."""
        if self.settings.is_disabled(names):
            raise ErrorResponse(505, _DISABLED)

    def check_funds(self, cost: float, key: str, now: float) -> None:
        """Raise code 433 if *cost* exceeds the daily cap of *key*, or 402 if it exceeds the balance."""
        cap = self.settings.key_daily_cap
        if cap is not None and self._spent.get((key, int(now // DAY_S)), 0.0) + cost > cap:
            raise ErrorResponse(433, _KEY_CAP)
        if cost > self.credits:
            raise ErrorResponse(402, _NO_CREDITS)

    # --- tasks ------------------------------------------------------------------------------------------------

    def create_task(
        self,
        kind: Kind,
        request: GenerationRequest,
        outcome: TaskOutcome,
        now: float,
        *,
        source: Task | None = None,
        route: Route = "veo",
    ) -> Task:
        """Create a task that starts running now."""
        task_id, number = self._ids.next()
        task = Task(
            id=task_id,
            number=number if source is None else source.number,
            kind=kind,
            route=route,
            account=self.name,
            request=request,
            outcome=outcome,
            created_at=now,
            completes_at=now + outcome.duration_s,
            client_time=self._client_time,
            seed=request.seeds or self.rng.randrange(10000, 100000),
            source=source,
        )
        if kind in ("generate", "extend") or route == "jobs":
            self.tasks[task_id] = task
        heapq.heappush(self._running, (task.completes_at, self._ids.count, task))
        return task

    def charge(self, task: Task, cost: float, key: str, now: float) -> None:
        """Deduct *cost* for *task* from the balance and log the charge."""
        self.credits -= cost
        self._spent[key, int(now // DAY_S)] = self._spent.get((key, int(now // DAY_S)), 0.0) + cost
        task.credits = cost
        charge = Charge(
            task_id=task.id,
            endpoint=task.request.endpoint,
            account=self.name,
            credits=cost,
            body=task.request.body,
            callback_url=task.callback_url,
            at=now,
        )
        self.charge_log.charge(charge)

    def known_task(self, task_id: Any, route: Route) -> Task | None:
        """Return the task, or None if it does not exist or *route* does not know the other route's tasks."""
        task = self.tasks.get(str(task_id or ""))
        is_known = task is not None and (task.route == route or self.settings.cross_reading == "both")
        return task if is_known else None

    def find_task(self, task_id: Any, now: float) -> Task | None:
        """Return the task, or None if its record does not exist yet and ``record_delay_form`` is ``null``.

        Raises:
            ErrorResponse: code 422; the record does not exist, not yet, or no longer.
        """
        task = self.known_task(task_id, "veo")
        is_delayed = task is not None and now < task.created_at + self.settings.record_delay_s
        if is_delayed and self.settings.record_delay_form == "null":
            return None
        if task is None or is_delayed:
            raise ErrorResponse(422, "record is null.")
        if now > task.created_at + self.settings.record_ttl_s:
            raise ErrorResponse(422, "Temporarily supports records within 14 days.")
        return task
