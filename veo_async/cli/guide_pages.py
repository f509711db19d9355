"""Read the user guide, which is shipped in the package: list, find and search its files.

``guide/llms.txt`` is the index: the order of all pages, and a line about each.
"""

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs

from veo_async._base.checks import nearest
from veo_async.errors import UsageError

#: A heading of the index, or a page: ``- [Title](name.md): summary``.
_INDEX_LINE = re.compile(
    r"^## (?P<section>.+)$|^- \[(?P<title>.+)\]\((?P<name>[\w-]+)\.md\): (?P<summary>.+)$", re.MULTILINE
)
_PAGE_LINK = re.compile(r"\[([^\]]+)\]\(([\w-]+)\.md(?:#[\w-]*)?\)")
_OTHER_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")

#: Pages that an error names if a topic fits several.
_MAX_SUGGESTIONS = 3
#: Characters of a line that a search shows.
_EXCERPT = 160


@attrs.frozen
class Page:
    """One page of the guide.

    Attributes:
        name: what a user types.
        title: its heading.
        summary: one line about it.
        section: the section of the index that lists it.
    """

    name: str
    title: str
    summary: str
    section: str

    def text(self) -> str:
        """Return its Markdown."""
        return _folder().joinpath(f"{self.name}.md").read_text("utf-8")


@attrs.frozen
class Match:
    """A line of a page that contains the searched words, shortened."""

    page: Page
    number: int
    line: str


def _folder() -> Traversable:
    """Return the folder of the guide; the package may be a zip file."""
    return files("veo_async").joinpath("guide")


def read_pages() -> list[Page]:
    """Return all pages in the order of the index."""
    pages: list[Page] = []
    section = ""
    for line in _INDEX_LINE.finditer(_folder().joinpath("llms.txt").read_text("utf-8")):
        section = line["section"] or section
        if line["name"]:
            pages.append(Page(line["name"], line["title"], line["summary"].replace("`", ""), section))
    return pages


def find_page(topic: str, pages: Sequence[Page]) -> Page:
    """Return the page for *topic*: its name, its title, or a part of only one name.

    Raises:
        UsageError: there is none; the error names the nearest ones.
    """
    name = re.sub(r"[\s_]+", "-", topic.strip().casefold()).removesuffix(".md")
    by_name = {spelling: page for page in pages for spelling in (_slug(page.title), page.name)}
    if name in by_name:
        return by_name[name]
    candidates = [page for page in pages if name and name in page.name]
    if len(candidates) == 1:
        return candidates[0]
    if not 1 < len(candidates) <= _MAX_SUGGESTIONS:
        candidates = [by_name[near]] if (near := nearest(name, by_name)) else []
    hint = f"Did you mean {' or '.join(page.name for page in candidates)}? " if candidates else ""
    raise UsageError(f"the guide has no page {topic!r}", remedy=f"{hint}List all pages: veo-async guide")


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")


def search(text: str, pages: Sequence[Page]) -> Iterator[Match]:
    """Yield every line of *pages* that contains all words of *text*, in any case."""
    words = text.casefold().split()
    for page in pages:
        for number, line in enumerate(page.text().splitlines(), start=1):
            if all(word in line.casefold() for word in words):
                yield Match(page, number, _excerpt(line.strip(), words[0]))


def _excerpt(line: str, word: str) -> str:
    """Return *line*, of a long one the part around *word*."""
    if len(line) <= _EXCERPT:
        return line
    start = min(max(0, line.casefold().index(word) - _EXCERPT // 3), len(line) - _EXCERPT)
    return f"{'…' if start else ''}{line[start : start + _EXCERPT]}{'…' if start + _EXCERPT < len(line) else ''}"


def for_terminal(markdown: str) -> str:
    """Return *markdown* with links between pages as what to type, because a terminal cannot follow them."""
    with_topics = _PAGE_LINK.sub(r"\1 (`guide \2`)", markdown)
    return _OTHER_LINK.sub(r"\1", with_topics)
