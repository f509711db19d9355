"""``veo-async guide``: the user guide in the terminal."""

from cyclopts import App

from veo_async.cli.console import console, print_line
from veo_async.cli.exit_codes import ALL_DONE, ERROR
from veo_async.cli.help_pages import START, listed

app: App = App()

#: Columns of rendered text; longer lines are hard to read.
_MAX_WIDTH = 120


@app.command(**listed(START, 5))
def guide(
    topic: str | None = None,
    /,
    *,
    search: str | None = None,
    pager: bool = False,
) -> int:
    """Print a page of the user guide, or list all pages.

    Example: veo-async guide get-started

    Parameters
    ----------
    topic
        Name of a page, or a part of it (default: list all pages).
    search
        Print every line of the guide that contains these words.
    pager
        Show the page in a pager; only on a terminal.
    """
    from veo_async.cli.guide_pages import find_page, read_pages
    from veo_async.errors import UsageError

    if topic is not None and search is not None:
        raise UsageError("guide takes a topic or --search, not both", remedy="Leave one of them out.")
    if search is not None:
        return _print_matches(search)
    if topic is None:
        _print_topics()
    else:
        _print_page(find_page(topic, read_pages()).text(), pager=pager)
    return ALL_DONE


def _print_topics() -> None:
    """Print a line for each page, by section."""
    from veo_async.cli.guide_pages import read_pages

    section = ""
    pages = read_pages()
    width = max(len(page.name) for page in pages)
    for page in pages:
        if page.section != section:
            section = page.section
            print_line(f"\n{section}" if page is not pages[0] else section)
        print_line(f"  {page.name:<{width}}  {page.summary}")
    print_line("\nNext: veo-async guide get-started")


def _print_page(markdown: str, *, pager: bool) -> None:
    """Print *markdown* rendered on a terminal, and as it is into a pipe."""
    if not console.is_terminal:
        print_line(markdown.rstrip())
        return
    import os
    from contextlib import nullcontext

    from rich.markdown import Markdown
    from rich.theme import Theme

    from veo_async.cli.guide_pages import for_terminal

    os.environ.setdefault("LESS", "-R")  # without it, less shows colors as escapes
    page = Markdown(for_terminal(markdown), code_theme="ansi_dark", hyperlinks=False)
    with (
        console.use_theme(Theme({"markdown.code": "bold cyan"})),
        console.pager(styles=True) if pager else nullcontext(),
    ):
        console.print(page, width=min(console.width, _MAX_WIDTH))


def _print_matches(text: str) -> int:
    """Print the lines that contain the words of *text*, each below the name of its page."""
    from veo_async.cli.formatting import format_count
    from veo_async.cli.guide_pages import read_pages, search
    from veo_async.errors import UsageError

    if not text.strip():
        raise UsageError("--search needs a word", remedy="For example: veo-async guide --search refused")
    matches = list(search(text, read_pages()))
    if not matches:
        print_line(f"No page contains {text!r}. List all pages: veo-async guide")
        return ERROR
    page = None
    for match in matches:
        if match.page != page:
            page = match.page
            print_line(f"{page.name} ({page.title})")
        print_line(f"  {match.number:>4}  {match.line}")
    names = list(dict.fromkeys(match.page.name for match in matches))
    found = f"{format_count(len(matches), 'line')} on {format_count(len(names), 'page')}"
    print_line(f"{found}. Next: veo-async guide {names[0]}")
    return ALL_DONE
