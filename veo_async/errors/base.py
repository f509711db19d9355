"""The root of all errors: message, evidence, remedy."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

_MESSAGE_LIMIT = 600
_VALUE_LIMIT = 200
_SENTENCE_ENDS = (".", "!", "?", ":", "…")


def printable(text: str, limit: int = _MESSAGE_LIMIT) -> str:
    """Return *text* safe for a terminal and a log line: control characters escaped, at most *limit* long.

    Servers echo prompts in their messages, and prompts can contain escape sequences. Applying it twice changes
    nothing, so errors can be rebuilt from their arguments when they are unpickled.
    """
    bounded = text[:limit]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in bounded)
    if len(text) <= limit and len(shown) <= limit:
        return shown
    return f"{shown[: limit - 1]}…"


def as_sentence(text: str) -> str:
    """Return *text* with a full stop at its end, unless it ends a sentence already."""
    return text if text.endswith(_SENTENCE_ENDS) else f"{text}."


def as_sentences(reason: str, remedy: str) -> str:
    """Return *reason* as a sentence, followed by *remedy* if there is one."""
    return f"{as_sentence(reason)} {remedy}".rstrip()


def capitalized(text: str) -> str:
    """Return *text* with its first letter in upper case and the others unchanged."""
    return text[:1].upper() + text[1:]


class VeoError(Exception):
    """Base class of all errors of this library.

    ``str(error)`` is the message and the remedy, `summary` a short phrase for people. `evidence` holds ids, codes and
    counts; `describe` and ``repr`` show them.
    """

    #: What happened, as a short phrase for people: each class has its own. Without one, the message's first sentence.
    summary: str = ""
    #: Whether the same request can be sent again without the risk of a second charge, and may succeed then.
    retryable: bool = False
    #: What the user can do now: one sentence. A class has one only where it fits every case.
    remedy: str = ""
    #: What the user can do now, if the message contains remedies already, so that `remedy` alone says too little.
    advice: str = ""
    #: The endpoint of the provider.
    endpoint: str | None = None
    #: The job's key in the ledger.
    job_key: str | None = None
    #: The provider's id of the task, if known.
    task_id: str | None = None
    #: The HTTP status of the response, if there was one.
    http_status: int | None = None
    #: The ``code`` in the response's body, if there was one.
    body_code: int | None = None
    #: The provider's page with the account's tasks, if one of them may belong to the job.
    log_url: str | None = None
    #: How many bytes of the request's body were sent; None if no request was made.
    bytes_sent: int | None = None
    #: How many creating requests of the job may have been charged.
    attempts: int | None = None

    _EVIDENCE: ClassVar[tuple[str, ...]] = (
        "endpoint",
        "job_key",
        "task_id",
        "http_status",
        "body_code",
        "bytes_sent",
        "attempts",
    )

    def __init__(self, message: str = "", **evidence: Any) -> None:
        super().__init__(printable(message))
        if not self.summary:
            self.summary = self.message.partition(". ")[0].removesuffix(".") or "an error"
        self.add_evidence(**evidence)

    @property
    def message(self) -> str:
        """What happened, without the remedy."""
        return str(self.args[0]) if self.args else ""

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What is known about the case, by attribute name; never the API key."""
        known = {name: getattr(self, name) for name in self._EVIDENCE}
        return MappingProxyType({name: value for name, value in known.items() if value not in (None, "")})

    def add_evidence(self, **evidence: Any) -> None:
        """Set attributes to what has become known; values that are None are ignored."""
        for name, value in evidence.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no attribute {name!r}")
            if value is not None:
                setattr(self, name, value)

    def describe(self) -> str:
        """Return the message and the evidence in one line, for logs and bug reports."""
        known = {name: value for name, value in self.evidence.items() if value != self.message}
        facts = ", ".join(f"{name} {printable(str(value), _VALUE_LIMIT)}" for name, value in known.items())
        return f"{self.message} ({facts})".lstrip() if facts else self.message

    def __str__(self) -> str:
        if not self.remedy:
            return self.message
        return as_sentences(self.message, self.remedy) if self.message else self.remedy

    def __repr__(self) -> str:
        facts = [f"{name}={printable(repr(value), _VALUE_LIMIT)}" for name, value in self.evidence.items()]
        return f"{type(self).__name__}({', '.join([repr(self.message), *facts])})"

    def _render_traceback_(self) -> list[str]:
        """Return the lines that a notebook shows: the user's own code, and the message."""
        from .notebook import render_short  # only notebooks need it

        return render_short(self)
