"""A progress bar in a notebook. It needs no widgets: IPython replaces what a cell shows under a display id.

A program that runs in a kernel has imported IPython, so this module does not.
"""

import sys
from typing import Any


def in_notebook() -> bool:
    """Whether this program runs in a Jupyter kernel, which can show HTML."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    return hasattr(shell, "kernel")


class BarDisplay:
    """One bar in the output of the cell that runs when it is shown first. It may be updated from any thread."""

    def __init__(self) -> None:
        self._display_id: str | None = None

    def show(self, text: str, fraction: float) -> None:
        """Show a bar that is filled from 0 to 1, and *text*, in place of what it has shown."""
        display: Any = sys.modules["IPython"].display
        data = _data(text, fraction)
        if self._display_id is None:
            import uuid  # only notebooks need it

            self._display_id = uuid.uuid4().hex
            display.display(data, raw=True, display_id=self._display_id)
        else:
            display.update_display(data, raw=True, display_id=self._display_id)


def _data(text: str, fraction: float) -> dict[str, str]:
    import html  # only notebooks need it: it is a table of 2,000 names

    bar = f'<progress max="1" value="{min(max(fraction, 0.0), 1.0):.3f}" style="width:240px"></progress>'
    return {"text/html": f"<div>{bar} {html.escape(text)}</div>", "text/plain": text}
