"""1080p and 4K: made from a finished task on the first call, told by the later ones in the guise of errors.

The first get-1080p-video starts the work and costs, although it is a GET; so does the first get-4k-video. What
"not yet" and "done" look like differs between the provider's pages and what was met, hence the settings.
"""

from typing import TYPE_CHECKING, Any

import attrs

from . import prices
from .messages import ErrorResponse, SimRequest, SimResponse, envelope, success
from .outcomes import NO_4K, draw_outcome
from .tasks import Kind, Task

if TYPE_CHECKING:
    from .account import Account

_HD_SOON = "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly."
_4K_SOON = "4k is processing. It should be ready in 5-10 minutes. Please check back shortly."
_4K_DONE = "The video has been generated successfully"


class Upgrades:
    """The upgrades of one account's tasks."""

    def __init__(self, account: "Account") -> None:
        self._account = account
        self._settings = account.settings
        self._made: dict[tuple[Kind, str], Task] = {}

    def hd_video(self, request: SimRequest, now: float) -> SimResponse:
        source = self._source(request.query, now)
        upgrade = self._made.get(("1080p", source.id))
        if upgrade is None:
            upgrade = self._begin("1080p", source, dict(request.query), request, now)
            source.upgraded_to_1080p = True
        if upgrade.flag(now) == 1:
            return success({"resultUrl": upgrade.urls[0]})
        code, _, form = self._settings.not_ready_1080p.partition("-")
        raise ErrorResponse(int(code), _HD_SOON, form="http" if form == "http" else "body")

    def four_k_video(self, request: SimRequest, now: float) -> SimResponse:
        body = request.json()
        body = body if isinstance(body, dict) else {}
        source = self._source(body, now)
        upgrade = self._made.get(("4k", source.id))
        if upgrade is not None:
            return self._again(upgrade, now)
        self._account.check_rate("get-4k-video", now)
        upgrade = self._begin("4k", source, body, request, now)
        return success(_told(upgrade.id))

    def _again(self, upgrade: Task, now: float) -> SimResponse:
        """The answer to asking once more, which is an error even when it brings the video."""
        flag = upgrade.flag(now)
        if flag == 0:
            raise ErrorResponse(422, _4K_SOON, data=_told(upgrade.id), form="body")
        if flag != 1:
            raise ErrorResponse(500, NO_4K, data={"taskId": upgrade.id})
        told = _told(upgrade.id, list(upgrade.urls), list(upgrade.image_urls))
        if self._settings.done_4k == "200":
            return success(told)
        return SimResponse(body=envelope(told, code=422, message=_4K_DONE))

    def _source(self, asked: Any, now: float) -> Task:
        """The finished task that is to be upgraded."""
        source = self._account.find_task(asked.get("taskId"), now)
        if source is None or source.flag(now) != 1:
            raise ErrorResponse(422, "record status is not success.")
        if str(asked.get("index") or 0) != "0":
            raise ErrorResponse(422, "record result data not exist.")
        return source

    def _begin(self, kind: Kind, source: Task, body: dict[str, Any], request: SimRequest, now: float) -> Task:
        account = self._account
        account.check_features(kind)
        cost = prices.HD_CREDITS if kind == "1080p" else prices.FOUR_K_CREDITS
        account.check_funds(cost, request.key, now)
        # The source's words have had their effect, and its resolution its price: neither counts again.
        wanted = attrs.evolve(
            source.request,
            endpoint=request.endpoint,
            prompt="",
            resolution="720p",
            callback_url=body.get("callBackUrl"),
            body=body,
        )
        fate = draw_outcome(kind, wanted, account.rng, self._settings, is_refused=False)
        if kind == "4k" and "[fail-4k]" in source.request.prompt:
            fate = attrs.evolve(fate, flag=3, code=500, message=NO_4K)
        task = account.make(kind, wanted, fate, now, source=source)
        if kind == "1080p" or self._settings.four_k_task_id == "same":
            task.id = source.id
        else:
            account.tasks[task.id] = task
        self._made[kind, source.id] = task
        account.charge(task, cost, request.key, now)
        return task


def _told(task_id: str, urls: list[str] | None = None, images: list[str] | None = None) -> dict[str, Any]:
    return {"taskId": task_id, "resultUrls": urls, "imageUrls": images}
