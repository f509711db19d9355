"""Errors of the call itself: nothing was sent and nothing was charged."""

from typing import Any, ClassVar

import attrs

from .base import VeoError, as_sentence, capitalized, printable

_NEWER_VALUE = "If this value is newer than this library, pass validate=False."


class UsageError(VeoError):
    """The call is wrong. Nothing was sent or charged; the message says what to change."""

    summary = "the call is wrong"


class _Repr(str):
    """The ``repr`` of a value that an error does not keep; shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _plain_or_repr(value: Any) -> Any:
    """Return *value* if it is plain, else its ``repr``: a lambda or a session cannot be pickled."""
    items = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(item, str | int | float | bool | None) for item in items):
        return value
    return _Repr(printable(repr(value), 120))


@attrs.frozen
class Problem:
    """One rule that one field of a request breaks."""

    #: The name of the option, for example ``aspect_ratio``.
    field: str
    #: The given value, or its ``repr`` if it is not plain.
    value: Any = attrs.field(converter=_plain_or_repr)
    #: The rule that the value breaks.
    rule: str
    #: What to pass instead; empty if the rule says it.
    remedy: str = ""
    #: The value is outside a set that a newer version of the provider's API may have extended.
    may_be_newer: bool = attrs.field(default=False, kw_only=True)

    def __str__(self) -> str:
        is_missing = self.value is None and self.rule == "is missing"
        shown = self.field if is_missing else f"{self.field}={printable(repr(self.value), 120)}:"
        text = f"{shown} {self.rule}"
        return as_sentence(f"{as_sentence(text)} {capitalized(self.remedy)}" if self.remedy else text)


class InvalidRequest(UsageError):
    """A request breaks the provider's rules; the error lists all problems.

    ``problems`` holds every problem; ``field``, ``value`` and ``rule`` are those of the first.
    """

    summary = "the request is not valid"
    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, *problems: Problem) -> "InvalidRequest":
        """Return the error for *problems*. Its `summary` is the first, without the value, which can be a prompt."""
        remedy = _NEWER_VALUE if any(problem.may_be_newer for problem in problems) else ""
        steps = [as_sentence(capitalized(problem.remedy)) for problem in problems if problem.remedy]
        return cls(
            " ".join(str(problem) for problem in problems),
            problems=problems,
            remedy=remedy or None,
            summary=f"{problems[0].field} {problems[0].rule}",
            advice=" ".join(dict.fromkeys([*steps, remedy])).rstrip(),
        )

    @property
    def field(self) -> str | None:
        """The field of the first problem."""
        return self.problems[0].field if self.problems else None

    @property
    def value(self) -> Any:
        """The value of the first problem."""
        return self.problems[0].value if self.problems else None

    @property
    def rule(self) -> str | None:
        """The rule that the first problem breaks."""
        return self.problems[0].rule if self.problems else None


class UnsupportedByProvider(InvalidRequest):
    """The provider does not document this field or endpoint, so sending it could cost money and do nothing."""


class InvalidKey(UsageError):
    """The API key is missing or malformed. The error never quotes it."""

    summary = "the API key is missing or malformed"


class InvalidBaseUrl(UsageError):
    """The base URL is invalid or not safe to send the API key to."""

    summary = "the base URL is not valid"


class ClientClosed(UsageError):
    """The client is closed, was never opened, or belongs to another event loop."""

    summary = "the client is closed"
    remedy = "Use one client per event loop, inside its `async with` block."


class KeyReused(UsageError):
    """The job's key or task already belongs to another job."""

    summary = "the key belongs to another request"


class FileNameTaken(UsageError):
    """The file that ``save_to=`` names belongs to another clip or to the user, so nothing was sent."""

    summary = "another file has this name"


class ClipExpired(UsageError):
    """The request was charged long ago, and the provider has deleted its clip since. Nothing was sent."""

    summary = "the provider has deleted the clip"
    remedy = "To generate another clip of the same request, pass take=2 (or another key)."


class QueueFull(UsageError):
    """The tenant's queue is full, so the job was not queued."""

    summary = "the queue is full"
    retryable = True
    #: The tenant, how many of its jobs may be queued, and how many of those that are queued are on hold.
    tenant: str = ""
    limit: int = 0
    on_hold: int = 0
    remedy = "Wait until some jobs have been sent, or raise max_queued."

    _EVIDENCE: ClassVar[tuple[str, ...]] = (*VeoError._EVIDENCE, "tenant", "limit")


class BudgetExceeded(UsageError):
    """The request would cost more than the budget allows; nothing was queued.

    Not retryable: reserved credits are returned only if other jobs are not charged.
    """

    summary = "the budget is spent"
    #: The price of the request with all its follow-ups, in credits; None if it is not known.
    cost: float | None = None
    #: The credits that are spent under a named budget, those that are reserved, and the budget.
    spent: float = 0.0
    reserved: float = 0.0
    budget: float = 0.0
    remedy = "Raise budget=."

    _EVIDENCE: ClassVar[tuple[str, ...]] = (*VeoError._EVIDENCE, "cost", "spent", "reserved", "budget")
