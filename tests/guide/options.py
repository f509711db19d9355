"""Tables of models and of the options of requests. What an option allows is found by breaking its rule."""

import inspect
from typing import Any

import attrs

from veo_async import ExtendRequest, VeoSession, VideoRequest
from veo_async._wire import check
from veo_async._wire.dialects import dialect_named
from veo_async._wire.requests import ExtendOptions
from veo_async.errors import InvalidRequest
from veo_async.models import MODELS, UPGRADE_CREDITS, GenerationType, Model
from veo_async.session import JobOptions
from veo_async.types import UpgradeRequest, VideoOptions

from .markdown import default, entries, table, type_name

_RESOLUTIONS = ("720p", "1080p", "4k")
_KIE, _APIKLEY = dialect_named("kie"), dialect_named("apikley")
#: A value of each option that breaks its rule, and a good one.
_BROKEN: dict[str, Any] = {
    "prompt": "",
    "image_urls": ("https://images.example/1.png",) * 3,
    "model": "other",
    "generation_type": "other",
    "aspect_ratio": "other",
    "seeds": 1,
    "callback_url": "other",
    "resolution": "other",
    "duration": 5,
    "to": "other",
    "index": -1,
    "task_id": "no id",
}
_GOOD: dict[str, Any] = {"resolution": "1080p", "duration": 8, "seeds": 12345, "aspect_ratio": "9:16"}
#: What an option does, where its type's docstring does not say it in place.
_MEANING = {
    "model": "see the table of models",
    "generation_type": "what the images are used for; without it, the provider decides by the images",
    "aspect_ratio": "the shape of the video; `Auto` crops to the ratio that is closest to the image",
    "resolution": "the size of the video; without it 720p",
    "duration": "the length in seconds; without it 8",
    "seeds": "the same seed gives similar clips; without it, the provider chooses one",
    "to": "the resolution",
    "index": "which video of the task; without it the first",
}


def model_table() -> str:
    """Return what each model is for, what it supports, and how long it takes."""
    purposes = {"veo3": "the best image", "veo3_fast": "less time and money", "veo3_lite": "the lowest price"}
    assert purposes.keys() == {*Model}
    rows = [
        [
            f"`{model.name}`",
            purposes[model.name],
            ", ".join(model.aspect_ratios),
            ", ".join(model.resolutions),
            ", ".join(map(str, model.durations)),
            f"`{model.extend_name}`",
            ", ".join(sorted(model.providers, reverse=True)),
            f"about {model.expected.median_s:g} s",
        ]
        for model in MODELS
    ]
    header = ["model", "for", "aspect ratio", "resolution", "seconds", "name in an extension", "providers", "takes"]
    return table(header, rows)


def price_table() -> str:
    """Return the table of all models with their prices and their expected time."""
    rows = []
    for model in MODELS:
        prices = [*(model.credits[resolution] for resolution in _RESOLUTIONS), model.extend_credits]
        cells = ["–" if price is None else f"{price:g}" for price in prices]
        rows.append([f"`{model.name}`", *cells, f"about {model.expected.median_s:g} s"])
    return table(["model", "720p", "1080p", "4k", "extension", "time"], rows)


def upgrade_table() -> str:
    """Return the prices of upgrades."""
    return table(["upgrade to", "credits"], [[f"`{to}`", f"{price:g}"] for to, price in UPGRADE_CREDITS.items()])


def generation_type_table() -> str:
    """Return what each generation type takes, and which models support it."""
    purposes = {
        GenerationType.TEXT: "nothing: a video from the prompt alone",
        GenerationType.FRAMES: "the first frame, or the first and the last",
        GenerationType.REFERENCE: "material that the video shows",
    }
    rows = []
    for kind in GenerationType:
        models = [model for model in MODELS if kind in model.generation_types]
        ratios = {model.reference_ratios for model in models} if kind is GenerationType.REFERENCE else {()}
        seconds = {model.reference_durations for model in models} if kind is GenerationType.REFERENCE else {()}
        (only_ratios,), (only_seconds,) = ratios, seconds
        limits = f"{' or '.join(only_ratios)}, {only_seconds[0]} s" if only_ratios else "–"
        broken = attrs.evolve(
            VideoRequest("x", generation_type=kind, model="veo3_fast"), image_urls=_BROKEN["image_urls"] * 2
        )
        images = _rule(broken, "image_urls").partition(" takes ")[2].removesuffix(" images").replace("no", "none")
        names = ", ".join(f"`{model.name}`" for model in models)
        rows.append([f"`{kind}`", purposes[kind], images, names, limits])
    return table(["generation type", "the images are", "how many", "models", "only with"], rows)


def video_option_table() -> str:
    """Return all options of a request for a clip."""
    return _option_table("option", VideoRequest("x"), VideoOptions, skipped={"image"})


def extend_option_table() -> str:
    """Return all options of an extension."""
    meaning = {**_MEANING, "model": "see the table of models; without it, the model of the source clip"}
    request = ExtendRequest("0" * 32, "x")
    return _option_table("option of an extension", request, ExtendOptions, skipped=set(), meaning=meaning)


def upgrade_option_table() -> str:
    """Return all options of an upgrade."""
    return _option_table("option of an upgrade", UpgradeRequest("0" * 32), None, skipped={"task_id", "after_key"})


def job_option_table() -> str:
    """Return the options of a job: what `submit` takes besides the options of the request."""
    documented = entries(VeoSession.submit)
    parameters = inspect.signature(VeoSession.submit).parameters
    names = [name for name in parameters if name in {*JobOptions.__annotations__, "key"}]
    return table(
        ["option of a job", "default", "meaning"],
        [[f"`{name}`", default(parameters[name].default), documented[name]] for name in names],
    )


def _option_table(
    title: str, request: Any, options: Any, *, skipped: set[str], meaning: dict[str, str] = _MEANING
) -> str:
    fields = {field.name: field for field in attrs.fields(type(request))}
    documented = entries(type(request))
    annotations = {} if options is None else dict(options.__annotations__)
    rows = []
    for name, field in fields.items():
        if name in skipped or (options is not None and name not in {*annotations, "prompt"}):
            continue
        kind = type_name(annotations.get(name, field.type))
        row = [f"`{name}`", _values(request, name, kind), _default_of(field), meaning.get(name, documented[name])]
        rows.append([*row, _models(request, name)] if isinstance(request, VideoRequest) else row)
    header = [title, "values", "default", "meaning"]
    return table([*header, "models"] if isinstance(request, VideoRequest) else header, rows)


def _default_of(field: Any) -> str:
    return "required" if field.default is attrs.NOTHING or field.name == "prompt" else default(field.default)


def _values(request: Any, name: str, kind: str) -> str:
    """Return the type of an option and the rule that a wrong value breaks."""
    if name == "image_urls":
        return "list of URLs, files or bytes; see generation types"
    if name not in _BROKEN:
        return kind
    rule = _rule(attrs.evolve(request, **{name: _BROKEN[name]}), name).removeprefix("must ").removeprefix("be ")
    if rule.startswith("one of "):
        return ", ".join(f"`{value}`" for value in rule.removeprefix("one of ").split(", "))
    if rule.startswith("between "):
        return f"{kind}, {rule.removeprefix('between ').replace(' and ', ' to ')}"
    return f"{kind}, {rule.replace('not be', 'not').replace('start with http:// or https://', 'an http or https URL')}"


def _rule(request: Any, name: str) -> str:
    try:
        check(request, _KIE)
    except InvalidRequest as error:
        return next(problem.rule for problem in error.problems if problem.field == name)
    raise AssertionError(f"{request} breaks no rule")


def _models(request: VideoRequest, name: str) -> str:
    """Return for which models a value of the option passes the checks."""
    value = _GOOD.get(name)
    passing = [
        (dialect.name, model.name)
        for dialect in (_KIE, _APIKLEY)
        for model in dialect.models
        if _passes(attrs.evolve(request, model=model.name, **({name: value} if value is not None else {})), dialect)
    ]
    assert [model for provider, model in passing if provider == "kie"] == list(_KIE.model_names)
    if name in ("generation_type", "image_urls"):
        return "see generation types"
    return "all" if any(provider == "apikley" for provider, _ in passing) else "all; kie only"


def _passes(request: VideoRequest, dialect: Any) -> bool:
    try:
        check(request, dialect)
    except InvalidRequest:
        return False
    return True
