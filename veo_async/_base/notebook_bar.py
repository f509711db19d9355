"""A progress bar in a notebook. It needs no widgets: IPython replaces what a cell shows under a display id.

A program that runs in a kernel has imported IPython, so this module does not.
"""

import html
import sys
import uuid
from typing import Any


def in_notebook() -> bool:
    """Whether this program runs in a Jupyter kernel, which can show HTML."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    return hasattr(shell, "kernel")


class NotebookBar:
    """One bar, which the cell shows from the first `show` on. It may be updated from any thread."""

    def __init__(self) -> None:
        self._display_id: str | None = None

    def show(self, text: str, fraction: float | None = None) -> None:
        """Show *text* and how much is done, from 0 to 1; None where that is not known."""
        display: Any = sys.modules["IPython"].display
        data = {"text/html": bar_html(text, fraction), "text/plain": text}
        if self._display_id is None:
            self._display_id = uuid.uuid4().hex
            display.display(data, raw=True, display_id=self._display_id)
        else:
            display.update_display(data, raw=True, display_id=self._display_id)


def bar_html(text: str, fraction: float | None) -> str:
    """Return a bar followed by *text*; without a fraction, the bar moves to and fro."""
    value = "" if fraction is None else f' value="{min(max(fraction, 0.0), 1.0):.3f}"'
    return f'<div><progress max="1"{value} style="width:240px"></progress> {html.escape(text)}</div>'
