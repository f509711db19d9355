"""One account of the provider: a pure machine, ``handle(request, now) -> answer``.

Nothing happens between calls. What would have happened by *now* (tasks that ended, credits given back, callbacks that
fell due) is made up for at the start of each call, from a heap of ends. Time, chance and ids are handed in.

Order of the checks of a creating call, as it can be seen from outside: maintenance (455), the rate limit and the cap
on running tasks (429), the request itself (422), switched-off features (505), the key's own cap (433), the balance
(402), the content (422). A request that the rate limit let pass counts, whatever becomes of it later.
"""

import heapq
from collections.abc import Callable
from math import ceil, inf
from random import Random
from typing import Any
from urllib.parse import unquote

import attrs

from veo_async.simulator.faults.damage import retry_after_headers
from veo_async.simulator.settings import DAY_S, SimulatorSettings

from . import prices, shapes
from .charges import Charge, ChargeLog
from .files import FileHost
from .limits import make_limiter
from .messages import ErrorResponse, SimRequest, SimResponse, envelope, success
from .outcomes import UNFETCHABLE_IMAGE, UNREACHABLE_IMAGE, TaskOutcome, check_content, draw_outcome
from .requests import GenerationRequest, parse_extend, parse_generate
from .results import publish
from .tasks import Kind, Task
from .upgrades import Upgrades

_TOO_FREQUENT = "Your call frequency is too high. Please try again later."
_NO_CREDITS = "The current credits are insufficient. Please top up."
_KEY_CAP = "The current number of points used by apiKey has exceeded the daily limit"


@attrs.define
class Ids:
    """Gives every task of the provider its id and its number."""

    rng: Random
    dialect: str
    #: Ids to give out first.
    scripted: list[str]
    count: int = 0

    def next(self) -> tuple[str, int]:
        self.count += 1
        if self.scripted:
            return self.scripted.pop(0), self.count
        if self.dialect in ("real", "apikley"):
            return self.rng.randbytes(16).hex(), self.count
        return f"veo_task_{self.rng.randbytes(6).hex()}", self.count


class Account:
    """What one account has, owes and runs."""

    def __init__(self, name: str, settings: SimulatorSettings, *, rng: Random, ids: Ids, files: FileHost) -> None:
        self.name = name
        #: The balance; set it to try what an empty account does.
        self.credits: float = settings.credits
        self.charge_log: ChargeLog = ChargeLog()
        self.tasks: dict[str, Task] = {}
        self.settings = settings
        self.rng = rng
        self.files = files
        self._ids = ids
        counts = settings.count_rejected
        self._creations = make_limiter(settings.limiter, settings.rate, counts_rejected=counts)
        polls = settings.poll_rate
        self._polls = make_limiter("sliding" if polls else "none", polls or (1, 1), counts_rejected=counts)
        self._running: list[tuple[float, int, Task]] = []
        self._ended: list[Task] = []
        self._spent: dict[tuple[str, int], float] = {}
        upgrades = Upgrades(self)
        self._answers: dict[str, Callable[[SimRequest, float], SimResponse]] = {
            "generate": self._generate,
            "extend": self._extend,
            "record-info": self._record_info,
            "get-1080p-video": upgrades.hd_video,
            "get-4k-video": upgrades.four_k_video,
            "credit": self._credit,
            "download-url": self._download_url,
        }

    def handle(self, request: SimRequest, now: float) -> SimResponse:
        """The answer to *request*, whose key is known to bill this account."""
        self.catch_up(now)
        try:
            return self._answers[request.endpoint](request, now)
        except ErrorResponse as refusal:
            return refusal.answer(self.settings.error_style)

    def catch_up(self, now: float) -> None:
        """Make up for what has happened by *now*."""
        while self._running and self._running[0][0] <= now:
            _, _, task = heapq.heappop(self._running)
            self._end(task)

    def due_callbacks(self, now: float) -> list[Task]:
        """Tasks with a callback address that have ended since this was last asked."""
        self.catch_up(now)
        ended, self._ended = self._ended, []
        return ended

    def next_deadline(self, now: float) -> float:
        """When something will happen of itself; `inf` for never."""
        return now if self._ended else self._running[0][0] if self._running else inf

    @property
    def running(self) -> int:
        """How many tasks are being made, as of the last call."""
        return len(self._running)

    # --- creating ---------------------------------------------------------------------------------------------

    def _generate(self, request: SimRequest, now: float) -> SimResponse:
        self.check_rate("generate", now)
        generation = parse_generate(request.json(), self.settings.dialect, self.settings.unknown_fields)
        self.check_features(generation.model, generation.generation_type, generation.resolution)
        cost = prices.video_credits(generation.model, generation.resolution)
        self.check_funds(cost, request.key, now)
        is_refused = check_content(generation, self.rng, self.settings)
        outcome = draw_outcome(generation.model, generation, self.rng, self.settings, is_refused=is_refused)
        if not self._images_available(generation, now):
            outcome = attrs.evolve(outcome, flag=3, code=400, message=UNFETCHABLE_IMAGE)
        task = self.make("generate", generation, outcome, now)
        self.charge(task, cost, request.key, now)
        return success({"taskId": task.id})

    def _images_available(self, request: GenerationRequest, now: float) -> bool:
        """Whether the images on our own host are still there; what lies elsewhere is believed to be."""
        ours = [unquote(url) for url in request.body.get("imageUrls") or () if self.files.is_own_url(url)]
        found = [self.files.find(url) for url in ours]
        return all(file is not None and now < file.expires_at for file in found)

    def _extend(self, request: SimRequest, now: float) -> SimResponse:
        self.check_rate("extend", now)
        extension = parse_extend(request.json(), self.settings.unknown_fields)
        source = self._source_to_extend(str(extension.body["taskId"]), now)
        self.check_features(extension.model, "extend")
        cost = prices.extend_credits(extension.model)
        self.check_funds(cost, request.key, now)
        is_refused = check_content(extension, self.rng, self.settings)
        outcome = draw_outcome("extend", extension, self.rng, self.settings, is_refused=is_refused)
        extension = attrs.evolve(extension, aspect_ratio=source.request.aspect_ratio)
        task = self.make("extend", extension, outcome, now, source=source)
        self.charge(task, cost, request.key, now)
        return success({"taskId": task.id})

    def _source_to_extend(self, task_id: str, now: float) -> Task:
        source = self.tasks.get(task_id)
        if source is None:
            raise ErrorResponse(self.settings.extend_unknown_code, "Original video or task does not exist")
        if source.flag(now) != 1:
            raise ErrorResponse(422, "record status is not success.")
        if source.upgraded_to_1080p:
            raise ErrorResponse(422, "A video that was upgraded to 1080P cannot be extended.")
        return source

    def check_rate(self, endpoint: str, now: float) -> None:
        """Raise 429 unless this creation may pass now."""
        if endpoint not in self.settings.limited_endpoints:
            return
        if self.settings.max_running is not None and self.running >= self.settings.max_running:
            raise self._too_frequent(self._running[0][0] - now, now)
        if wait_s := self._creations.take(now):
            raise self._too_frequent(wait_s, now)

    def _too_frequent(self, wait_s: float, now: float) -> ErrorResponse:
        wish = ceil(wait_s / self.settings.speed) if self.settings.retry_after and wait_s < inf else None
        headers = retry_after_headers(wish, self.settings.retry_after or "seconds", self.settings.wall_clock())
        return ErrorResponse(429, _TOO_FREQUENT, form=self.settings.rate_limit_style, headers=tuple(headers))

    def check_features(self, *names: str | None) -> None:
        """Raise 505 when one of *names* is switched off."""
        if self.settings.is_disabled(names):
            raise ErrorResponse(505, "The requested feature is currently disabled")

    def check_funds(self, cost: float, key: str, now: float) -> None:
        """Raise 433 or 402 unless *key* may spend *cost* now."""
        cap = self.settings.key_daily_cap
        if cap is not None and self._spent.get((key, int(now // DAY_S)), 0.0) + cost > cap:
            raise ErrorResponse(433, _KEY_CAP)
        if cost > self.credits:
            raise ErrorResponse(402, _NO_CREDITS)

    def make(
        self, kind: Kind, request: GenerationRequest, outcome: TaskOutcome, now: float, *, source: Task | None = None
    ) -> Task:
        """A new task, running from now."""
        task_id, number = self._ids.next()
        task = Task(
            id=task_id,
            number=number if source is None else source.number,
            kind=kind,
            account=self.name,
            request=request,
            outcome=outcome,
            created_at=now,
            completes_at=now + outcome.duration_s,
            seed=request.seeds or self.rng.randrange(10000, 100000),
            source=source,
        )
        if kind in ("generate", "extend"):
            self.tasks[task_id] = task
        heapq.heappush(self._running, (task.completes_at, self._ids.count, task))
        return task

    def charge(self, task: Task, cost: float, key: str, now: float) -> None:
        """Take *cost* for *task* and write it into the book."""
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

    def _end(self, task: Task) -> None:
        if task.outcome.is_success:
            publish(task, self.files, self.settings.file_ttl_s)
        else:
            self.credits += self.charge_log.refund(task.request.endpoint, task.id, task.completes_at)
        if task.callback_url:
            self._ended.append(task)

    # --- looking ----------------------------------------------------------------------------------------------

    def _record_info(self, request: SimRequest, now: float) -> SimResponse:
        if wait_s := self._polls.take(now):
            raise self._too_frequent(wait_s, now)
        task = self.find_task(request.query.get("taskId"), now)
        if task is None:
            return success(None)
        if task.outcome.record_is_error and task.flag(now):
            raise ErrorResponse(500, "Task generation failed", data={"errorMessage": UNREACHABLE_IMAGE})
        return SimResponse(body=self._record_body(task, now))

    def _record_body(self, task: Task, now: float) -> bytes:
        """The record of *task*, written once per phase of its life: thousands of polls ask for the same bytes."""
        phase = task.flag(now), bool(task.urls_at(now))
        if task.cached_record is None or task.cached_record[0] != phase:
            task.cached_record = phase, envelope(shapes.record(task, now, self.settings.dialect))
        return task.cached_record[1]

    def find_task(self, task_id: Any, now: float) -> Task | None:
        """The task of that id; None in the gap after its making, if the gap is told that way."""
        task = self.tasks.get(str(task_id or ""))
        is_young = task is not None and now < task.created_at + self.settings.record_delay_s
        if is_young and self.settings.record_delay_form == "null":
            return None
        if task is None or is_young:
            raise ErrorResponse(422, "record is null.")
        if now > task.created_at + self.settings.record_ttl_s:
            raise ErrorResponse(422, "Temporarily supports records within 14 days.")
        return task

    def _credit(self, request: SimRequest, now: float) -> SimResponse:
        return success(self.credits)

    def _download_url(self, request: SimRequest, now: float) -> SimResponse:
        """A link for any address of ours: the provider does not look whether anything lies behind it."""
        body = request.json()
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str) or not self.files.is_own_url(url):
            raise ErrorResponse(422, "Only URLs generated by this service are supported")
        name = f"t/{self.rng.randbytes(16).hex()}"
        behind = self.files.find(url)
        if behind is None:
            return success(f"{self.files.base_url}/files/{name}")
        return success(self.files.put(name, behind.content, now=now, ttl_s=self.settings.link_ttl_s))
