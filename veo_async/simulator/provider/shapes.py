"""The record and the callback of a task, in the format of each dialect.

``real`` is what the API sent in 2026. ``quickstart-1`` and ``quickstart-2`` are what the provider's sample programs
expect, and ``openapi`` is the example in the documentation of record-info. ``apikley`` has the records of ``real`` and
the callbacks that its documentation shows.
"""

import json
from datetime import UTC, datetime
from typing import Any

from .job_shapes import job_callback
from .outcomes import NO_UPGRADE
from .settings import ProviderSettings
from .tasks import Task

_CALLBACK_STYLES = {
    "real": "array",
    "quickstart-1": "json-string",
    "quickstart-2": "json-string",
    "openapi": "bracket",
    "apikley": "bracket",
}
_DONE = {
    "generate": "Veo3.1 video generated successfully.",
    "extend": "Veo3.1 video extension successful.",
    "4k": "4K Video generated successfully.",
}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _stamp_ms(task: Task, at: float) -> int:
    """Return epoch milliseconds; the provider cuts off fractions of a second."""
    return int(task.client_time.at(at)) * 1000


def _stamp_text(task: Task, at: float) -> str:
    return datetime.fromtimestamp(int(task.client_time.at(at)), UTC).strftime("%Y-%m-%d %H:%M:%S")


def record(task: Task, now: float, dialect: str) -> dict[str, Any]:
    """Return ``data`` of a record-info response."""
    if dialect.startswith("quickstart"):
        return _flat_record(task, now, "status" if dialect == "quickstart-1" else "successFlag")
    return _openapi_record(task, now) if dialect == "openapi" else _real_record(task, now)


def _real_record(task: Task, now: float) -> dict[str, Any]:
    flag = task.flag(now)
    body = {
        "taskId": task.id,
        "paramJson": _text(task.params),
        "completeTime": _stamp_ms(task, task.completes_at) if flag else None,
        "response": _real_response(task, now) if flag == 1 else None,
        "successFlag": flag,
        "createTime": _stamp_ms(task, task.created_at),
        "errorCode": task.outcome.code if flag > 1 else None,
        "errorMessage": task.outcome.message if flag > 1 else None,
    }
    return body if task.kind == "4k" else {**body, "fallbackFlag": False}


def _real_response(task: Task, now: float) -> dict[str, Any]:
    response = {
        "taskId": task.id,
        "resolution": task.resolution,
        "originUrls": list(task.origin_urls) or None,
        "resultUrls": list(task.urls_at(now)),
        "fullResultUrls": list(task.full_urls) or None,
        "hasAudioList": [task.outcome.has_audio],
        "seeds": [task.seed],
    }
    if task.kind == "4k":
        response |= {"imageUrls": list(task.image_urls), "mediaIds": [media_id(task)]}
    return response


def _openapi_record(task: Task, now: float) -> dict[str, Any]:
    flag = task.flag(now)
    response = {"taskId": task.id, "resultUrls": list(task.urls_at(now)), "originUrls": list(task.origin_urls) or None}
    if task.full_urls:
        response["fullResultUrls"] = list(task.full_urls)
    return {
        "taskId": task.id,
        "paramJson": _text(task.params),
        "completeTime": _stamp_text(task, task.completes_at) if flag else None,
        "response": response if flag == 1 else None,
        "successFlag": flag,
        "errorCode": task.outcome.code if flag > 1 else None,
        "errorMessage": task.outcome.message if flag > 1 else "",
        "createTime": _stamp_text(task, task.created_at),
    }


def _flat_record(task: Task, now: float, flag_name: str) -> dict[str, Any]:
    flag = task.flag(now)
    return {
        "taskId": task.id,
        "paramJson": _text(task.params),
        "completeTime": _stamp_text(task, task.completes_at) if flag else None,
        flag_name: flag,
        "resultUrls": _text(task.urls_at(now)) if flag == 1 else None,
        "originUrls": _text(task.origin_urls) if flag == 1 and task.origin_urls else None,
        "errorCode": task.outcome.code if flag > 1 else None,
        "errorMessage": task.outcome.message if flag > 1 else "",
        "createTime": _stamp_text(task, task.created_at),
    }


def media_id(task: Task) -> str:
    """Return an opaque id like those in 4K responses."""
    return f"CAUaJ{task.id}"


# --- callbacks --------------------------------------------------------------------------------------------------


def callback(task: Task, settings: ProviderSettings) -> dict[str, Any]:
    """Return the body of the callback for *task*, which has finished."""
    if task.route == "jobs":
        return job_callback(task, settings)
    if task.kind == "4k":
        return _4k_callback(task, settings.four_k_callback)
    if not task.outcome.is_success:
        return _envelope(
            task.outcome.code or 500, task.outcome.message or "", {"taskId": task.id, "fallbackFlag": False}
        )
    form = settings.callback_form or _CALLBACK_STYLES[settings.dialect]
    info = {"resultUrls": _url_list(task.urls, form)}
    if task.origin_urls:
        info["originUrls"] = _url_list(task.origin_urls, form)
    info["resolution"] = task.resolution
    data: dict[str, Any] = {"taskId": task.id, "info": info, "fallbackFlag": False}
    if form == "array":
        data["promptJson"] = _text(task.params)
    return _envelope(200, _DONE[task.kind], data)


def _envelope(code: int, message: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"code": code, "msg": message, "data": data}


def _url_list(urls: tuple[str, ...], form: str) -> Any:
    if form == "array":
        return list(urls)
    return f"[{', '.join(urls)}]" if form == "bracket" else _text(urls)


def _4k_callback(task: Task, form: str) -> dict[str, Any]:
    is_done = task.outcome.is_success
    code, message = (200, _DONE["4k"]) if is_done else (500, NO_UPGRADE["4k"])
    if not is_done:
        return _envelope(code, message, {"task_id" if form == "snake" else "taskId": task.id})
    if form == "info":
        info = {"resultUrls": list(task.urls), "imageUrls": list(task.image_urls)}
        return _envelope(code, message, {"taskId": task.id, "info": info})
    snake = {"result_urls": list(task.urls), "media_ids": [media_id(task)], "image_urls": list(task.image_urls)}
    return _envelope(code, message, {"task_id": task.id, **snake})
