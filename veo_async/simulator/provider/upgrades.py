"""1080p and 4K upgrades of finished tasks.

The first get-1080p-video request starts the upgrade and is charged, although it is a GET; the same holds for the first
get-4k-video request. Later requests report the progress, mostly as errors. The provider's documentation and its actual
responses differ about "not ready" and "ready", so both formats are settings. A failed upgrade is refunded and answers
every later request with code 500 and the sentence that is documented for 4K; for 1080p we assume the same one.
"""

from typing import Any

import attrs

from . import prices
from .account import Account
from .job_requests import JobRequest
from .messages import ErrorResponse, SimRequest, SimResponse, envelope, success
from .outcomes import NO_UPGRADE, draw_outcome
from .tasks import Kind, Route, Task

_1080P_NOT_READY = "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly."
_4K_NOT_READY = "4k is processing. It should be ready in 5-10 minutes. Please check back shortly."
_4K_READY = "The video has been generated successfully"


class Upgrades:
    """The upgrades of one account's tasks."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._settings = account.settings
        self._started: dict[tuple[Kind, str], Task] = {}

    def hd_video(self, request: SimRequest, now: float) -> SimResponse:
        """Respond to get-1080p-video."""
        source = self._source(request.query, now)
        upgrade = self._started.get(("1080p", source.id))
        if upgrade is None:
            upgrade = self._start("1080p", source, dict(request.query), request.key, now)
            source.upgraded_to_1080p = True
        if upgrade.flag(now) == 1:
            return success({"resultUrl": upgrade.urls[0]})
        if upgrade.flag(now):
            raise ErrorResponse(500, NO_UPGRADE["1080p"])
        code, _, form = self._settings.not_ready_1080p.partition("-")
        raise ErrorResponse(int(code), _1080P_NOT_READY, form="http" if form == "http" else "body")

    def four_k_video(self, request: SimRequest, now: float) -> SimResponse:
        """Respond to get-4k-video."""
        body = request.json()
        body = body if isinstance(body, dict) else {}
        source = self._source(body, now)
        upgrade = self._started.get(("4k", source.id))
        if upgrade is not None:
            return self._4k_progress(upgrade, now)
        self._account.check_rate("get-4k-video", now)
        upgrade = self._start("4k", source, body, request.key, now)
        return success(_4k_data(upgrade.id))

    def _4k_progress(self, upgrade: Task, now: float) -> SimResponse:
        """Respond to a repeated get-4k-video: usually an error, even if it contains the video."""
        flag = upgrade.flag(now)
        if flag == 0:
            raise ErrorResponse(422, _4K_NOT_READY, data=_4k_data(upgrade.id), form="body")
        if flag != 1:
            raise ErrorResponse(500, NO_UPGRADE["4k"], data={"taskId": upgrade.id})
        data = _4k_data(upgrade.id, list(upgrade.urls), list(upgrade.image_urls))
        if self._settings.done_4k == "200":
            return success(data)
        return SimResponse(body=envelope(data, code=422, message=_4K_READY))

    def create_task(self, kind: Kind, job: JobRequest, key: str, now: float) -> Task:
        """Start an upgrade on the jobs route. It is a new task each time, and each is charged."""
        source = self._account.known_task(job.body["taskId"], "jobs")
        if source is None or source.flag(now) != 1:
            raise ErrorResponse(422, "record status is not success.")
        if str(job.body.get("index") or 0) != "0":
            raise ErrorResponse(422, "record result data not exist.")
        task = self._start(kind, source, dict(job.body), key, now, job=job)
        source.upgraded_to_1080p |= kind == "1080p"
        return task

    def _source(self, fields: Any, now: float) -> Task:
        """Return the finished task to upgrade.

        Raises:
            ErrorResponse: code 422; the task does not exist, has not succeeded, or has no video of this index.
        """
        source = self._account.find_task(fields.get("taskId"), now)
        if source is None or source.flag(now) != 1:
            raise ErrorResponse(422, "record status is not success.")
        if str(fields.get("index") or 0) != "0":
            raise ErrorResponse(422, "record result data not exist.")
        return source

    def _start(
        self, kind: Kind, source: Task, body: dict[str, Any], key: str, now: float, *, job: JobRequest | None = None
    ) -> Task:
        account = self._account
        account.check_features(kind)
        cost = prices.HD_CREDITS if kind == "1080p" else prices.FOUR_K_CREDITS
        account.check_funds(cost, key, now)
        # The prompt and the resolution belong to the source: neither affects the upgrade's outcome or duration.
        upgrade = attrs.evolve(
            source.request,
            endpoint="get-1080p-video" if kind == "1080p" else "get-4k-video",
            prompt="",
            resolution="720p",
            callback_url=body.get("callBackUrl"),
            body=body,
            params=job.params if job else source.request.params,
        )
        outcome = draw_outcome(kind, upgrade, account.rng, self._settings, is_refused=False)
        if f"[fail-{kind}]" in source.request.prompt:
            outcome = attrs.evolve(outcome, flag=3, code=500, message=NO_UPGRADE[kind])
        route: Route = "jobs" if job else "veo"
        task = account.create_task(kind, upgrade, outcome, now, source=source, route=route)
        if job is None:
            self._name(task, source)
        account.charge(task, cost, key, now)
        return task

    def _name(self, task: Task, source: Task) -> None:
        """Give an upgrade of the dedicated endpoints its id, and remember it for later requests."""
        if task.kind == "1080p" or self._settings.four_k_task_id == "same":
            task.id = source.id
        else:
            self._account.tasks[task.id] = task
        self._started[task.kind, source.id] = task


def _4k_data(task_id: str, urls: list[str] | None = None, images: list[str] | None = None) -> dict[str, Any]:
    return {"taskId": task_id, "resultUrls": urls, "imageUrls": images}
