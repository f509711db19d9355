"""What the provider's catalogue says about a Veo model, and where it differs from our table.

The catalogue names four models for what this library does: ``veo-3-1`` for clips of all tiers, ``veo/extend``, and
``veo/get-1080p-video`` and ``veo/get-4k-video`` for upgrades. A difference is a sentence for people. What could not be
compared is also named, so that silence means that both agree.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from veo_async._base.numbers import format_number

from . import job_fields
from .catalogue import CatalogueModel, input_fields
from .fields import Field
from .models import MODELS, VideoModel

#: Credits by row and column, as in `veo_async.pricing`.
Prices = Mapping[str, Mapping[str, float]]

#: A number, or a range like ``60-250``, before the word "credits". Amounts of dollars are not credits.
_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.\d{1,4})?"
_AMOUNT: Final = re.compile(
    rf"(?<![\d.,$€])({_NUMBER})(?:(?:[-–/]| to | or )({_NUMBER}))?[\s-]*credits?\b", re.IGNORECASE
)


@attrs.frozen(kw_only=True)
class _OurModel:
    """What this library sends for one model of the catalogue.

    Attributes:
        fields: the fields of its input.
        ignored: fields that are known and never sent.
        row: the row of the price table; None for one row per tier.
        column: the only column of the row that counts; None for all.
        reserved: lower prices that the provider also names, and the higher ones for the same clip in our table.
    """

    fields: tuple[Field, ...]
    ignored: frozenset[str] = frozenset()
    row: str | None = None
    column: str | None = None
    reserved: Mapping[float, float] = attrs.field(factory=dict)

    def prices(self, table: Prices) -> Prices:
        """Return the part of the price *table* for this model."""
        if self.row is None:
            return {row: columns for row, columns in table.items() if row not in ("extend", "upgrade")}
        columns = table.get(self.row, {})
        kept = columns if self.column is None else {name: columns[name] for name in columns if name == self.column}
        return {self.row: kept} if kept else {}


_OURS: Final[Mapping[str, _OurModel]] = {
    # Quality in 4K: 370 credits from images, 380 from text.
    "veo-3-1": _OurModel(fields=job_fields.GENERATE, ignored=frozenset({"enable_fallback"}), reserved={370.0: 380.0}),
    "veo/extend": _OurModel(fields=job_fields.EXTEND, row="extend"),
    "veo/get-1080p-video": _OurModel(fields=job_fields.UPGRADE_1080P, row="upgrade", column="1080p"),
    "veo/get-4k-video": _OurModel(fields=job_fields.UPGRADE_4K, row="upgrade", column="4k"),
}


@attrs.frozen(kw_only=True)
class ProviderModel:
    """One Veo model of the provider's catalogue, compared with our table.

    Attributes:
        name: its name on the jobs route.
        title: its name for people; None if the provider has none.
        price: the provider's price, as prose.
        our_prices: our prices in credits, by row and column as in `veo_async.pricing`.
        success_rate: the percentage of successful tasks in the last 24 hours; None without data.
        schema: the provider's OpenAPI document of its request.
        differences: where the catalogue and our table differ, and what could not be compared; a sentence each.
    """

    name: str
    title: str | None = None
    price: str | None = None
    our_prices: Prices = attrs.field(factory=dict, hash=False)
    success_rate: float | None = None
    schema: Mapping[str, Any] | None = attrs.field(default=None, repr=False, hash=False)
    differences: tuple[str, ...] = ()


def our_models(prices: Prices) -> tuple[ProviderModel, ...]:
    """Return our table alone, without the provider's catalogue."""
    return tuple(ProviderModel(name=name, our_prices=ours.prices(prices)) for name, ours in _OURS.items())


def veo_names(listed: Iterable[CatalogueModel]) -> tuple[str, ...]:
    """Return the names of our models, then of other Veo models that the provider lists."""
    others = [model.name for model in listed if model.name.lower().startswith("veo")]
    return tuple(dict.fromkeys([*_OURS, *others]))


def compared(
    model: CatalogueModel,
    prices: Prices,
    *,
    is_listed: bool = True,
    success_rate: float | None = None,
    schema: Mapping[str, Any] | None = None,
    unread: Iterable[str] = (),
) -> ProviderModel:
    """Return *model* with our prices and the differences.

    Args:
        prices: our price table.
        is_listed: the catalogue lists the model.
        unread: sentences about the parts that could not be read.
    """
    ours = _OURS.get(model.name)
    our_prices = {} if ours is None else ours.prices(prices)
    if ours is None:
        differences = ["veo_async does not know this model."]
    else:
        differences = [] if is_listed else ["The provider's catalogue does not list this model."]
        differences += _price_differences(model.price, our_prices, ours.reserved)
        differences += schema_differences(model.name, schema)
    return ProviderModel(
        name=model.name,
        title=model.title,
        price=model.price,
        our_prices=our_prices,
        success_rate=success_rate,
        schema=schema,
        differences=(*differences, *unread),
    )


# --- prices -----------------------------------------------------------------------------------------------------


def amounts(text: str) -> tuple[float, ...]:
    """Return the amounts of credits that *text* names, in order."""
    found = [figure for match in _AMOUNT.finditer(text) for figure in match.groups() if figure is not None]
    return tuple(dict.fromkeys(float(figure.replace(",", "")) for figure in found))


def _price_differences(price: str | None, ours: Prices, reserved: Mapping[float, float]) -> Iterator[str]:
    named = amounts(price or "")
    known = {credits for columns in ours.values() for credits in columns.values()}
    if not named:
        yield "The provider's price names no credits, so it could not be compared."
    for credits in named:
        if credits in known:
            continue
        higher = reserved.get(credits)
        does = f"reserves {format_number(higher)} for the same clip" if higher in known else "does not"
        yield f"The provider's price names {format_number(credits)} credits; our table {does}."


# --- options ----------------------------------------------------------------------------------------------------


def schema_differences(
    name: str, schema: Mapping[str, Any] | None, models: Iterable[VideoModel] = MODELS
) -> Iterator[str]:
    """Yield where the fields of our requests for the model called *name* differ from its *schema*."""
    fields = {} if schema is None else input_fields(schema)
    if not fields:
        reason = "There is no schema" if schema is None else "The provider's schema has no fields"
        yield f"{reason}, so the options could not be compared."
        return
    ours = _OURS[name]
    sent = [field.spelling for field in ours.fields]
    for field in sent:
        if field not in fields:
            yield f"veo_async sends {field}; the provider's schema does not have it."
    for field in fields:
        if field not in sent and field not in ours.ignored:
            yield f"The provider's schema has {field}; veo_async does not send it."
    if name == "veo-3-1":
        yield from _value_differences(fields, models)


def _value_differences(fields: Mapping[str, Mapping[str, Any]], models: Iterable[VideoModel]) -> Iterator[str]:
    known = list(models)
    ours: dict[str, list[Any]] = {
        "model": [model.name for model in known],
        "aspect_ratio": [ratio for model in known for ratio in model.aspect_ratios],
        "resolution": [size for model in known for size in model.resolutions],
        "duration": [seconds for model in known for seconds in model.durations],
    }
    for name, values in ours.items():
        listed = fields.get(name, {}).get("enum")
        if not isinstance(listed, list):
            continue
        offered, own = dict.fromkeys(map(str, listed)), dict.fromkeys(map(str, values))
        for value in offered:
            if value not in own:
                yield f"The provider's schema has {name} {value}; our table does not."
        for value in own:
            if value not in offered:
                yield f"Our table has {name} {value}; the provider's schema does not."
