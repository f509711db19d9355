"""Templates of paths: ``"clips/{n:03}-{slug}.mp4"``. Plain functions; no path outside the template's own is reachable.

| placeholder | value |
|---|---|
| ``{key}`` | the job's key |
| ``{slug}`` | the prompt as lower-case words, ``a-dog-surfing-at-dusk``; of a follow-up, the prompt of its first clip |
| ``{id}`` | a short id made from the key |
| ``{model}`` | the model |
| ``{n}``, ``{n:03}`` | the number of the request in its `map` or `gather`, or of the row in its list |

A brace that is meant literally is written twice. Values are made safe for a file name before they are inserted: they
contain no slash and are never ``..``.
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from veo_async._base.checks import nearest, reject

from .names import safe_name, short_id, slug

NUMBER = "n"
#: A doubled brace, a placeholder with or without a width, or a single brace, which is an error.
_TOKEN = re.compile(r"(\{\{|\}\})|\{([^{}:]*)(?::([^{}]*))?\}|([{}])")
_WIDTH = re.compile(r"0?([1-9])d?")
#: Stands for any number when a path is compared with a template; no file name contains it.
_ANY_NUMBER = "\ue000"


@attrs.frozen(kw_only=True)
class NameFacts:
    """What the name of a clip may be made of."""

    key: str
    #: The prompt and the model of the first job of its chain.
    prompt: str = ""
    model: str = ""
    #: The number of the request among several; None if it has none.
    number: int | None = None


@attrs.frozen
class NumberedPath(os.PathLike[str]):
    """A path or a template together with the number of its request."""

    path: str
    number: int

    def __fspath__(self) -> str:
        return self.path


@attrs.frozen
class _Placeholder:
    name: str
    #: The least number of digits, filled up with zeros.
    width: int = 0


@attrs.frozen
class PathTemplate:
    """A parsed template."""

    parts: tuple[str | _Placeholder, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of its placeholders."""
        return frozenset(part.name for part in self.parts if isinstance(part, _Placeholder))

    def fill(self, facts: NameFacts) -> str:
        """Return the path for a job."""
        values = {name: value(facts) for name, value in _VALUES.items() if name in self.names}
        number = "" if facts.number is None else str(facts.number)
        return self._join(lambda part: number.zfill(part.width) if part.name == NUMBER else values[part.name])

    def fill_except_number(self, facts: NameFacts) -> re.Pattern[str]:
        """Return a pattern for the absolute paths that the template gives the job with any number."""
        values = {name: value(facts) for name, value in _VALUES.items() if name in self.names}
        path = absolute(self._join(lambda part: values.get(part.name, _ANY_NUMBER)))
        return re.compile(re.escape(path).replace(re.escape(_ANY_NUMBER), "[0-9]+"))

    def below(self, folder: str) -> "PathTemplate":
        """Return the template for the same paths, relative to *folder* instead of the working directory."""
        is_absolute = os.path.isabs(self.as_example())
        return self if is_absolute else PathTemplate((os.path.join(folder, ""), *self.parts))

    def as_example(self) -> str:
        """Return a path of the same form, in which the placeholders are kept as text."""
        return self._join(lambda part: f"{{{part.name}}}")

    def _join(self, value_of: Callable[[_Placeholder], str]) -> str:
        return "".join(part if isinstance(part, str) else value_of(part) for part in self.parts)


def _model_name(facts: NameFacts) -> str:
    return safe_name(facts.model or "veo")


_VALUES: Mapping[str, Callable[[NameFacts], str]] = {
    "key": lambda facts: safe_name(facts.key),
    "slug": lambda facts: slug(facts.prompt),
    "id": lambda facts: short_id(facts.key),
    "model": _model_name,
}
PLACEHOLDERS = (*_VALUES, NUMBER)


def absolute(path: str) -> str:
    """Return *path* absolute, with its separator at the end if it has one."""
    is_folder = path.endswith((os.sep, os.altsep or os.sep))
    return os.path.join(os.path.abspath(path), "") if is_folder else os.path.abspath(path)


def is_template(path: str) -> bool:
    """Return True if *path* contains a brace."""
    return "{" in path or "}" in path


def numbered(path: Any, number: int) -> Any:
    """Return *path* with the number of its request, unless it has one; anything but a path is not changed."""
    is_path = isinstance(path, str | os.PathLike) and not isinstance(path, NumberedPath)
    return NumberedPath(text, number) if is_path and isinstance(text := os.fspath(path), str) else path


def escape_braces(path: str) -> str:
    """Return a template for exactly *path*."""
    return path.replace("{", "{{").replace("}", "}}")


def parse_template(name: str, text: str, *, has_number: bool) -> PathTemplate:
    """Parse the template *text*; the errors call the argument *name*.

    Args:
        has_number: whether the requests are numbered, so that ``{n}`` has a value.

    Raises:
        UsageError: a placeholder is wrong, or there is a single brace.
    """
    parts: list[str | _Placeholder] = []
    end = 0
    for match in _TOKEN.finditer(text):
        parts.append(text[end : match.start()])
        parts.append(match[1][0] if match[1] else _placeholder(name, text, match, has_number=has_number))
        end = match.end()
    template = PathTemplate((*parts, text[end:]))
    last = re.split(r"[/\\]", text)[-1] if os.name == "nt" else text.rpartition("/")[2]
    if is_template(last) and not last.lower().endswith(".mp4"):
        reject(name, text, "end it with .mp4 for a file, or with a slash for a folder")
    return template


def _placeholder(name: str, text: str, match: re.Match[str], *, has_number: bool) -> _Placeholder:
    """Return the placeholder that *match* has found.

    Raises:
        UsageError: it is wrong.
    """
    choices = [*_VALUES, *([NUMBER] if has_number else [])]
    listed = ", ".join(f"{{{choice}}}" if choice != NUMBER else "{n:03}" for choice in choices)
    if match[4]:
        reject(name, text, f"a single {match[4]!r}; write a literal brace twice, or a placeholder: {listed}")
    found, width = match[2], match[3]
    if found == NUMBER and not has_number:
        reject(name, text, f"only the requests of map(), gather() and a list have a number for {{n}}; use {listed}")
    if found not in choices:
        near = nearest(found, choices)
        hint = f" (did you mean {{{near}}}?)" if near else ""
        reject(name, text, f"{match[0]} is not a placeholder{hint}; use {listed}")
    if width is None:
        return _Placeholder(found)
    digits = _WIDTH.fullmatch(width)
    if found != NUMBER or digits is None:
        reject(name, text, f"{match[0]}: only {{n}} takes a width, as in {{n:03}}")
    return _Placeholder(found, int(digits[1]))
