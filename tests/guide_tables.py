"""The generated parts of the guide; ``python -m tests.guide_tables`` updates them all.

A part is a table that is found by its first line, which a page contains once; or a section from its heading to the next
heading of its level; or a whole page.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .guide import arithmetic, commands, configuration, errors_and_events, guarantees, options, simulator
from .rules.state_diagram import as_mermaid
from .wire.error_table import as_markdown

GUIDE = Path(__file__).parent.parent / "veo_async" / "guide"


#: The generators of the parts of each page.
GENERATED: dict[str, tuple[Callable[[], str], ...]] = {
    "architecture": (as_mermaid,),
    "command-line": (commands.exit_code_table,),
    "command-reference": (commands.command_page,),
    "concepts": (arithmetic.rate_limit_table,),
    "configuration": (
        configuration.argument_table,
        *(partial(configuration.settings_table, kind) for kind in configuration.SETTINGS),
        configuration.variable_table,
    ),
    "costs-and-budgets": (options.price_table,),
    "errors": (errors_and_events.error_table, as_markdown),
    "models-and-options": (
        options.model_table,
        options.price_table,
        options.upgrade_table,
        options.generation_type_table,
        options.video_option_table,
        options.extend_option_table,
        options.upgrade_option_table,
        options.job_option_table,
    ),
    "observability": (errors_and_events.event_table,),
    "proofs": (guarantees.guarantee_tables,),
    "simulator": (simulator.settings_table_of_the_simulator, simulator.fault_table),
}


def with_generated_parts(page: str, text: str) -> str:
    """Return the *text* of *page* with up-to-date generated parts."""
    for generate in GENERATED[page]:
        text = _replaced(page, text, generate())
    return text


def _replaced(page: str, text: str, part: str) -> str:
    """Return *text* with *part* in place of its earlier version."""
    first_line = part.partition("\n")[0]
    if first_line.startswith("# "):
        return part
    rest = r"(?:[| ].*\n?)*"
    if is_section := first_line.startswith("#"):
        rest = r"(?:.*\n)*?(?=^## |\Z)"
    pattern = rf"^{re.escape(first_line)}\n{rest}"
    new_text, found = re.subn(pattern, lambda _: part + "\n" * is_section, text, flags=re.MULTILINE)
    assert found == 1, f"{page}.md must contain the line {first_line!r} once"
    return new_text


if __name__ == "__main__":
    for name in GENERATED:
        path = GUIDE / f"{name}.md"
        path.write_text(with_generated_parts(name, path.read_text("utf-8")), "utf-8")
