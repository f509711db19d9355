"""What an extension takes over from its source clip: the model, unless the request names another, and the resolution.

On the ``veo`` route a request may name any model. On the jobs route the model of the source clip counts, and with it
the price, so a request that expects another is refused there. No route extends a clip that was upgraded to 1080p, and
the jobs route none that was made in 1080p.
"""

from typing import Any, TypeVar

import attrs

from veo_async._wire import JOBS, AnyRequest, ExtendRequest, Record, Route, UpgradeRequest, VideoRequest
from veo_async._wire.models import DEFAULT_EXTEND_MODEL, DEFAULT_MODEL, find_model
from veo_async.errors import InvalidRequest, Problem

R = TypeVar("R", bound=AnyRequest)


def with_model_of(source: AnyRequest | None, request: R) -> R:
    """Return *request*; an extension that names no model gets that of *source*, the request of its source clip."""
    if isinstance(request, ExtendRequest) and request.model is None:
        return attrs.evolve(request, model=extension_model(source))
    return request


def extension_model(source: AnyRequest | None) -> str | None:
    """Return the model of *source*, by the name that extensions use; None if the request does not tell."""
    match source:
        case VideoRequest():
            return _extend_name(source.model)
        case ExtendRequest():
            return source.model
        case _:
            return None


def recorded_model(record: Record) -> str | None:
    """Return the model of the task with *record*, by the name that extensions use; None if the record does not tell."""
    name = record.params.get("model")
    # The clip's request named no model, which the documentation of the jobs route allows.
    return _extend_name(DEFAULT_MODEL if name == JOBS.creations["clip"].model else name)


def check_model(request: AnyRequest, source_model: str | None, route: Route) -> None:
    """Check that *request*, if it is an extension, names the model of its source clip where that counts.

    Raises:
        InvalidRequest: it names another one, or the model of the source clip is not known.
    """
    if not isinstance(request, ExtendRequest) or not route.model_of_source_counts:
        return
    expected = request.model or DEFAULT_EXTEND_MODEL
    if source_model is None:
        rule = "may not be the model of the source clip, which is not known and counts on the jobs route"
        raise InvalidRequest.of(Problem("model", expected, rule, "extend a clip whose model is known"))
    if expected != source_model:
        rule = "is not the model of the source clip, which counts on the jobs route"
        raise InvalidRequest.of(Problem("model", expected, rule, f"use model={source_model!r}"))


def check_resolution(request: AnyRequest, source: AnyRequest | None, route: Route) -> None:
    """Check that *request*, if it is an extension, continues from a clip that *route* extends.

    Raises:
        InvalidRequest: *source*, the request of its source clip, asks for 1080p.
    """
    match source:
        case UpgradeRequest(to="1080p"):
            is_extended = False
        case VideoRequest(resolution="1080p"):
            is_extended = route.extends_clips_in_1080p
        case _:
            is_extended = True
    if is_extended or not isinstance(request, ExtendRequest):
        return
    rule = "is that of the source clip, and such a clip cannot be extended"
    raise InvalidRequest.of(Problem("resolution", "1080p", rule, "extend a clip in 720p, and then upgrade it"))


def _extend_name(model: Any) -> str | None:
    entry = find_model(model)
    return None if entry is None else entry.extend_name
