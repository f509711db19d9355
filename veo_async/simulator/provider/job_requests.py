"""Translates createTask requests of the jobs route into the requests of the dedicated Veo endpoints.

Each model has its own field names: snake case, except ``taskId`` of ``veo/get-1080p-video``. The translated body is
the one that the dedicated endpoint would receive, so both routes share the rules, the prices and the charge log.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from veo_async._wire import KIE
from veo_async._wire.models import DEFAULT_MODEL

from .messages import ErrorResponse
from .tasks import Kind

_GENERATION = {
    "prompt": "prompt",
    "model": "model",
    "image_urls": "imageUrls",
    "generation_type": "generationType",
    "aspect_ratio": "aspect_ratio",
    "resolution": "resolution",
    "duration": "duration",
    "enable_translation": "enableTranslation",
    "enable_fallback": "enableFallback",
    "watermark": "watermark",
}
_EXTENSION = {"task_id": "taskId", "prompt": "prompt", "seeds": "seeds", "watermark": "watermark"}


@attrs.frozen
class JobModel:
    """One model of createTask."""

    kind: Kind
    #: The field names of ``input``, each with the dedicated endpoint's name.
    fields: Mapping[str, str]
    required: tuple[str, ...]


JOB_MODELS: dict[str, JobModel] = {
    "veo-3-1": JobModel("generate", _GENERATION, ("prompt",)),
    "veo/extend": JobModel("extend", _EXTENSION, ("task_id", "prompt")),
    "veo/get-1080p-video": JobModel("1080p", {"taskId": "taskId", "index": "index"}, ("taskId",)),
    "veo/get-4k-video": JobModel("4k", {"task_id": "taskId", "index": "index"}, ("task_id",)),
}
WIRE_MODELS: dict[str, str] = {model.kind: name for name, model in JOB_MODELS.items()}
_OTHER_NAMES = frozenset(
    {name for model in JOB_MODELS.values() for pair in model.fields.items() for name in pair}
    | {"aspectRatio", "waterMark", "callBackUrl", "seeds"}
)
_CHOICES: dict[str, tuple[Any, ...]] = {
    "model": KIE.model_names,
    "generation_type": ("TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"),
    "aspect_ratio": ("16:9", "9:16", "Auto"),
    "resolution": ("720p", "1080p", "4k"),
    "duration": (4, 6, 8),
}


@attrs.frozen(kw_only=True)
class JobRequest:
    """One createTask request as the provider understood it."""

    model: JobModel
    #: The body for the dedicated endpoint.
    body: Mapping[str, Any] = attrs.field(repr=False)
    #: The request as the record shows it in ``param``: ``input`` is text.
    params: Mapping[str, Any] = attrs.field(repr=False)


def parse_job(body: Any, validation_code: Literal[422, 500], unknown_fields: Literal["ignore", "reject"]) -> JobRequest:
    """Parse the body of ``POST /api/v1/jobs/createTask``.

    Raises:
        ErrorResponse: *validation_code* for a wrong field, 422 for a model that does not exist.
    """
    body = body if isinstance(body, dict) else {}
    name = body.get("model")
    if not isinstance(name, str) or name not in JOB_MODELS:
        raise ErrorResponse(422, "The model name you specified is not supported. Please verify the model name.")
    model = JOB_MODELS[name]
    given = body.get("input")
    if not isinstance(given, dict):
        raise ErrorResponse(validation_code, "input is required")
    problem = _problem(given, model, unknown_fields)
    if problem:
        raise ErrorResponse(validation_code, problem)
    flat = {model.fields[field]: value for field, value in given.items() if field in model.fields}
    if model.kind == "generate":
        flat.setdefault("model", DEFAULT_MODEL)
    params = {"input": json.dumps(given, separators=(",", ":"), ensure_ascii=False), "model": name}
    callback_url = body.get("callBackUrl")
    if isinstance(callback_url, str) and callback_url:
        flat["callBackUrl"] = callback_url
        params = {"callBackUrl": callback_url, **params}
    return JobRequest(model=model, body=flat, params=params)


def _problem(given: Mapping[str, Any], model: JobModel, unknown_fields: str) -> str | None:
    """Return what is wrong with *given*, in the provider's words where they are known."""
    for field in model.required:
        if not isinstance(given.get(field), str) or not given[field].strip():
            return f"{field} is required"
    unknown = sorted(set(given) - set(model.fields))
    # A name of another model or of the dedicated endpoints is a mistake of the client: never ignore it.
    refused = [field for field in unknown if unknown_fields == "reject" or field in _OTHER_NAMES]
    if refused:
        return f"This {refused[0]} is not within the range of allowed options"
    for field, allowed in _CHOICES.items():
        value = given.get(field) if field in model.fields else None
        if value is not None and (isinstance(value, bool) or value not in allowed):
            return f"This {field} is not within the range of allowed options"
    return None
