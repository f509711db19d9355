"""``--install-completion``: completion of commands and options in the user's shell."""

from pathlib import Path
from typing import Literal

from cyclopts import App
from cyclopts.completion.detect import ShellDetectionError

from veo_async.errors import UsageError

from .console import print_line

Shell = Literal["bash", "zsh", "fish", "powershell"]


def install_completion(app: App, shell: Shell | None, output: Path | None) -> None:
    """Write the completion script of *app*, and print what to do with it.

    Args:
        shell: None for the shell that runs the program.
        output: where to write it; None for the place where the shell looks for it, which also adds it to the shell's
            start-up file.

    Raises:
        UsageError: the shell is not known, or the script cannot be written.
    """
    try:
        path = app.install_completion(shell=shell, output=output, add_to_startup=output is None)
    except ShellDetectionError:
        raise UsageError("cannot tell which shell this is; name it: --install-completion bash, zsh or fish") from None
    except OSError as exc:
        raise UsageError(f"--install-completion: {exc.filename}: {exc.strerror}") from None
    print_line(f"Wrote {path}")
    print_line("Open a new terminal to use it." if output is None else "Load it from your shell's start-up file.")
