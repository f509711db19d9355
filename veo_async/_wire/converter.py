"""Between requests and JSON: our own spelling for files and ledgers, a dialect's spelling for the wire.

Reading is strict. The stock converter would make ``null`` into ``"None"``, ``"false"`` into True and a bare URL into
its letters; here a value of the wrong type is a fault of its field, and all faults are told at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.preconf.json import make_converter

from veo_async.errors import InvalidRequest, Problem

from .dialects.dialect import Dialect
from .fields import EXTEND, GENERATE, Field
from .images import image_problem, local_images
from .requests import AnyRequest, ExtendRequest, UpgradeRequest, VideoRequest

R = TypeVar("R", VideoRequest, ExtendRequest, UpgradeRequest)

_TABLES: dict[type, tuple[Field, ...]] = {VideoRequest: GENERATE, ExtendRequest: EXTEND}
_STRICT: dict[Any, str] = {str: "a string", int: "a whole number", bool: "true or false"}


def to_wire(request: VideoRequest | ExtendRequest, dialect: Dialect) -> dict[str, Any]:
    """*request* as *dialect* spells it; what is None or empty is left out.

    Raises:
        InvalidRequest: it holds an image that was not uploaded.
    """
    for image in local_images(request):
        raise image_problem(image.source, "was not uploaded", "let a session send it, or upload it first")
    wire: dict[str, Any] = {}
    for field in _TABLES[type(request)]:
        value = getattr(request, field.name)
        if value is not None and value != ():
            spelling = dialect.spelling.get(field.name, field.spelling)
            wire[spelling] = list(value) if isinstance(value, tuple) else value
    return wire


def to_dict(request: AnyRequest) -> dict[str, Any]:
    """*request* in our own spelling, ready for JSON; what is None or empty is left out.

    Our own defaults are written out: a later version may have others, and what was asked for must not change with
    them.
    """
    return {name: value for name, value in _converter.unstructure(request).items() if value not in (None, [], ())}


def from_dict(values: Any, kind: type[R]) -> R:
    """The request that `to_dict` gave, or that a file holds.

    Raises:
        InvalidRequest: options that do not exist, are missing or are of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise InvalidRequest.of(Problem("request", values, "must be an object of options", "write {'prompt': …}"))
    try:
        return _converter.structure(values, kind)
    except ClassValidationError as problem:
        raise InvalidRequest.of(*_field_problems(problem, values), *_unknown_names(problem, kind)) from None


def _field_problems(problem: ClassValidationError, values: Mapping[str, Any]) -> list[Problem]:
    noted, _ = problem.group_exceptions()
    return [_field_fault(note.name, values, str(why)) for why, note in noted]


def _field_fault(name: str, values: Mapping[str, Any], why: str) -> Problem:
    if name not in values:
        return Problem(name, None, "is missing", "give it a value")
    type_name = why if why in _STRICT.values() else "a list of strings"
    return Problem(name, values[name], f"must be {type_name}", f"write {type_name}")


def _unknown_names(problem: ClassValidationError, kind: type) -> list[Problem]:
    _, others = problem.group_exceptions()
    names = ", ".join(field.name for field in attrs.fields(kind))
    unknown: list[str] = []
    for other in others:
        if not isinstance(other, ForbiddenExtraKeysError):
            raise other  # not about the options: a warning that the user has turned into an error
        unknown += map(str, other.extra_fields)
    # The value is not shown: someone may have passed api_key=… here.
    return [Problem(name, "…", "is not an option", f"use one of {names}") for name in sorted(unknown)]


def _strict_hook(wanted: type, type_name: str) -> Callable[[Any, Any], Any]:
    def check(value: Any, _: Any) -> Any:
        if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
            return value
        raise TypeError(type_name)

    return check


def _strict_tuple(value: Any, _: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise TypeError("a list of strings")


def _make() -> Converter:
    converter = make_converter(forbid_extra_keys=True)
    for kind, type_name in _STRICT.items():
        converter.register_structure_hook(kind, _strict_hook(kind, type_name))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strict_tuple)
    return converter


_converter = _make()
