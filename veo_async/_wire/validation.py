"""Would the provider take this request? Asked before a byte leaves, answered with every fault at once.

The rules are those of the provider's pages; where its pages disagree, the dialect holds the wider reading and the
provider has the last word. ``reference_durations`` is the one rule that was seen enforced: "Veo 3.1
reference-to-video currently only supports 8-second generation."
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import attrs

from veo_async.errors import InvalidRequest, Problem, UnsupportedByProvider

from .dialects.dialect import Dialect
from .hosts import unreachable_reason
from .images import LocalImage
from .models import UPGRADE_TARGETS, GenerationType, VideoModel, find_model
from .requests import (
    AnyRequest,
    ExtendRequest,
    UpgradeRequest,
    VideoRequest,
    upgrade_from_name,
)

_SEEDS = range(10000, 100000)
_IMAGES_ALLOWED: dict[str | None, range] = {
    None: range(3),
    GenerationType.TEXT: range(1),
    GenerationType.FRAMES: range(1, 3),
    GenerationType.REFERENCE: range(1, 4),
}


def check(request: AnyRequest, dialect: Dialect) -> None:
    """Raise `InvalidRequest` with every fault of *request*; say nothing when it has none."""
    unknown = tuple(_unknown_options(request, dialect))
    faults = unknown + problems_of(request, dialect)
    if faults:
        raise (UnsupportedByProvider if unknown else InvalidRequest).of(*faults)


def check_encodable(request: AnyRequest, dialect: Dialect) -> None:
    """The part of `check` that ``validate=False`` keeps: what cannot be written down in this dialect at all."""
    if unknown := tuple(_unknown_options(request, dialect)):
        raise UnsupportedByProvider.of(*unknown)
    if unencodable := tuple(_encoding_faults(request)):
        raise InvalidRequest.of(*unencodable)


def problems_of(request: AnyRequest, dialect: Dialect) -> tuple[Problem, ...]:
    """Every rule that *request* breaks, in the order of its fields after what cannot be written at all."""
    if isinstance(request, VideoRequest):
        return (*_encoding_faults(request), *_video_faults(request, dialect))
    if isinstance(request, ExtendRequest):
        return (*_encoding_faults(request), *_extend_faults(request, dialect))
    return (*_encoding_faults(request), *_upgrade_faults(request))


def _video_faults(request: VideoRequest, dialect: Dialect) -> Iterator[Problem]:
    yield from _prompt_faults(request.prompt)
    yield from _image_faults(request)
    supported = _supported(request, dialect)
    yield from _one_of("model", request.model, dialect.model_names)
    yield from _one_of("generation_type", request.generation_type, tuple(GenerationType))
    yield from _one_of("aspect_ratio", request.aspect_ratio, supported.aspect_ratios)
    yield from _seed_faults(request.seeds)
    yield from _callback_faults(request.callback_url)
    if request.enable_fallback and request.aspect_ratio != "16:9":
        yield Problem("enable_fallback", True, "works with 16:9 only", "leave it out; it is deprecated")
    if "resolution" not in dialect.unknown_options:
        yield from _one_of("resolution", request.resolution, supported.resolutions)
    if "duration" not in dialect.unknown_options:
        yield from _one_of("duration", request.duration, supported.durations)
    yield from _generation_type_problems(request, dialect)


def _supported(request: VideoRequest, dialect: Dialect) -> VideoModel | Dialect:
    """Return what the request's model supports; for an unknown model, what any model of the provider supports."""
    return find_model(request.model, dialect.models) or dialect


def _extend_faults(request: ExtendRequest, dialect: Dialect) -> Iterator[Problem]:
    yield from _source_faults(request)
    yield from _prompt_faults(request.prompt)
    if dialect.extend_models:
        yield from _one_of("model", request.model, dialect.extend_models)
    yield from _seed_faults(request.seeds)
    yield from _callback_faults(request.callback_url)


def _upgrade_faults(request: UpgradeRequest) -> Iterator[Problem]:
    yield from _source_faults(request)
    yield from _one_of("to", request.to, UPGRADE_TARGETS)
    if request.index is not None and request.index < 0:
        yield Problem("index", request.index, "must be 0 or more", "leave it out for the first video")
    yield from _callback_faults(request.callback_url)


def _source_faults(request: ExtendRequest | UpgradeRequest) -> Iterator[Problem]:
    """It goes on from a task, or from a job whose task is not known yet."""
    if request.after_key is None:
        yield from _source_task_faults(request)
    elif request.task_id:
        yield Problem("after", request.after_key, "stands beside a task_id", "give one of the two")
    elif not request.after_key:
        yield Problem("after", request.after_key, "names no job", "give the key of the job to go on from")


def _source_task_faults(request: ExtendRequest | UpgradeRequest) -> Iterator[Problem]:
    upgrade = upgrade_from_name(request.task_id)
    if upgrade is None:
        yield from task_id_problems(request.task_id)
    elif isinstance(request, UpgradeRequest):
        remedy = f"upgrade the clip that it was made from, {upgrade.task_id}"
        yield Problem("task_id", request.task_id, f"has been taken to {upgrade.to} already", remedy)
    elif upgrade.to == "1080p":
        remedy = "extend first, then upgrade the extension"
        yield Problem("task_id", request.task_id, "was taken to 1080p, and such a task cannot be extended", remedy)
    else:
        yield Problem(
            "task_id", request.task_id, "is an upgrade", f"extend the clip it was made from, {upgrade.task_id}"
        )


def _unknown_options(request: AnyRequest, dialect: Dialect) -> Iterator[Problem]:
    for name in sorted(dialect.unknown_options):
        value = getattr(request, name, None)
        if value not in (None, ()):
            yield Problem(name, value, f"is not an option of {dialect.name}", "leave it out")


def _prompt_faults(prompt: str) -> Iterator[Problem]:
    if not prompt.strip():
        yield Problem("prompt", prompt, "must not be empty", "say what the clip shows")


def _encoding_faults(request: AnyRequest) -> Iterator[Problem]:
    for name, value in attrs.asdict(request).items():
        texts = value if isinstance(value, tuple) else (value,)
        if not all(_is_encodable(text) for text in texts if isinstance(text, str)):
            yield Problem(name, value, "holds half a character (a lone surrogate)", "decode the text as UTF-8")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _image_faults(request: VideoRequest) -> Iterator[Problem]:
    for url in request.image_urls:
        if LocalImage.parse(url) is not None:
            continue
        # Where the API is this machine, it reaches this machine; whoever knows its address says whether it is.
        if why := url_problem(url) or unreachable_reason(url, allow_loopback=True):
            yield Problem("image_urls", url, why, "give a public https URL, or upload the file first")
    allowed = _IMAGES_ALLOWED.get(request.generation_type)
    if allowed is not None and len(request.image_urls) not in allowed:
        mode = request.generation_type or "a request without generation_type"
        count = f"{allowed[0]} to {allowed[-1]}" if len(allowed) > 1 else "no"
        yield Problem("image_urls", request.image_urls, f"{mode} takes {count} images", _image_remedy(request))


def _image_remedy(request: VideoRequest) -> str:
    if request.generation_type is None:
        return f"use at most two, or generation_type={GenerationType.REFERENCE.value!r} for three"
    return "change their number or the generation_type"


def _generation_type_problems(request: VideoRequest, dialect: Dialect) -> Iterator[Problem]:
    """Check that the model supports the generation type, and the other options that reference images restrict."""
    if request.generation_type not in tuple(GenerationType):
        return
    is_reference = request.generation_type == GenerationType.REFERENCE
    subject = "reference images work" if is_reference else f"{request.generation_type} works"
    models = tuple(model.name for model in dialect.models if request.generation_type in model.generation_types)
    yield from _works_with("model", request.model, models, subject)
    if is_reference:
        supported = _supported(request, dialect)
        # A model without reference images is one problem; its other options may suit a model that has them.
        ratios = supported.reference_ratios or dialect.reference_ratios
        durations = supported.reference_durations or dialect.reference_durations
        yield from _works_with("aspect_ratio", request.aspect_ratio, ratios, subject)
        yield from _works_with("duration", request.duration, durations, subject)


def _works_with(name: str, value: Any, allowed: tuple[Any, ...], subject: str) -> Iterator[Problem]:
    if value is not None and value not in allowed:
        listed = " or ".join(str(item) for item in allowed)
        yield Problem(name, value, f"{subject} with {listed} only", f"use {listed}")


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Iterator[Problem]:
    if value is not None and value not in allowed:
        listed = ", ".join(str(item) for item in allowed)
        yield Problem(name, value, f"must be one of {listed}", f"use one of {listed}")


def _seed_faults(seeds: int | None) -> Iterator[Problem]:
    if seeds is not None and seeds not in _SEEDS:
        remedy = f"use {_SEEDS[0]} to {_SEEDS[-1]}, or leave it out"
        yield Problem("seeds", seeds, f"must lie between {_SEEDS[0]} and {_SEEDS[-1]}", remedy)


def _callback_faults(url: str | None) -> Iterator[Problem]:
    if url is not None and (why := url_problem(url)):
        yield Problem("callback_url", url, why, "give an http(s) URL that the provider can reach")


def is_plausible_task_id(task_id: str) -> bool:
    """Whether *task_id* is one word of sensible length; the question of every look, hence apart from its faults."""
    return 0 < len(task_id) <= 200 and task_id.isprintable() and " " not in task_id


def task_id_problems(task_id: str) -> Iterator[Problem]:
    """What is wrong with *task_id*: ids are opaque, so only what could never be one."""
    if not is_plausible_task_id(task_id):
        yield Problem("task_id", task_id, "is not a task id", "pass the id as the provider gave it")


def url_problem(url: str) -> str | None:
    """Why *url* is no http(s) URL that a server could fetch; None when it is one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # asking for the port checks it
    except ValueError:
        return "is not a URL"
    if not url.isprintable() or " " in url:
        return "holds a space or a control character"
    if parts.scheme.lower() not in ("http", "https"):
        return "must begin with http:// or https://"
    if not host:
        return "names no host"
    return None
