"""The record and the callback of a task on the jobs route."""

import json
from typing import Any

from .job_requests import WIRE_MODELS
from .settings import ProviderSettings
from .tasks import Task


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _stamp_ms(task: Task, at: float) -> int:
    return int(task.client_time.at(at)) * 1000


def shown_state(task: Task, now: float, settings: ProviderSettings) -> str:
    """Return ``state``, a word."""
    match task.flag(now):
        case 0:
            return task.job_state(now, settings.job_states.split("-"))
        case 1:
            return "success"
        case _:
            return "fail"


def job_record(task: Task, now: float, settings: ProviderSettings) -> dict[str, Any]:
    """Return ``data`` of a recordInfo response."""
    flag = task.flag(now)
    failed = flag > 1
    result = _result(task, task.urls_at(now), settings.result_form) if flag == 1 else None
    param = _text(_params(task))
    body = {
        "taskId": task.id,
        "model": _model(task),
        "state": shown_state(task, now, settings),
        "param": param,
        "resultJson": _text(result) if result else None if failed else "",
        "failCode": str(task.outcome.code) if failed else None,
        "failMsg": task.outcome.message if failed else None,
        "costTime": int(task.completes_at - task.created_at) if flag else None,
        "completeTime": _stamp_ms(task, task.completes_at) if flag else None,
        "createTime": _stamp_ms(task, task.created_at),
    }
    if settings.record_form == "2026-04":
        return body
    newer = {
        "successFlag": 3 if failed else flag,
        "paramJson": param,
        "creditsConsumed": 0.0 if failed and settings.credits_on_failure == "zero" else task.credits,
    }
    return {**body, **newer, **({"response": result} if result else {})}


def _params(task: Task) -> dict[str, Any]:
    """Return ``param``: the request, its ``input`` as text."""
    if task.route == "jobs":
        return dict(task.params)
    return {"input": _text(task.params), "model": _model(task)}


def _model(task: Task) -> str:
    """Return the model that created the task: for one of the dedicated endpoints, the tier that it names."""
    return WIRE_MODELS[task.kind] if task.route == "jobs" else str(task.params.get("model", WIRE_MODELS[task.kind]))


def _result(task: Task, urls: tuple[str, ...], form: str) -> dict[str, Any]:
    """Return the parsed ``resultJson``: in *form* ``nested``, 1080p and 4K videos come with their base video."""
    if task.resolution == "720p" or form == "flat":
        return {"resultUrls": list(urls)}
    origin = task.origin_urls or (task.source.urls if task.source else task.urls)
    return {"data": {"result_urls": list(urls), "origin_urls": list(origin)}}


def job_callback(task: Task, settings: ProviderSettings) -> dict[str, Any]:
    """Return the body of the callback for *task*, which has finished."""
    match settings.jobs_callback_form:
        case "info":
            return _info_callback(task)
        case "2025":
            return _envelope(task, _data_of_2025(task, settings))
        case _:
            return _envelope(task, _unified_data(task, settings))


def _envelope(task: Task, data: dict[str, Any]) -> dict[str, Any]:
    if task.outcome.is_success:
        return {"code": 200, "msg": "Playground task completed successfully.", "data": data}
    return {"code": 501, "msg": "Playground task failed.", "data": data}


def _unified_data(task: Task, settings: ProviderSettings) -> dict[str, Any]:
    data = job_record(task, task.completes_at, settings)
    for name in ("successFlag", "paramJson", "response"):
        data.pop(name, None)
    if task.outcome.is_success:
        data["resultJson"] = _text(_result(task, task.urls, settings.result_form))
        data["creditsConsumed"] = task.credits
    data["updateTime"] = data["completeTime"]
    return data


def _data_of_2025(task: Task, settings: ProviderSettings) -> dict[str, Any]:
    """Return the data with the older names of the credits; a failed task consumed none."""
    data = _unified_data(task, settings)
    data.pop("creditsConsumed", None)
    data["consumeCredits"] = task.credits if task.outcome.is_success else 0
    data["remainedCredits"] = task.balance_after
    return {name: value for name, value in data.items() if value is not None}


def _info_callback(task: Task) -> dict[str, Any]:
    if not task.outcome.is_success:
        return {"code": task.outcome.code or 501, "msg": task.outcome.message or "", "data": {"taskId": task.id}}
    info: dict[str, Any] = {"resultUrls": list(task.urls), "resolution": task.resolution}
    if task.full_urls:
        info["fullResultUrls"] = list(task.full_urls)
    if task.origin_urls:
        info["originUrls"] = list(task.origin_urls)
    return {"code": 200, "msg": "Veo3.1 video generated successfully.", "data": {"taskId": task.id, "info": info}}
