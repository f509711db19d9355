"""The catalogue of models: names, prices as prose, success rates and OpenAPI documents.

It has the four Veo models of the jobs route and one model of another company. The four endpoints share one limit.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from veo_async._wire.models import MODELS

from . import prices
from .limits import make_limiter
from .messages import ErrorResponse, SimRequest, SimResponse, model_in, success
from .settings import ProviderSettings

#: The models by their names in prose, cheapest first.
_TIERS = {model.extend_name.capitalize(): model.name for model in reversed(MODELS) if model.extend_name}
_BUCKET = timedelta(minutes=10)
_BUCKETS = 144
#: The first interval has no traffic; the others alternate between these percentages.
_RATES = (98.0, 100.0)


class Catalogue:
    """Responds to the requests of one account about models."""

    def __init__(self, settings: ProviderSettings) -> None:
        rate = settings.catalogue_rate
        self._limiter = make_limiter(
            "sliding" if rate else "none", rate or (1, 1), counts_rejected=settings.count_rejected
        )
        self._settings = settings
        self._models = _with_changes(_documented_models(), settings.catalogue)

    def respond(self, request: SimRequest, now: float) -> SimResponse:
        """Respond to any of the four endpoints."""
        if self._limiter.take(now):
            raise ErrorResponse(429, "Your call frequency is too high. Please try again later.", form="body")
        if request.endpoint == "models":
            return success(self._listed(request.query))
        name, _ = model_in(request.path)
        model = self._models.get(name)
        if model is None:
            raise ErrorResponse(404, "Model not found", form="body")
        match request.endpoint:
            case "model-price":
                return success({"model": name, "pricingDesc": model.get("pricingDesc")})
            case "model-success-rate":
                return success({"model": name, "points": model.get("points", self._points())})
            case _:
                return success({"model": name, "openapi": model.get("openapi")})

    def _listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        found = [_entry(name, model) for name, model in self._models.items()]
        text, company = query.get("q", "").lower(), query.get("provider")
        kinds = set(query["taskType"].split(",")) if "taskType" in query else None
        kept = [
            entry
            for entry in found
            if text in f"{entry['model']} {entry['title']}".lower()
            and company in (None, entry["provider"])
            and (kinds is None or not kinds.isdisjoint(entry["taskType"]))
        ]
        return {"total": len(kept), "models": kept}

    def _points(self) -> list[dict[str, Any]]:
        """Return the intervals of the last day, the first one without traffic."""
        now = datetime.fromtimestamp(self._settings.wall_clock(), UTC).replace(microsecond=0)
        rates = [None, *(_RATES[number % 2] for number in range(1, _BUCKETS))]
        return [_point(now - _BUCKET * (_BUCKETS - number), rate) for number, rate in enumerate(rates)]


def _point(start: datetime, rate: float | None) -> dict[str, Any]:
    return {
        "start": _text(start),
        "end": _text(start + _BUCKET),
        "successRate": rate,
        "errorRate": None if rate is None else 100.0 - rate,
        "isNormal": True,
    }


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _entry(name: str, model: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": name,
        "slug": name,
        "title": model.get("title", name),
        "provider": model.get("provider", "Google"),
        "taskType": model.get("taskType", ["Text to Video", "Image to Video"]),
        "description": None,
        "pricingDesc": model.get("pricingDesc"),
    }


def _with_changes(
    models: dict[str, dict[str, Any]], changes: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, dict[str, Any]]:
    for name, change in changes.items():
        if change is None:
            models.pop(name, None)
        else:
            models[name] = {**models.get(name, {}), **change}
    return models


# --- what the documentation says --------------------------------------------------------------------------------


def _documented_models() -> dict[str, dict[str, Any]]:
    return {
        "veo-3-1": {
            "title": "Veo 3.1",
            "pricingDesc": _video_prices(),
            "openapi": _document("veo-3-1", _VIDEO_FIELDS, ["prompt"]),
        },
        "veo/extend": {
            "title": "Veo 3.1 Extend",
            "pricingDesc": _listed(f"{tier} {prices.extend_credits(tier.lower()):g} credits" for tier in _TIERS),
            "openapi": _document("veo/extend", _EXTEND_FIELDS, ["task_id", "prompt"]),
        },
        "veo/get-1080p-video": {
            "title": "Veo 3.1 1080p",
            "pricingDesc": f"{prices.HD_CREDITS:g} credits per video.",
            "openapi": _document("veo/get-1080p-video", _HD_FIELDS, ["taskId"]),
        },
        "veo/get-4k-video": {
            "title": "Veo 3.1 4K",
            "pricingDesc": f"{prices.FOUR_K_CREDITS:g} credits per video.",
            "openapi": _document("veo/get-4k-video", _FOUR_K_FIELDS, ["task_id"]),
        },
        "example/image": {
            "title": "An image model",
            "provider": "Example",
            "taskType": ["Text to Image"],
            "pricingDesc": "4 credits per image.",
            "points": [],
        },
    }


def _video_prices() -> str:
    return _listed(
        f"{tier} {prices.video_credits(model, size):g} credits at {size}"
        for tier, model in _TIERS.items()
        for size in ("720p", "1080p", "4k")
    )


def _listed(items: Any) -> str:
    return f"Per video: {', '.join(items)}."


def _enum(kind: str, *values: Any) -> dict[str, Any]:
    return {"type": kind, "enum": list(values)}


_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}
_VIDEO_FIELDS = {
    "prompt": _TEXT,
    "model": _enum("string", *_TIERS.values()),
    "image_urls": {"type": "array", "items": _TEXT},
    "generation_type": _enum("string", "TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"),
    "aspect_ratio": _enum("string", "16:9", "9:16", "Auto"),
    "resolution": _enum("string", "720p", "1080p", "4k"),
    "duration": _enum("integer", 4, 6, 8),
    "enable_translation": {"type": "boolean"},
    "enable_fallback": {"type": "boolean", "deprecated": True},
    "watermark": _TEXT,
}
_EXTEND_FIELDS = {"task_id": _TEXT, "prompt": _TEXT, "seeds": _INTEGER, "watermark": _TEXT}
_HD_FIELDS = {"taskId": _TEXT, "index": _TEXT}
_FOUR_K_FIELDS = {"task_id": _TEXT, "index": _INTEGER}


def _document(model: str, fields: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    """Return the OpenAPI document of createTask for *model*; like the provider's, it refers to its components."""
    reference = {"$ref": "#/components/schemas/create%20task"}
    content = {"application/json": {"schema": reference}}
    request = {
        "type": "object",
        "properties": {
            "model": _enum("string", model),
            "callBackUrl": _TEXT,
            "input": {"type": "object", "properties": dict(fields), "required": required},
        },
        "required": ["model", "input"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": model, "version": "1"},
        "servers": [{"url": "https://api.kie.ai"}],
        "paths": {"/api/v1/jobs/createTask": {"post": {"requestBody": {"content": content}}}},
        "components": {"schemas": {"create task": request}},
    }
