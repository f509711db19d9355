"""The provider's catalogue: its models, prices, success rates and schemas.

Every part of a response may be missing. A missing part is None or empty, never an error: the catalogue is information,
and nothing that is charged depends on it. Only data of another type than an object is malformed. `comparison` compares
the catalogue with our table.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import attrs

from veo_async.errors import MalformedResponse

from . import readers
from .envelope import Envelope

#: A schema may refer to itself.
_MAX_REFERENCES = 16


@attrs.frozen(kw_only=True)
class CatalogueModel:
    """One model as the provider lists it.

    Attributes:
        name: its name on the wire.
        title: its name for people.
        price: the price, as prose.
    """

    name: str
    title: str | None = None
    price: str | None = None


@attrs.frozen(kw_only=True)
class SuccessRate:
    """One interval of the success rates, usually of ten minutes.

    Attributes:
        start: when it began, as the provider writes it.
        end: when it ended.
        success_rate: in percent; None if there was no traffic.
        error_rate: in percent; None if there was no traffic.
    """

    start: Any = None
    end: Any = None
    success_rate: float | None = None
    error_rate: float | None = None


def read_models(envelope: Envelope) -> tuple[CatalogueModel, ...]:
    """Return the listed models that have a name."""
    items = [item for item in _items(_data(envelope), "models") if readers.string(item.get("model"))]
    return tuple(
        CatalogueModel(
            name=item["model"],
            title=readers.string(item.get("title")),
            price=readers.string(item.get("pricingDesc")),
        )
        for item in items
    )


def read_price(envelope: Envelope) -> str | None:
    """Return the price of a model, as prose."""
    return readers.string(_data(envelope).get("pricingDesc"))


def read_success_rates(envelope: Envelope) -> tuple[SuccessRate, ...]:
    """Return the success rates of the last 24 hours; empty without data."""
    return tuple(
        SuccessRate(
            start=item.get("start"),
            end=item.get("end"),
            success_rate=readers.number(item.get("successRate")),
            error_rate=readers.number(item.get("errorRate")),
        )
        for item in _items(_data(envelope), "points")
    )


def mean_success_rate(intervals: Iterable[SuccessRate]) -> float | None:
    """Return the mean of the intervals with traffic, in percent with one decimal; None if there are none."""
    rates = [interval.success_rate for interval in intervals if interval.success_rate is not None]
    return round(sum(rates) / len(rates), 1) if rates else None


def read_schema(envelope: Envelope) -> Mapping[str, Any] | None:
    """Return the OpenAPI document of a model; None if it has none."""
    return _object(_data(envelope).get("openapi")) or None


def input_fields(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the fields of ``input`` in the first creating request that *schema* describes; empty if it has none."""
    for path in _object(schema.get("paths")).values():
        node: Any = path
        for name in ("post", "requestBody", "content", "application/json", "schema", "properties", "input"):
            node = _resolved(_object(node).get(name), schema)
        if fields := _properties(node, schema):
            return {name: _resolved(field, schema) for name, field in fields.items()}
    return {}


def _properties(node: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of *node* and of its alternatives."""
    alternatives = [item for word in ("oneOf", "anyOf", "allOf") for item in _list(node.get(word))]
    found: dict[str, Any] = {}
    for item in (node, *(_resolved(alternative, schema) for alternative in alternatives)):
        found |= _object(item.get("properties"))
    return found


def _data(envelope: Envelope) -> Mapping[str, Any]:
    if envelope.data is not None and not isinstance(envelope.data, dict):
        raise MalformedResponse(f"data is a {type(envelope.data).__name__} instead of an object")
    return _object(envelope.data)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(data: Any, name: str) -> list[Mapping[str, Any]]:
    return [item for item in _list(_object(data).get(name)) if isinstance(item, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _resolved(node: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *node*, or what its local reference names."""
    for _ in range(_MAX_REFERENCES):
        reference = _object(node).get("$ref")
        if not isinstance(reference, str):
            return _object(node)
        node = schema
        for name in reference.removeprefix("#/").split("/"):
            node = _object(node).get(unquote(name).replace("~1", "/").replace("~0", "~"))
    return {}
