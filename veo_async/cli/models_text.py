"""The Veo models of the provider's catalogue as lines and plain values."""

from collections.abc import Iterator, Sequence
from typing import Any

from veo_async.errors import printable
from veo_async.types import ProviderModel

from .formatting import command, format_count, format_number

_MAX_TITLE = 100
_MAX_PRICE = 2000
_LABEL_WIDTH = 16


def model_as_dict(model: ProviderModel) -> dict[str, Any]:
    """Return *model* as values for JSON, without its schema."""
    return {
        "model": model.name,
        "title": model.title,
        "price": model.price,
        "our_prices": {row: dict(columns) for row, columns in model.our_prices.items()},
        "success_rate": model.success_rate,
        "has_schema": model.schema is not None,
        "differences": list(model.differences),
    }


def model_lines(model: ProviderModel, *, is_offline: bool) -> Iterator[str]:
    """Yield what is known of *model*: a line with its name, then one or more per fact."""
    title = "" if model.title is None else f": {printable(model.title, _MAX_TITLE)}"
    yield f"{printable(model.name, _MAX_TITLE)}{title}"
    if not is_offline:
        rate = model.success_rate
        yield from _fact("success rate", ["no data" if rate is None else f"{rate:.1f} % in the last 24 hours"])
        yield from _fact("provider's price", [printable(model.price or "none", _MAX_PRICE)])
    yield from _fact("our price", list(_price_rows(model)) or ["none"])
    if not is_offline:
        yield from _fact("differences", [printable(text, _MAX_PRICE) for text in model.differences] or ["none"])


def summary_of(models: Sequence[ProviderModel]) -> str:
    """Return how many models there are, and how many differences."""
    number = sum(len(model.differences) for model in models)
    differences = format_count(number, "difference") if number else "no differences"
    return f"{format_count(len(models), 'model')}, {differences} between the provider's catalogue and our table."


def schema_hint() -> str:
    """Return the command that prints a schema."""
    return f"Next: {command('models', '--schema', 'veo-3-1')}"


def _price_rows(model: ProviderModel) -> Iterator[str]:
    for row, columns in model.our_prices.items():
        yield f"{row}: {', '.join(f'{column} {format_number(credits)}' for column, credits in columns.items())}"


def _fact(label: str, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"  {'' if number else label:<{_LABEL_WIDTH}}  {line}"
