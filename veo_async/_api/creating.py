"""Making: one creating attempt of whatever can be asked for, and the look that tells of an upgrade.

An upgrade has no record. Its source is asked for it, and the same call that began it tells later how far it is: "not
yet" in the guise of an error, then the video (for 4K in the guise of an error, too). The first such call costs; the
provider's pages have it repeated until the video is there. So the first is an attempt like any other, sent once and in
doubt when its answer is lost; what follows, once it was answered, are looks.
"""

from typing import Any, assert_never

from veo_async._wire import (
    Accepted,
    AnyRequest,
    Endpoint,
    ExtendRequest,
    HdVideo,
    Record,
    UpgradeRequest,
    UpscaledVideo,
    VideoRequest,
    endpoints,
    record_from_raw,
)
from veo_async._wire.codes import is_source_missing, is_upgrade_unavailable
from veo_async.errors import NotReady, ServerError, VeoError

from .client import VeoApi


def endpoint_of(request: AnyRequest) -> Endpoint[Any]:
    """Where *request* goes."""
    match request:
        case VideoRequest():
            return endpoints.GENERATE
        case ExtendRequest():
            return endpoints.EXTEND
        case UpgradeRequest():
            return endpoints.GET_4K if request.to == "4k" else endpoints.GET_1080P
        case _:
            assert_never(request)


async def create(api: VeoApi, request: AnyRequest) -> Accepted:
    """One creating attempt; *request* was checked before."""
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
    """The record that the provider does not keep of an upgrade, from its answer to being asked again.

    Raises:
        NotReady: it is being made.
    """
    try:
        answer = await _request_upgrade(api, upgrade)
    except ServerError as error:
        if not is_upgrade_unavailable(error.message):
            raise
        return _record(upgrade, successFlag=3, errorCode=error.body_code, errorMessage=error.message)
    urls = [answer.url] if isinstance(answer, HdVideo) else list(answer.urls)
    if not urls:
        raise NotReady("no URL yet", task_id=upgrade.task_name)
    images = [] if isinstance(answer, HdVideo) else list(answer.image_urls)
    made = {"resultUrls": urls, "imageUrls": images, "resolution": upgrade.to}
    return _record(upgrade, successFlag=1, response=made)


async def _start_upgrade(api: VeoApi, upgrade: UpgradeRequest) -> Accepted:
    try:
        raw = (await _request_upgrade(api, upgrade)).raw
    except NotReady as not_ready:
        if is_source_missing(not_ready.message):
            raise _without_source_id(not_ready, upgrade) from None
        raw = {}  # it is being made, which is all that was wanted
    except VeoError as error:
        raise _without_source_id(error, upgrade) from None
    return Accepted(task_id=upgrade.task_name, raw=raw)


def _without_source_id(error: VeoError, upgrade: UpgradeRequest) -> VeoError:
    """*error* without the source's id, which we have put there: a refusal that names a task counts as a doubt."""
    if error.task_id == upgrade.task_id:
        error.task_id = None
    return error


async def _request_upgrade(api: VeoApi, upgrade: UpgradeRequest) -> HdVideo | UpscaledVideo:
    if upgrade.to == "4k":
        return await api.get_4k_video(upgrade.task_id, index=upgrade.index, callback_url=upgrade.callback_url)
    return await api.get_1080p_video(upgrade.task_id, index=upgrade.index)


def _record(upgrade: UpgradeRequest, **fields: Any) -> Record:
    """In the form of a record, so that it can be kept and read as one."""
    return record_from_raw({"taskId": upgrade.task_name, **fields})
