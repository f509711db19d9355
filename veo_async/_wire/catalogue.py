"""The provider's catalogue: its models, prices, success rates and schemas, and where they differ from our table.

Every part of a response may be missing. A missing part is None or empty, never an error: the catalogue is information,
and nothing that is charged depends on it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from . import readers
from .envelope import Envelope
from .models import MODELS, UPGRADE_CREDITS, VideoModel

_FIGURE = re.compile(r"(?<![\d.,])(\d{1,6}(?:\.\d{1,4})?)\s*credits?\b", re.IGNORECASE)
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
    """One interval of the success rates; a rate of None means that there was no traffic."""

    start: Any = None
    end: Any = None
    success_rate: float | None = None
    error_rate: float | None = None


def read_models(envelope: Envelope) -> tuple[CatalogueModel, ...]:
    """Return the listed models that have a name."""
    items = [item for item in _items(envelope.data, "models") if readers.string(item.get("model"))]
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
    return readers.string(_object(envelope.data).get("pricingDesc"))


def read_success_rates(envelope: Envelope) -> tuple[SuccessRate, ...]:
    """Return the success rates of the last 24 hours; empty without data."""
    return tuple(
        SuccessRate(
            start=item.get("start"),
            end=item.get("end"),
            success_rate=readers.number(item.get("successRate")),
            error_rate=readers.number(item.get("errorRate")),
        )
        for item in _items(envelope.data, "points")
    )


def read_schema(envelope: Envelope) -> Mapping[str, Any] | None:
    """Return the OpenAPI document of a model; None if it has none."""
    return _object(_object(envelope.data).get("openapi")) or None


def input_fields(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the fields of ``input`` in the first creating request that *schema* describes; empty if it has none."""
    for path in _object(schema.get("paths")).values():
        node: Any = path
        for name in ("post", "requestBody", "content", "application/json", "schema", "properties", "input"):
            node = _resolved(_object(node).get(name), schema)
        if fields := _object(node.get("properties")):
            return {name: _resolved(field, schema) for name, field in fields.items()}
    return {}


def schema_differences(fields: Mapping[str, Mapping[str, Any]], models: Iterable[VideoModel] = MODELS) -> list[str]:
    """Return where the fields of ``veo-3-1`` differ from our table; nothing for a schema without fields."""
    if not fields:
        return []
    known = list(models)
    ours: dict[str, set[Any]] = {
        "model": {model.name for model in known},
        "aspect_ratio": {ratio for model in known for ratio in model.aspect_ratios},
        "resolution": {size for model in known for size in model.resolutions},
        "duration": {seconds for model in known for seconds in model.durations},
    }
    return [line for name, values in ours.items() for line in _field_differences(name, fields.get(name), values)]


def _field_differences(name: str, field: Mapping[str, Any] | None, ours: set[Any]) -> list[str]:
    if field is None:
        return [f"the provider's schema has no {name}"]
    listed = field.get("enum")
    if not isinstance(listed, list):
        return []
    offered, own = {str(value) for value in listed}, {str(value) for value in ours}
    lines = [f"{name} {value}: only in the provider's schema" for value in sorted(offered - own)]
    return lines + [f"{name} {value}: only in our table" for value in sorted(own - offered)]


def unknown_prices(text: str, models: Iterable[VideoModel] = MODELS) -> list[float]:
    """Return the amounts of credits in *text*, in order, that are not in our table."""
    ours = set(UPGRADE_CREDITS.values())
    for model in models:
        ours |= {*model.credits.values(), *(() if model.extend_credits is None else (model.extend_credits,))}
    return list(dict.fromkeys(figure for found in _FIGURE.findall(text) if (figure := float(found)) not in ours))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(data: Any, name: str) -> list[Mapping[str, Any]]:
    found = _object(data).get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _resolved(node: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *node*, or what its local reference names."""
    for _ in range(_MAX_REFERENCES):
        reference = _object(node).get("$ref")
        if not isinstance(reference, str):
            return _object(node)
        node = schema
        for name in reference.removeprefix("#/").split("/"):
            node = _object(node).get(name.replace("~1", "/").replace("~0", "~"))
    return {}
