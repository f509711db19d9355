"""Parses the bodies of generate and extend requests, or rejects them with code 422.

The rules follow the provider's documentation. Messages are the provider's own where they are known.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from veo_async._wire import APIKLEY, KIE, Dialect
from veo_async._wire.fields import EXTEND, GENERATE
from veo_async._wire.models import DEFAULT_EXTEND_MODEL, DEFAULT_MODEL, DEFAULT_MODEL_2025

from .messages import ErrorResponse

_KNOWN = {
    "generate": frozenset(spelling for field in GENERATE for spelling in field.spellings),
    "extend": frozenset(spelling for field in EXTEND for spelling in field.spellings),
}
_TEXTS = ("prompt", "model", "generationType", "callBackUrl", "watermark", "waterMark", "resolution")
_FLAGS = ("enableFallback", "enableTranslation")
_TYPES = ("TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO")
_REFERENCE = "REFERENCE_2_VIDEO"
#: The default model that a dialect's documentation names. The real API has none: it rejects a request without a model.
_DEFAULT_MODELS = {
    "quickstart-1": DEFAULT_MODEL_2025,
    "quickstart-2": DEFAULT_MODEL_2025,
    "openapi": DEFAULT_MODEL_2025,
    "apikley": DEFAULT_MODEL,
}
_EIGHT_SECONDS = "Invalid duration. Veo 3.1 reference-to-video currently only supports 8-second generation."


@attrs.frozen(kw_only=True)
class GenerationRequest:
    """One generation, extension or upgrade as the provider understood it."""

    endpoint: str
    prompt: str = attrs.field(default="", repr=False)
    model: str
    aspect_ratio: str = "16:9"
    resolution: str = "720p"
    duration_s: int = 8
    generation_type: str | None = None
    seeds: int | None = None
    callback_url: str | None = None
    #: The body as it was received.
    body: Mapping[str, Any] = attrs.field(repr=False)
    #: The request with the provider's camel-case names, as the record shows it in ``paramJson``.
    params: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


def parse_generate(body: Any, dialect: str, unknown_fields: str) -> GenerationRequest:
    """Parse the body of ``POST /api/v1/veo/generate``.

    Raises:
        ErrorResponse: code 422; the message names the rule that was broken.
    """
    body = _object(body, "generate", unknown_fields)
    rules, spellings = _rules(dialect)
    model = _DEFAULT_MODELS.get(dialect) if body.get("model") is None else body["model"]
    _require(model in rules.model_names, "Invalid model")
    ratio = next((body[name] for name in spellings if body.get(name) is not None), "16:9")
    _require(ratio in rules.aspect_ratios, f"Invalid aspectRatio: {ratio}")
    is_newer = not rules.unknown_options
    resolution = _one_of(body, "resolution", rules.resolutions, "720p") if is_newer else "720p"
    duration = 8 if body.get("duration") is None else body["duration"]
    _require(
        not is_newer or (type(duration) is int and duration in (4, 6, 8)),
        "Invalid duration. Supported values: 4, 6, 8.",
    )
    request = GenerationRequest(
        endpoint="generate",
        prompt=body["prompt"],
        model=str(model),
        aspect_ratio=ratio,
        resolution=resolution,
        duration_s=duration if is_newer else 8,
        generation_type=_one_of(body, "generationType", _TYPES, None),
        seeds=_seeds(body),
        callback_url=body.get("callBackUrl"),
        body=body,
    )
    _check_images(request, rules)
    return attrs.evolve(request, params=_params(request, sparse=dialect == "openapi"))


def parse_extend(body: Any, unknown_fields: str) -> GenerationRequest:
    """Parse the body of ``POST /api/v1/veo/extend``. Whether the source task exists is checked elsewhere.

    Raises:
        ErrorResponse: code 422; the message names the rule that was broken.
    """
    body = _object(body, "extend", unknown_fields)
    _require(isinstance(body.get("taskId"), str) and body["taskId"], "taskId cannot be empty")
    return GenerationRequest(
        endpoint="extend",
        prompt=body["prompt"],
        model=_one_of(body, "model", KIE.extend_models, DEFAULT_EXTEND_MODEL),
        seeds=_seeds(body),
        callback_url=body.get("callBackUrl"),
        body=body,
        params=_renamed(body),
    )


def _rules(dialect: str) -> tuple[Dialect, tuple[str, ...]]:
    """Return the allowed values, and the field names under which the aspect ratio is accepted."""
    if dialect == "apikley":
        return APIKLEY, ("aspectRatio",)
    return KIE, ("aspect_ratio", "aspectRatio")


def _require(is_met: object, message: str) -> None:
    if not is_met:
        raise ErrorResponse(422, message)


def _object(body: Any, endpoint: str, unknown_fields: str) -> dict[str, Any]:
    _require(isinstance(body, dict), "The request body is not a JSON object")
    unknown = sorted(set(body) - _KNOWN[endpoint])
    _require(unknown_fields == "ignore" or not unknown, f"Unknown parameters: {', '.join(unknown)}")
    for name in _TEXTS:
        _require(body.get(name) is None or isinstance(body[name], str), f"{name} must be a string")
    for name in _FLAGS:
        _require(body.get(name) is None or isinstance(body[name], bool), f"{name} must be a boolean")
    _require((body.get("prompt") or "").strip(), "Please enter prompt")
    return dict(body)


def _one_of(body: Mapping[str, Any], name: str, allowed: tuple[Any, ...], default: Any) -> Any:
    value = body.get(name)
    _require(value is None or value in allowed, f"Invalid {name}: {value}")
    return default if value is None else value


def _seeds(body: Mapping[str, Any]) -> int | None:
    seeds = body.get("seeds")
    is_valid = type(seeds) is int and 10000 <= seeds <= 99999
    _require(seeds is None or is_valid, "seeds must be an integer between 10000 and 99999")
    return seeds


def _check_images(request: GenerationRequest, rules: Dialect) -> None:
    images = request.body.get("imageUrls") or []
    are_urls = isinstance(images, list) and all(
        isinstance(url, str) and url.startswith(("http://", "https://")) for url in images
    )
    _require(are_urls, "imageUrls must be a list of valid image URLs")
    if request.generation_type == _REFERENCE:
        _require(1 <= len(images) <= 3, "REFERENCE_2_VIDEO requires 1 to 3 images in imageUrls")
        _require(request.model in rules.reference_models, f"REFERENCE_2_VIDEO does not support {request.model}")
        _require(
            request.aspect_ratio in rules.reference_ratios,
            f"REFERENCE_2_VIDEO does not support {request.aspect_ratio}",
        )
        _require(request.duration_s == 8, _EIGHT_SECONDS)
        return
    _require(len(images) <= 2, "imageUrls supports 1 or 2 images")
    _require(
        images or request.generation_type != "FIRST_AND_LAST_FRAMES_2_VIDEO",
        "FIRST_AND_LAST_FRAMES_2_VIDEO requires 1 or 2 images in imageUrls",
    )


def _renamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return *body* with the provider's own field names."""
    names = {"aspect_ratio": "aspectRatio", "watermark": "waterMark"}
    return {names.get(name, name): value for name, value in body.items()}


def _params(request: GenerationRequest, *, sparse: bool) -> dict[str, Any]:
    """Return ``paramJson``: the fields sent and, unless *sparse*, the provider's defaults.

    The older documentation (dialect ``openapi``) shows no defaults.
    """
    body = _renamed(request.body)
    if sparse:
        return body
    defaults = {
        "aspectRatio": request.aspect_ratio,
        "enableFallback": body.get("enableFallback", False),
        "enableTranslation": body.get("enableTranslation", True),
        "model": request.model,
    }
    return {**body, **defaults}
