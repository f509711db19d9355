"""The API endpoints of one account: pure, ``handle(request, now) -> response``.

A creating request passes these checks in this order, as observed from outside: maintenance (455), the rate limit and
the cap on running tasks (429), the request itself (422), disabled features (505), the key's daily cap (433), the
balance (402), the content (422). A request that the rate limit accepted counts, even if a later check rejects it.
"""

from collections.abc import Callable
from urllib.parse import unquote

import attrs

from . import prices, shapes
from .account import Account
from .messages import ErrorResponse, SimRequest, SimResponse, envelope, success
from .outcomes import UNFETCHABLE_IMAGE, UNREACHABLE_IMAGE, check_content, draw_outcome
from .requests import GenerationRequest, parse_extend, parse_generate
from .tasks import Task
from .upgrades import Upgrades


class Endpoints:
    """Responds to the requests that are billed to one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._settings = account.settings
        upgrades = Upgrades(account)
        self._handlers: dict[str, Callable[[SimRequest, float], SimResponse]] = {
            "generate": self._generate,
            "extend": self._extend,
            "record-info": self._record_info,
            "get-1080p-video": upgrades.hd_video,
            "get-4k-video": upgrades.four_k_video,
            "credit": self._credit,
            "download-url": self._download_url,
        }

    def handle(self, request: SimRequest, now: float) -> SimResponse:
        """Return the response to *request*, whose API key has been checked."""
        self._account.catch_up(now)
        try:
            return self._handlers[request.endpoint](request, now)
        except ErrorResponse as error:
            return error.to_response(self._settings.error_style)

    # --- creating ---------------------------------------------------------------------------------------------

    def _generate(self, request: SimRequest, now: float) -> SimResponse:
        account = self._account
        account.check_rate("generate", now)
        generation = parse_generate(request.json(), self._settings.dialect, self._settings.unknown_fields)
        account.check_features(generation.model, generation.generation_type, generation.resolution)
        cost = prices.video_credits(generation.model, generation.resolution)
        account.check_funds(cost, request.key, now)
        is_refused = check_content(generation, account.rng, self._settings)
        outcome = draw_outcome(generation.model, generation, account.rng, self._settings, is_refused=is_refused)
        if not self._images_available(generation, now):
            outcome = attrs.evolve(outcome, flag=3, code=400, message=UNFETCHABLE_IMAGE)
        task = account.create_task("generate", generation, outcome, now)
        account.charge(task, cost, request.key, now)
        return success({"taskId": task.id})

    def _images_available(self, request: GenerationRequest, now: float) -> bool:
        """Whether the images on the simulator's own host exist. Images elsewhere are assumed to exist."""
        files = self._account.files
        own_urls = [unquote(url) for url in request.body.get("imageUrls") or () if files.is_own_url(url)]
        found = [files.find(url) for url in own_urls]
        return all(file is not None and now < file.expires_at for file in found)

    def _extend(self, request: SimRequest, now: float) -> SimResponse:
        account = self._account
        account.check_rate("extend", now)
        extension = parse_extend(request.json(), self._settings.unknown_fields)
        source = self._source_to_extend(str(extension.body["taskId"]), now)
        account.check_features(extension.model, "extend")
        cost = prices.extend_credits(extension.model)
        account.check_funds(cost, request.key, now)
        is_refused = check_content(extension, account.rng, self._settings)
        outcome = draw_outcome("extend", extension, account.rng, self._settings, is_refused=is_refused)
        extension = attrs.evolve(extension, aspect_ratio=source.request.aspect_ratio)
        task = account.create_task("extend", extension, outcome, now, source=source)
        account.charge(task, cost, request.key, now)
        return success({"taskId": task.id})

    def _source_to_extend(self, task_id: str, now: float) -> Task:
        source = self._account.tasks.get(task_id)
        if source is None:
            raise ErrorResponse(self._settings.extend_unknown_code, "Original video or task does not exist")
        if source.flag(now) != 1:
            raise ErrorResponse(422, "record status is not success.")
        if source.upgraded_to_1080p:
            raise ErrorResponse(422, "A video that was upgraded to 1080P cannot be extended.")
        return source

    # --- reading ----------------------------------------------------------------------------------------------

    def _record_info(self, request: SimRequest, now: float) -> SimResponse:
        self._account.check_poll_rate(now)
        task = self._account.find_task(request.query.get("taskId"), now)
        if task is None:
            return success(None)
        self._account.check_task_polls(task, now)
        if task.outcome.record_is_error and task.flag(now):
            raise ErrorResponse(500, "Task generation failed", data={"errorMessage": UNREACHABLE_IMAGE})
        return SimResponse(body=self._record_body(task, now))

    def _record_body(self, task: Task, now: float) -> bytes:
        """Return the encoded record of *task*.

        It is encoded once per state and then reused, because thousands of polls read the same bytes.
        """
        state = task.flag(now), bool(task.urls_at(now))
        if task.cached_record is None or task.cached_record[0] != state:
            task.cached_record = state, envelope(shapes.record(task, now, self._settings.dialect))
        return task.cached_record[1]

    def _credit(self, request: SimRequest, now: float) -> SimResponse:
        return success(self._account.credits)

    def _download_url(self, request: SimRequest, now: float) -> SimResponse:
        """Return a temporary link. Like the provider, issue one even if no file exists at the URL."""
        account = self._account
        body = request.json()
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str) or not account.files.is_own_url(url):
            raise ErrorResponse(422, "Only URLs generated by this service are supported")
        name = f"t/{account.rng.randbytes(16).hex()}"
        file = account.files.find(url)
        if file is None:
            return success(f"{account.files.base_url}/files/{name}")
        return success(account.files.put(name, file.content, now=now, ttl_s=self._settings.link_ttl_s))
