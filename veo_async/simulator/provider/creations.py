"""Generations and extensions: the checks and the charge that both routes share."""

from urllib.parse import unquote

import attrs

from . import prices
from .account import Account
from .messages import ErrorResponse
from .outcomes import UNFETCHABLE_IMAGE, check_content, draw_outcome
from .requests import GenerationRequest
from .tasks import Route, Task


class Creations:
    """Creates and charges the generations and extensions of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._settings = account.settings

    def generate(self, generation: GenerationRequest, key: str, now: float, *, route: Route) -> Task:
        """Create the task of *generation* and charge it."""
        account = self._account
        account.check_features(generation.model, generation.generation_type, generation.resolution)
        cost = prices.video_credits(generation.model, generation.resolution)
        account.check_funds(cost, key, now)
        is_refused = check_content(generation, account.rng, self._settings)
        outcome = draw_outcome(generation.model, generation, account.rng, self._settings, is_refused=is_refused)
        if not self._images_available(generation, now):
            outcome = attrs.evolve(outcome, flag=3, code=400, message=UNFETCHABLE_IMAGE)
        task = account.create_task("generate", generation, outcome, now, route=route)
        account.charge(task, cost, key, now)
        return task

    def _images_available(self, request: GenerationRequest, now: float) -> bool:
        """Whether the images on the simulator's own host exist. Images elsewhere are assumed to exist."""
        files = self._account.files
        own_urls = [unquote(url) for url in request.body.get("imageUrls") or () if files.is_own_url(url)]
        found = [files.find(url) for url in own_urls]
        return all(file is not None and now < file.expires_at for file in found)

    def extend(self, extension: GenerationRequest, key: str, now: float, *, route: Route) -> Task:
        """Create the task of *extension* and charge it."""
        account = self._account
        source = self._source_to_extend(str(extension.body["taskId"]), now, route)
        account.check_features(extension.model, "extend")
        cost = prices.extend_credits(extension.model)
        account.check_funds(cost, key, now)
        is_refused = check_content(extension, account.rng, self._settings)
        outcome = draw_outcome("extend", extension, account.rng, self._settings, is_refused=is_refused)
        extension = attrs.evolve(extension, aspect_ratio=source.request.aspect_ratio)
        task = account.create_task("extend", extension, outcome, now, source=source, route=route)
        account.charge(task, cost, key, now)
        return task

    def _source_to_extend(self, task_id: str, now: float, route: Route) -> Task:
        source = self._account.known_task(task_id, route)
        if source is None:
            raise ErrorResponse(self._settings.extend_unknown_code, "Original video or task does not exist")
        if source.flag(now) != 1:
            raise ErrorResponse(422, "record status is not success.")
        if source.upgraded_to_1080p:
            raise ErrorResponse(422, "A video that was upgraded to 1080P cannot be extended.")
        return source
