"""Standard output of the commands."""

from rich.console import Console

console: Console = Console(highlight=False)


def print_line(text: str = "") -> None:
    """Print *text* literally: without markup and without breaking long lines."""
    console.print(text, markup=False, soft_wrap=True)
