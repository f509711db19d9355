"""One creating request of any kind, and polls of an upgrade on the ``veo`` route.

There an upgrade has no record. The same request that starts it later reports its progress: first "not ready" as an
error, then the video (for 4K also as an error). The first of these requests is charged; the provider's documentation
says to repeat it until the video exists. So the first is an attempt like any other, sent once and in doubt if its
response is lost. After a response, all further requests are polls.
"""

from typing import Any, assert_never

from veo_async._wire import (
    VEO,
    Accepted,
    AnyRequest,
    ExtendRequest,
    HdVideo,
    Record,
    Route,
    UpgradeRequest,
    UpscaledVideo,
    VideoRequest,
    record_from_raw,
)
from veo_async._wire.codes import is_source_missing, is_upgrade_failure
from veo_async.errors import ApiError, NotReady, RecordExpired, RecordNotFound, VeoError

from .client import VeoApi


async def create(api: VeoApi, request: AnyRequest, route: Route = VEO) -> Accepted:
    """Send one creating request. *request* must have been validated before."""
    if route.upgrades_are_tasks:
        return await api.create_task(request, validate=False)
    match request:
        case VideoRequest():
            return await api.generate(request, validate=False)
        case ExtendRequest():
            return await api.extend(request, validate=False)
        case UpgradeRequest():
            return await _start_upgrade(api, request)
        case _:
            assert_never(request)


async def poll_upgrade(api: VeoApi, upgrade: UpgradeRequest) -> Record:
    """Return a record of *upgrade*, built from the response to its repeated request.

    Raises:
        NotReady: the upgrade is still being processed.
    """
    try:
        response = await _request_upgrade(api, upgrade)
    except (NotReady, RecordNotFound, RecordExpired):
        raise
    except ApiError as error:
        if not is_upgrade_failure(error.body_code, error.message):
            raise
        return _record(upgrade, successFlag=3, errorCode=error.body_code, errorMessage=error.message)
    urls = [response.url] if isinstance(response, HdVideo) else list(response.urls)
    if not urls:
        raise NotReady("the video has no URL yet", task_id=upgrade.task_name)
    images = [] if isinstance(response, HdVideo) else list(response.image_urls)
    result = {"resultUrls": urls, "imageUrls": images, "resolution": upgrade.to}
    return _record(upgrade, successFlag=1, response=result)


async def _start_upgrade(api: VeoApi, upgrade: UpgradeRequest) -> Accepted:
    try:
        raw = (await _request_upgrade(api, upgrade)).raw
    except NotReady as not_ready:
        if is_source_missing(not_ready.message):
            raise _without_source_id(not_ready, upgrade) from None
        raw = {}  # the upgrade has started, which is success for a creating request
    except VeoError as error:
        raise _without_source_id(error, upgrade) from None
    return Accepted(task_id=upgrade.task_name, raw=raw)


def _without_source_id(error: VeoError, upgrade: UpgradeRequest) -> VeoError:
    """Return *error* without the source's task id, which we added: a rejection with a task id counts as in doubt."""
    if error.task_id == upgrade.task_id:
        error.task_id = None
    return error


async def _request_upgrade(api: VeoApi, upgrade: UpgradeRequest) -> HdVideo | UpscaledVideo:
    if upgrade.to == "4k":
        return await api.get_4k_video(upgrade.task_id, index=upgrade.index, callback_url=upgrade.callback_url)
    return await api.get_1080p_video(upgrade.task_id, index=upgrade.index)


def _record(upgrade: UpgradeRequest, **fields: Any) -> Record:
    """Return *fields* as a record, so that it can be stored and read as one."""
    return record_from_raw({"taskId": upgrade.task_name, **fields})
