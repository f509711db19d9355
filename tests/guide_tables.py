"""The generated parts of the guide; ``python -m tests.guide_tables`` updates them."""

import re
from collections.abc import Callable
from pathlib import Path

from veo_async.models import MODELS
from veo_async.simulator import FAULTS

from .rules.state_diagram import as_mermaid
from .wire.error_table import as_markdown

GUIDE = Path(__file__).parent.parent / "veo_async" / "guide"
_RESOLUTIONS = ("720p", "1080p", "4k")


def price_table() -> str:
    """Return the table of all models with their prices and their expected time."""
    lines = ["| model | 720p | 1080p | 4k | extension | time |", "|---|---|---|---|---|---|"]
    for model in MODELS:
        prices = [*(model.credits[resolution] for resolution in _RESOLUTIONS), model.extend_credits]
        cells = ["–" if price is None else f"{price:g}" for price in prices]
        lines.append(f"| `{model.name}` | {' | '.join(cells)} | about {model.expected.median_s:g} s |")
    return "\n".join(lines) + "\n"


def fault_table() -> str:
    """Return the table of all faults of the simulator."""
    lines = ["| fault | effect |", "|---|---|"]
    lines += [f"| `{kind.name}` | {kind.description.replace('``', '`')} |" for kind in FAULTS.values()]
    return "\n".join(lines) + "\n"


#: Page and generator of each generated part.
GENERATED: dict[str, Callable[[], str]] = {
    "architecture": as_mermaid,
    "costs-and-budgets": price_table,
    "errors": as_markdown,
    "simulator": fault_table,
}


def with_generated_part(page: str, text: str) -> str:
    """Return the *text* of *page* with an up-to-date generated part."""
    part = GENERATED[page]()
    first_line = re.escape(part.partition("\n")[0])
    new_text, found = re.subn(rf"^{first_line}\n(?:[| ].*\n?)+", lambda _: part, text, flags=re.MULTILINE)
    assert found == 1, f"{page}.md must contain the line {first_line!r} once"
    return new_text


if __name__ == "__main__":
    for name in GENERATED:
        path = GUIDE / f"{name}.md"
        path.write_text(with_generated_part(name, path.read_text("utf-8")), "utf-8")
