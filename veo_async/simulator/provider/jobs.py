"""The jobs route: createTask and recordInfo, on the same account as the dedicated Veo endpoints.

Every extension and upgrade is a task with its own id and record. Errors are codes in the body of an HTTP 200.
"""

import attrs

from veo_async._wire.models import DEFAULT_MODEL

from . import prices
from .account import TOO_FREQUENT, Account
from .creations import Creations
from .job_requests import JobRequest, parse_job
from .job_shapes import job_record, shown_state
from .messages import ErrorResponse, SimRequest, SimResponse, envelope, success
from .requests import parse_extend, parse_generate
from .tasks import Task
from .upgrades import Upgrades


class Jobs:
    """Responds to the requests of one account on the jobs route."""

    def __init__(self, account: Account, creations: Creations, upgrades: Upgrades) -> None:
        self._account = account
        self._settings = account.settings
        self._creations = creations
        self._upgrades = upgrades

    def create_task(self, request: SimRequest, now: float) -> SimResponse:
        """Respond to createTask."""
        try:
            self._account.check_rate("create-task", now)
        except ErrorResponse as error:
            error.form = "body"
            raise
        job = parse_job(request.json(), self._settings.validation_code, self._settings.unknown_fields)
        task = self._create(job, request.key, now)
        return success({"taskId": task.id, "recordId": task.id})

    def _create(self, job: JobRequest, key: str, now: float) -> Task:
        body, unknown = dict(job.body), self._settings.unknown_fields
        if job.model.kind == "generate":
            generation = attrs.evolve(parse_generate(body, "real", unknown), params=job.params)
            if self._settings.tier_ignored:
                generation = attrs.evolve(generation, model=DEFAULT_MODEL)
            return self._creations.generate(generation, key, now, route="jobs")
        source = self._account.known_task(body["taskId"], "jobs")
        if job.model.kind == "extend":
            if source is not None:
                body["model"] = "fast" if self._settings.tier_ignored else prices.extend_tier(source.request.model)
            extension = attrs.evolve(parse_extend(body, unknown), body=job.body, params=job.params)
            return self._creations.extend(extension, key, now, route="jobs")
        return self._upgrades.create_task(job.model.kind, job, key, now)

    def record_info(self, request: SimRequest, now: float) -> SimResponse:
        """Respond to recordInfo."""
        task_id = request.query.get("taskId")
        if not task_id:
            raise ErrorResponse(400, "taskId parameter is required")
        task = self._account.known_task(task_id, "jobs")
        if task is None or now < task.created_at + self._settings.record_delay_s:
            return self._no_record()
        if self._account.take_task_poll(task, "jobs", now):
            raise ErrorResponse(429, TOO_FREQUENT, form="body")
        state = f"jobs {shown_state(task, now, self._settings)}", task.flag(now), bool(task.urls_at(now))
        if task.cached_record is None or task.cached_record[0] != state:
            task.cached_record = state, envelope(job_record(task, now, self._settings))
        return SimResponse(body=task.cached_record[1])

    def _no_record(self) -> SimResponse:
        match self._settings.unknown_id:
            case "null":
                return success(None)
            case "404":
                raise ErrorResponse(404, "Task not found", form="body")
            case _:
                raise ErrorResponse(422, "recordInfo is null", form="body")
