"""One tree of errors, drawn in its docstring; each picklable, copyable, fit to be shown, and with advice."""

import inspect
import re
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from veo_async import errors
from veo_async.errors import InvalidRequest, Problem, VeoError, printable

from .wire.recordings import twins


def tree(kind: type[VeoError] = VeoError) -> Iterator[type[VeoError]]:
    """*kind* and everything beneath it, by its first base, in the order of definition."""
    yield kind
    for child in kind.__subclasses__():
        if child.__bases__[0] is kind and child.__module__.startswith("veo_async"):
            yield from tree(child)


EVERY = list(tree())
EVIL = "flagged: \x1b[2J\x1b]0;owned\x07\r\nfake line \u202e\u2028 \ud800"
EVIDENCE: dict[str, Any] = {
    "endpoint": "generate",
    "job_key": "row-17",
    "task_id": "t-1",
    "http_status": 418,
    "body_code": 422,
    "bytes_sent": 551,
    "attempts": 2,
}
OWN: dict[type[VeoError], dict[str, Any]] = {
    errors.TryLater: {"retry_after": 7.5},
    errors.TaskFailed: {"reason_code": 422},
    errors.MalformedResponse: {"excerpt": "<html>"},
    InvalidRequest: {"problems": (Problem("seeds", 5, "must lie between", "use 10000"),)},
}


def everything_known(kind: type[VeoError]) -> dict[str, Any]:
    """Evidence for every attribute that *kind* carries."""
    own = [facts for parent, facts in OWN.items() if issubclass(kind, parent)]
    return {name: value for facts in (EVIDENCE, *own) for name, value in facts.items()}


def drawn() -> list[tuple[str, str]]:
    """The drawing in the module's docstring, as (name, parent) from top to bottom."""
    pairs: list[tuple[str, str]] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ((?:│   |    )*(?:[├└]── )?)([A-Z]\w+)(?:   |$)", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        path = [*path[:depth], found[2]]
        pairs.append((found[2], path[-2] if depth else ""))
    return pairs


def test_the_drawing_is_the_tree() -> None:
    """Who adds, moves or removes an error changes the drawing too; order included."""
    actual = [(kind.__name__, "" if kind is VeoError else kind.__bases__[0].__name__) for kind in EVERY]
    assert drawn() == actual


def test_every_line_of_the_drawing_says_something() -> None:
    """Each name in the drawing has a word beside it, save the root."""
    lines = [line for line in (errors.__doc__ or "").splitlines() if re.search(r"[├└]── ", line)]
    assert len(lines) == len(EVERY) - 1
    assert all(re.search(r"── \w+ +\S", line) for line in lines)


def test_every_exception_of_the_module_is_in_the_tree() -> None:
    """There is no error of ours beside the root."""
    members = [member for _, member in inspect.getmembers(errors, inspect.isclass)]
    ours = {member for member in members if issubclass(member, BaseException)}
    assert ours == set(EVERY)


def test_catching_by_what_can_be_done() -> None:
    """The one error with two parents is caught as either: a task that failed, and content that was refused."""
    assert issubclass(errors.TaskRefused, errors.TaskFailed)
    assert issubclass(errors.TaskRefused, errors.ContentRefused)
    assert issubclass(errors.RecordNotFound, errors.NotFound)
    assert not issubclass(VeoError, OSError | ValueError)


def test_what_may_be_sent_again() -> None:
    """Exactly these are safe to repeat by their class; a new error has to be put on this list on purpose."""
    assert {kind.__name__ for kind in EVERY if kind.retryable} == {
        "TryLater",
        "RateLimited",
        "Maintenance",
        "NotReady",
        "RecordNotFound",
        "NotSent",
        "DownloadFailed",
        "QueueFull",
        "StillRunning",
        "LedgerBusy",
        "LedgerIOError",
        "DeadlineExceeded",
        "SourceFailed",
        "UploadFailed",
    }


@pytest.mark.parametrize("kind", EVERY)
def test_docstring_and_remedy(kind: type[VeoError]) -> None:
    """Each says in its own docstring what it is; each leaf says in one or two sentences what to do."""
    assert kind.__doc__
    assert kind.__doc__ is not kind.__bases__[0].__doc__
    assert kind.__doc__.splitlines()[0].endswith((".", ":"))
    if not kind.__subclasses__():
        assert kind.remedy
        assert kind.remedy.endswith(".")
        assert str(kind("x")).endswith(kind.remedy)


@pytest.mark.parametrize("kind", EVERY)
def test_bare(kind: type[VeoError]) -> None:
    """Made of nothing, of a message, or of evidence alone, it can be shown and raised."""
    assert kind().message == ""
    assert kind("a message").message == "a message"
    assert isinstance(str(kind()), str)
    assert isinstance(repr(kind()), str)
    with pytest.raises(VeoError):
        raise kind


@pytest.mark.parametrize("kind", EVERY)
def test_copies_keep_everything(kind: type[VeoError]) -> None:
    """Every pickle protocol, copy and deepcopy keep class, message, evidence, flag and notes."""
    known = everything_known(kind)
    error = kind("a message", **known)
    error.retryable = not kind.retryable
    error.add_note("while making row 17")
    for twin in twins(error):
        assert type(twin) is kind
        assert twin.args == error.args
        assert vars(twin) == vars(error)
        assert {name: getattr(twin, name) for name in known} == known
        assert twin.retryable is not kind.retryable
        assert (str(twin), repr(twin)) == (str(error), repr(error))
        assert twin.__notes__ == ["while making row 17"]


@pytest.mark.parametrize("kind", EVERY)
def test_facts_stand_in_the_text(kind: type[VeoError]) -> None:
    """Who reads only the log line learns job, task, status, code and attempts."""
    text = str(kind("a message", **everything_known(kind)))
    assert text.startswith(
        "a message (endpoint generate, job_key row-17, task_id t-1, http_status 418, body_code 422, "
        "bytes_sent 551, attempts 2)"
    )


def test_nothing_sent_is_told() -> None:
    """Zero is a fact: not one byte had left."""
    assert "bytes_sent 0" in str(errors.NotSent("refused"))
    assert errors.NotSent().bytes_sent == 0


@pytest.mark.parametrize("kind", EVERY)
def test_what_a_server_says_cannot_drive_a_terminal(kind: type[VeoError]) -> None:
    """Escape sequences, line breaks, bidirectional marks and half characters are escaped, everywhere and once."""
    error = kind(EVIL)
    for shown in (error.message, str(error), repr(error), "".join(traceback.format_exception_only(error)).rstrip("\n")):
        assert shown.isprintable()
        assert "[2J" in shown
    assert [twin.message for twin in twins(error)] == [error.message] * 8


@pytest.mark.parametrize("name", ["task_id", "job_key", "endpoint"])
def test_what_a_server_says_in_an_id_cannot_either(name: str) -> None:
    """An id is kept as it came, and shown escaped and bounded."""
    error = VeoError("x", **{name: EVIL * 100})
    assert getattr(error, name) == EVIL * 100
    assert str(error).isprintable()
    assert len(str(error)) < 300


def test_messages_are_bounded() -> None:
    """A server cannot flood a log; what is cut is marked, and copies are not cut again."""
    error = VeoError("x" * 100_000)
    assert len(error.message) == 600
    assert error.message.endswith("x…")
    assert len(VeoError("\x1b" * 600).message) == 600
    assert VeoError("x" * 600).message == "x" * 600
    assert {twin.message for twin in twins(error)} == {error.message}


@pytest.mark.parametrize("text", ["", "plain", "ünï 🐕", "\x1b[0m", "a\\b", "\x00" * 700, "y" * 601, "\ud800"])
def test_printable_twice_is_printable_once(text: str) -> None:
    """Errors are rebuilt from their arguments, so doing it again must change nothing."""
    assert printable(printable(text)) == printable(text)
    assert printable(text).isprintable()


def test_evidence_is_added_and_never_taken_away() -> None:
    """What becomes known later is attached; None says nothing; an unknown name is our own mistake."""
    error = VeoError("x", task_id="t-1")
    error.add_evidence(task_id=None, attempts=0, body_code=None)
    assert (error.task_id, error.attempts, error.body_code) == ("t-1", 0, None)
    error.add_evidence(task_id="t-2")
    assert error.task_id == "t-2"
    with pytest.raises(TypeError, match="VeoError carries no 'api_key'"):
        error.add_evidence(api_key="hunter2")
    with pytest.raises(TypeError, match="carries no 'retry_after'"):
        errors.NotSent("x", retry_after=5)


def test_evidence_of_one_error_is_not_anothers() -> None:
    """Defaults live on the class, facts on the instance."""
    errors.RateLimited("x", retry_after=5.0, task_id="t-1").retryable = False
    assert (errors.RateLimited().retry_after, errors.RateLimited().task_id) == (None, None)
    assert errors.RateLimited().retryable


def test_invalid_request_tells_its_faults() -> None:
    """Field, value, rule and remedy of each; the first one's as attributes."""
    error = InvalidRequest.of(
        Problem("seeds", 5, "must lie between 10000 and 99999", "use 10000"),
        Problem("model", "m\x1b", "is no model", "use veo3"),
    )
    assert error.message == (
        "seeds=5: must lie between 10000 and 99999 — use 10000; model='m\\x1b': is no model — use veo3"
    )
    assert (error.field, error.value, error.rule) == ("seeds", 5, "must lie between 10000 and 99999")
    assert len(error.problems) == 2
    assert (InvalidRequest().field, InvalidRequest().value, InvalidRequest().rule) == (None, None, None)
    assert type(errors.UnsupportedByProvider.of(Problem("a", 1, "b", "c"))) is errors.UnsupportedByProvider


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "x", ("a", 1), ["a", None]])
def test_plain_values_are_kept_in_a_fault(value: Any) -> None:
    """What pickles for certain is kept as it is."""
    assert Problem("a", value, "b", "c").value is value


@pytest.mark.parametrize("value", [lambda: 1, object(), {"a": 1}, b"x", [object()], (letter for letter in "ab"), {1}])
def test_other_values_leave_their_likeness_in_a_fault(value: Any) -> None:
    """A lambda or a session does not pickle and is nothing that an error should hold on to."""
    fault = Problem("prompt", value, "must be a string", "pass a string")
    assert str(fault) == f"prompt={printable(repr(value), 120)}: must be a string — pass a string"
    assert isinstance(fault.value, str)
    for twin in twins(InvalidRequest.of(fault)):
        assert twin.problems == (fault,)
        assert str(twin.problems[0]) == str(fault)


def test_long_values_are_cut_in_a_fault() -> None:
    """A whole novel as prompt does not fill the log."""
    assert len(str(Problem("prompt", "x" * 100_000, "r", "m"))) < 200
