"""A real Jupyter kernel for tests: its cells, their outputs, its interrupt and its restart."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

#: A cell that waits for a clip may take this long on a busy machine.
_CELL_TIMEOUT_S = 50


@attrs.frozen
class CellOutput:
    """What one cell printed and displayed."""

    messages: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def printed(self) -> str:
        """What it printed."""
        return "".join(content["text"] for name, content in self.messages if name == "stream")

    @property
    def result(self) -> dict[str, str]:
        """Its result, by media type."""
        return next(content["data"] for name, content in self.messages if name == "execute_result")

    @property
    def displayed(self) -> list[tuple[str, dict[str, str]]]:
        """What it displayed and replaced, in order: the display id, and the data by media type."""
        kinds = ("display_data", "update_display_data")
        shown = [content for name, content in self.messages if name in kinds]
        return [(content["transient"]["display_id"], content["data"]) for content in shown]

    @property
    def error(self) -> str | None:
        """The name of the exception that it raised."""
        return next((content["ename"] for name, content in self.messages if name == "error"), None)

    @property
    def traceback(self) -> list[str]:
        """The lines of the traceback as the notebook shows them."""
        lines = [content["traceback"] for name, content in self.messages if name == "error"]
        return "\n".join(lines[0]).splitlines() if lines else []


class Kernel:
    """A running kernel. Variables live from cell to cell, as in a notebook."""

    def __init__(self, manager: KernelManager) -> None:
        self._manager = manager
        self._client = self._connect()

    def run(self, code: str, *, on_print: Callable[[str], None] = lambda text: None) -> CellOutput:
        """Run a cell that may fail; call *on_print* with what it prints, as it prints it."""
        messages: list[tuple[str, dict[str, Any]]] = []

        def collect(message: dict[str, Any]) -> None:
            messages.append((message["msg_type"], message["content"]))
            on_print(message["content"].get("text", ""))

        self._client.execute_interactive(code, output_hook=collect, timeout=_CELL_TIMEOUT_S)
        return CellOutput(tuple(messages))

    def check(self, code: str) -> CellOutput:
        """Run a cell that must succeed."""
        output = self.run(code)
        assert output.error is None, "\n".join(output.traceback)
        return output

    def interrupt(self) -> None:
        """Do what the stop button of a notebook does."""
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        """Do what the restart button of a notebook does."""
        self._client.stop_channels()
        self._manager.restart_kernel()
        self._client = self._connect()

    def stop(self) -> None:
        """End the process."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def _connect(self) -> BlockingKernelClient:
        client: BlockingKernelClient = self._manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=_CELL_TIMEOUT_S)
        return client


@contextmanager
def running_kernel(folder: Path, **environment: str) -> Iterator[Kernel]:
    """Start a kernel that works in *folder* and reads no profile of the user."""
    manager = KernelManager(kernel_name="python3")
    variables = {**os.environ, "IPYTHONDIR": str(folder / ".ipython"), "NO_COLOR": "1", **environment}
    manager.start_kernel(cwd=str(folder), env=variables)
    kernel = Kernel(manager)
    try:
        yield kernel
    finally:
        kernel.stop()
