"""Between requests and JSON: our own spelling for files and ledgers, a dialect's spelling for the wire.

Reading is strict. The stock converter would make ``null`` into ``"None"``, ``"false"`` into True and a bare URL into
its letters; here a value of the wrong type is a fault of its field, and all faults are told at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.preconf.json import make_converter

from veo_async.errors import Fault, InvalidRequest

from .dialects.dialect import Dialect
from .fields import EXTEND, GENERATE, Field
from .images import local_images, refused
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
        raise refused(image.source, "was not uploaded", "let a session send it, or upload it first")
    wire: dict[str, Any] = {}
    for field in _TABLES[type(request)]:
        value = getattr(request, field.name)
        if value is not None and value != ():
            spelling = dialect.spelling.get(field.name, field.spelling)
            wire[spelling] = list(value) if isinstance(value, tuple) else value
    return wire


def to_plain(request: AnyRequest) -> dict[str, Any]:
    """*request* in our own spelling, ready for JSON; what is None or empty is left out.

    Our own defaults are written out: a later version may have others, and what was asked for must not change with
    them.
    """
    return {name: value for name, value in _converter.unstructure(request).items() if value not in (None, [], ())}


def from_plain(plain: Any, kind: type[R]) -> R:
    """The request that `to_plain` gave, or that a file holds.

    Raises:
        InvalidRequest: options that do not exist, are missing or are of the wrong type.
    """
    if not isinstance(plain, Mapping):
        raise InvalidRequest.of(Fault("request", plain, "must be an object of options", "write {'prompt': …}"))
    try:
        return _converter.structure(plain, kind)
    except ClassValidationError as problem:
        raise InvalidRequest.of(*_field_faults(problem, plain), *_name_faults(problem, kind)) from None


def _field_faults(problem: ClassValidationError, plain: Mapping[str, Any]) -> list[Fault]:
    noted, _ = problem.group_exceptions()
    return [_field_fault(note.name, plain, str(why)) for why, note in noted]


def _field_fault(name: str, plain: Mapping[str, Any], why: str) -> Fault:
    if name not in plain:
        return Fault(name, None, "is missing", "give it a value")
    described = why if why in _STRICT.values() else "a list of strings"
    return Fault(name, plain[name], f"must be {described}", f"write {described}")


def _name_faults(problem: ClassValidationError, kind: type) -> list[Fault]:
    _, others = problem.group_exceptions()
    names = ", ".join(field.name for field in attrs.fields(kind))
    unknown: list[str] = []
    for other in others:
        if not isinstance(other, ForbiddenExtraKeysError):
            raise other  # not about the options: a warning that the user has turned into an error
        unknown += map(str, other.extra_fields)
    # The value is not shown: someone may have passed api_key=… here.
    return [Fault(name, "…", "is not an option", f"use one of {names}") for name in sorted(unknown)]


def _strictly(wanted: type, described: str) -> Callable[[Any, Any], Any]:
    def check(value: Any, _: Any) -> Any:
        if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
            return value
        raise TypeError(described)

    return check


def _strict_tuple(value: Any, _: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise TypeError("a list of strings")


def _make() -> Converter:
    converter = make_converter(forbid_extra_keys=True)
    for kind, described in _STRICT.items():
        converter.register_structure_hook(kind, _strictly(kind, described))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strict_tuple)
    return converter


_converter = _make()
