"""Standard output and standard error of the commands."""

from rich.console import Console

console: Console = Console(highlight=False)


def print_line(text: str = "") -> None:
    """Print *text* literally: without markup and without breaking long lines."""
    console.print(text, markup=False, soft_wrap=True)


def print_error(text: str) -> None:
    """Print *text* to standard error."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)
