"""Check a request before it is sent, and report all its problems together.

The rules come from the provider's documentation. Where it contradicts itself, the dialect has the more permissive rule
and the provider decides. The only rule known to be enforced is ``reference_durations``: "Veo 3.1 reference-to-video
currently only supports 8-second generation."
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import attrs

from veo_async._base.checks import is_encodable, nearest
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
from .task_ids import is_plausible_task_id

_SEEDS = range(10000, 100000)
_IMAGES_ALLOWED: dict[str | None, range] = {
    None: range(3),
    GenerationType.TEXT: range(1),
    GenerationType.FRAMES: range(1, 3),
    GenerationType.REFERENCE: range(1, 4),
}


def check(request: AnyRequest, dialect: Dialect) -> None:
    """Raise `InvalidRequest` with all problems of *request*, if there are any."""
    unknown = tuple(_unknown_options(request, dialect))
    problems = unknown + problems_of(request, dialect)
    if problems:
        raise (UnsupportedByProvider if unknown else InvalidRequest).of(*problems)


def check_encodable(request: AnyRequest, dialect: Dialect) -> None:
    """Check only what ``validate=False`` cannot allow: values that this dialect cannot express at all."""
    if unknown := tuple(_unknown_options(request, dialect)):
        raise UnsupportedByProvider.of(*unknown)
    if unencodable := tuple(_encoding_problems(request)):
        raise InvalidRequest.of(*unencodable)


def problems_of(request: AnyRequest, dialect: Dialect) -> tuple[Problem, ...]:
    """Return the problems of *request*: first values that cannot be encoded, then broken rules by field."""
    if isinstance(request, VideoRequest):
        return (*_encoding_problems(request), *_video_problems(request, dialect))
    if isinstance(request, ExtendRequest):
        return (*_encoding_problems(request), *_extend_problems(request, dialect))
    return (*_encoding_problems(request), *_upgrade_problems(request))


def _video_problems(request: VideoRequest, dialect: Dialect) -> Iterator[Problem]:
    yield from _prompt_problems(request.prompt)
    yield from _image_problems(request)
    supported = _supported(request, dialect)
    yield from _one_of("model", request.model, dialect.model_names)
    yield from _one_of("generation_type", request.generation_type, tuple(GenerationType))
    yield from _one_of("aspect_ratio", request.aspect_ratio, supported.aspect_ratios)
    yield from _seed_problems(request.seeds)
    yield from _callback_problems(request.callback_url)
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


def _extend_problems(request: ExtendRequest, dialect: Dialect) -> Iterator[Problem]:
    yield from _source_problems(request)
    yield from _prompt_problems(request.prompt)
    if dialect.extend_models and request.model is not None:
        yield from _one_of("model", request.model, dialect.extend_models)
    yield from _seed_problems(request.seeds)
    yield from _callback_problems(request.callback_url)


def _upgrade_problems(request: UpgradeRequest) -> Iterator[Problem]:
    yield from _source_problems(request)
    # Not a value that validate=False could let through: each target has its own endpoint.
    yield from _one_of("to", request.to, UPGRADE_TARGETS, may_be_newer=False)
    if request.index is not None and request.index < 0:
        yield Problem("index", request.index, "must be 0 or more", "leave it out for the first video")
    yield from _callback_problems(request.callback_url)


def _source_problems(request: ExtendRequest | UpgradeRequest) -> Iterator[Problem]:
    """Check the source clip: a task, or a job whose task is not known yet."""
    if request.after_key is None:
        yield from _source_task_problems(request)
    elif request.task_id:
        yield Problem("after", request.after_key, "cannot be combined with task_id", "pass one of the two")
    elif not request.after_key:
        yield Problem(
            "after", request.after_key, "is not a job key", "pass the key of the job that makes the source clip"
        )


def _source_task_problems(request: ExtendRequest | UpgradeRequest) -> Iterator[Problem]:
    upgrade = upgrade_from_name(request.task_id)
    if upgrade is None:
        yield from task_id_problems(request.task_id)
    elif isinstance(request, UpgradeRequest):
        remedy = f"upgrade its source clip, {upgrade.task_id}"
        yield Problem("task_id", request.task_id, f"is already an upgrade to {upgrade.to}", remedy)
    elif upgrade.to == "1080p":
        remedy = "extend first, then upgrade the extension"
        yield Problem("task_id", request.task_id, "was upgraded to 1080p and can no longer be extended", remedy)
    else:
        yield Problem("task_id", request.task_id, "is an upgrade", f"extend its source clip, {upgrade.task_id}")


def _unknown_options(request: AnyRequest, dialect: Dialect) -> Iterator[Problem]:
    for name in sorted(dialect.unknown_options):
        value = getattr(request, name, None)
        if value not in (None, ()):
            remedy = "remove it or use a provider that supports it"
            yield Problem(name, value, f"is not an option of {dialect.name}", remedy)


def _prompt_problems(prompt: str) -> Iterator[Problem]:
    if not prompt.strip():
        yield Problem("prompt", prompt, "must not be empty", "describe the clip")


def _encoding_problems(request: AnyRequest) -> Iterator[Problem]:
    for field in attrs.fields(type(request)):
        value = getattr(request, field.name)
        texts = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
        if not all(map(is_encodable, texts)):
            yield Problem(field.name, value, "contains a lone surrogate", "decode the text as UTF-8")


def _image_problems(request: VideoRequest) -> Iterator[Problem]:
    for url in request.image_urls:
        if LocalImage.parse(url) is not None:
            continue
        # A local simulator can reach this machine. Code that knows the base URL checks that case.
        if problem := url_problem(url) or unreachable_reason(url, allow_loopback=True):
            yield Problem("image_urls", url, problem, "to use a file, pass its path and a session uploads it")
    allowed = _IMAGES_ALLOWED.get(request.generation_type)
    if allowed is not None and len(request.image_urls) not in allowed:
        mode = request.generation_type or "a request without generation_type"
        count = f"{allowed[0]} to {allowed[-1]}" if len(allowed) > 1 else "no"
        yield Problem("image_urls", request.image_urls, f"{mode} takes {count} images", _image_remedy(request))


def _image_remedy(request: VideoRequest) -> str:
    if request.generation_type is None:
        return f"use at most two, or generation_type={GenerationType.REFERENCE.value!r} for three"
    return "change the number of images or the generation_type"


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
        yield Problem(name, value, f"{subject} with {listed} only", may_be_newer=True)


def _one_of(name: str, value: Any, allowed: tuple[Any, ...], *, may_be_newer: bool = True) -> Iterator[Problem]:
    if value is None or value in allowed:
        return
    near = nearest(value, allowed)
    is_respelled = near is not None and near.casefold() == value.casefold()
    may_be_newer = may_be_newer and not is_respelled and bool(str(value).strip())
    remedy = f"did you mean {near!r}?" if near else ""
    yield Problem(name, value, f"must be one of {', '.join(map(str, allowed))}", remedy, may_be_newer=may_be_newer)


def _seed_problems(seeds: int | None) -> Iterator[Problem]:
    if seeds is not None and seeds not in _SEEDS:
        yield Problem(
            "seeds", seeds, f"must be between {_SEEDS[0]} and {_SEEDS[-1]}", "leave it out to let the provider choose"
        )


def _callback_problems(url: str | None) -> Iterator[Problem]:
    if url is not None and (problem := url_problem(url)):
        yield Problem("callback_url", url, problem, "the provider must be able to reach it")


def task_id_problems(task_id: str) -> Iterator[Problem]:
    """Return the problems of *task_id*. Ids are opaque, so only impossible ones are problems."""
    if not is_plausible_task_id(task_id):
        yield Problem("task_id", task_id, "is not a task id", "pass the id exactly as the provider returned it")


def url_problem(url: str) -> str | None:
    """Return why *url* is not a usable http(s) URL, or None if it is one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port validates it
    except ValueError:
        return "is not a URL"
    if not url.isprintable() or " " in url:
        return "contains a space or a control character"
    if parts.scheme.lower() not in ("http", "https"):
        return "must start with http:// or https://"
    if not host:
        return "has no host"
    return None
