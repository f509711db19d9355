"""Conversion between requests and JSON: our own names in files and ledgers, a dialect's spelling on the wire.

Reading is strict. The stock converter turns ``null`` into ``"None"``, ``"false"`` into True and a bare URL into its
letters. Here a value of the wrong type is a problem of its field, and all problems are reported together.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.preconf.json import make_converter

from veo_async._base.checks import nearest
from veo_async.errors import InvalidRequest, Problem

from .fields import Field
from .images import image_problem, local_images
from .requests import AnyRequest, ExtendRequest, UpgradeRequest, VideoRequest, is_instance

R = TypeVar("R", VideoRequest, ExtendRequest, UpgradeRequest)

_AS_IN_TABLE: Mapping[str, str] = MappingProxyType({})
_UPLOAD_REMEDY = "submit it through a VeoSession, which uploads it, or upload it yourself"
_STRICT: dict[Any, str] = {str: "a string", int: "a whole number", bool: "true or false"}


def spelled(request: AnyRequest, fields: Iterable[Field], spelling: Mapping[str, str] = _AS_IN_TABLE) -> dict[str, Any]:
    """Return those *fields* of *request* that have a value; names in *spelling* are spelled so.

    Raises:
        InvalidRequest: *request* has an image that was not uploaded.
    """
    for image in local_images(request):
        raise image_problem(image.source, "was not uploaded", _UPLOAD_REMEDY)
    wire: dict[str, Any] = {}
    for field in fields:
        value = getattr(request, field.name)
        if value is not None and value != ():
            wire[spelling.get(field.name, field.spelling)] = list(value) if isinstance(value, tuple) else value
    return wire


def to_dict(request: AnyRequest) -> dict[str, Any]:
    """Return *request* with our own names, ready for JSON, without None and empty values.

    Our defaults are included, because a later version may have other defaults and must not change the request.
    """
    return {name: value for name, value in _converter.unstructure(request).items() if value not in (None, [], ())}


def from_dict(values: Any, kind: type[R]) -> R:
    """Return the request in *values*, which come from `to_dict` or from a file.

    Raises:
        InvalidRequest: options are unknown, missing or of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise InvalidRequest.of(
            Problem("request", values, "must be an object with request options", "write {'prompt': …}")
        )
    try:
        return _converter.structure(values, kind)
    except ClassValidationError as problem:
        raise InvalidRequest.of(*_field_problems(problem, values), *_unknown_names(problem, kind)) from None


def _field_problems(problem: ClassValidationError, values: Mapping[str, Any]) -> list[Problem]:
    noted, _ = problem.group_exceptions()
    return [_field_problem(note.name, values, str(reason)) for reason, note in noted]


def _field_problem(name: str, values: Mapping[str, Any], reason: str) -> Problem:
    if name not in values:
        return Problem(name, None, "is missing")
    type_name = reason if reason in _STRICT.values() else "a list of strings"
    return Problem(name, values[name], f"must be {type_name}")


def _unknown_names(problem: ClassValidationError, kind: type) -> list[Problem]:
    _, others = problem.group_exceptions()
    unknown: list[str] = []
    for other in others:
        if not isinstance(other, ForbiddenExtraKeysError):
            raise other  # not about the options: a warning that the user's filter turned into an error
        unknown += map(str, other.extra_fields)
    return unknown_options(unknown, [field.name for field in attrs.fields(kind)])


def unknown_options(names: Iterable[str], known: Collection[str]) -> list[Problem]:
    """Return a problem for each of *names* that is not *known*."""
    problems = []
    for name in sorted(set(names) - set(known)):
        near = nearest(name, known)
        remedy = f"did you mean {near}?" if near else f"use one of {', '.join(known)}"
        # The value is not shown: it could be an API key that was passed here by mistake.
        problems.append(Problem(name, "…", "is not an option", remedy))
    return problems


def _strict_hook(kind: type, type_name: str) -> Callable[[Any, Any], Any]:
    def check(value: Any, _: Any) -> Any:
        if is_instance(value, kind):
            return value
        raise TypeError(type_name)

    return check


def _strict_tuple(value: Any, _: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise TypeError("a list of strings")


def _make_converter() -> Converter:
    converter = make_converter(forbid_extra_keys=True)
    for kind, type_name in _STRICT.items():
        converter.register_structure_hook(kind, _strict_hook(kind, type_name))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strict_tuple)
    return converter


_converter = _make_converter()
