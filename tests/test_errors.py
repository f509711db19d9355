"""The tree of errors: drawn in the docstring, picklable, safe to print, with a remedy."""

import ast
import inspect
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from veo_async import errors
from veo_async.errors import InvalidRequest, Problem, VeoError, printable

from .wire.recordings import twins


def tree(kind: type[VeoError] = VeoError) -> Iterator[type[VeoError]]:
    """Yield *kind* and its subclasses, each under its first base, in the order of definition."""
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
    errors.QueueFull: {"tenant": "alice", "limit": 3},
    errors.LedgerRestored: {"path": "veo.db", "missing_requests": 8, "unsent_jobs": 12, "unsent_credits": 720.0},
    errors.BudgetExceeded: {"cost": 60.0, "spent": 10.0, "reserved": 30.0, "budget": 80.0},
    errors.JobOnHold: {"model": "veo3_lite", "expected": 30.0, "consumed": 60.0},
}
ATTRIBUTES: dict[type[VeoError], dict[str, Any]] = {
    **OWN,
    InvalidRequest: {"problems": (Problem("seeds", 5, "must be between", "use 10000"),)},
}
#: Classes whose cases need different remedies, so each place that raises them passes one.
REMEDY_WHERE_RAISED = {
    errors.InvalidRequest,
    errors.UnsupportedByProvider,
    errors.InvalidKey,
    errors.InvalidBaseUrl,
    errors.KeyReused,
    errors.FileNameTaken,
    errors.SessionClosed,
    errors.ServerError,
    errors.ResponseLost,
    errors.MalformedResponse,
    errors.LedgerIOError,
    errors.LedgerUnusable,
}


def attributes_of(kind: type[VeoError], table: dict[type[VeoError], dict[str, Any]]) -> dict[str, Any]:
    """Return a value for every attribute of *kind* in *table*, besides the common evidence."""
    own = [values for parent, values in table.items() if issubclass(kind, parent)]
    return {name: value for values in (EVIDENCE, *own) for name, value in values.items()}


def drawn() -> list[tuple[str, str]]:
    """Return the drawing in the module's docstring, as (name, parent) from top to bottom."""
    pairs: list[tuple[str, str]] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:│   |    )*(?:[├└]── )?)([A-Z]\w+)(?:   |$)", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        path = [*path[:depth], match[2]]
        pairs.append((match[2], path[-2] if depth else ""))
    return pairs


def test_drawing_matches_the_class_tree() -> None:
    """The drawing in the docstring shows every class under its base, in the order of definition."""
    actual = [(kind.__name__, "" if kind is VeoError else kind.__bases__[0].__name__) for kind in EVERY]
    assert drawn() == actual


def test_every_line_of_the_drawing_has_an_explanation() -> None:
    """Each name in the drawing except the root is followed by an explanation."""
    lines = [line for line in (errors.__doc__ or "").splitlines() if re.search(r"[├└]── ", line)]
    assert len(lines) == len(EVERY) - 1
    assert all(re.search(r"── \w+ +\S", line) for line in lines)


def test_every_exception_of_the_module_is_in_the_tree() -> None:
    """`veo_async.errors` exports exactly the tree."""
    members = [member for _, member in inspect.getmembers(errors, inspect.isclass)]
    exceptions = {member for member in members if issubclass(member, BaseException)}
    assert exceptions == set(EVERY)


@pytest.mark.parametrize("kind", EVERY)
def test_errors_are_named_after_the_public_module(kind: type[VeoError]) -> None:
    """Tracebacks and pickles name ``veo_async.errors``, where users import the class."""
    assert kind.__module__ == "veo_async.errors"
    assert getattr(errors, kind.__name__) is kind
    assert kind.__name__ in errors.__all__


def test_task_refused_is_caught_as_either_of_its_parents() -> None:
    """The one error with two parents is both a failed task and refused content."""
    assert issubclass(errors.TaskRefused, errors.TaskFailed)
    assert issubclass(errors.TaskRefused, errors.ContentRefused)
    assert issubclass(errors.RecordNotFound, errors.NotFound)
    assert not issubclass(VeoError, OSError | ValueError)


def test_retryable_classes_are_exactly_these() -> None:
    """A new retryable error must be added to this list deliberately."""
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
def test_every_class_has_a_docstring_and_every_leaf_a_remedy(kind: type[VeoError]) -> None:
    """A leaf has a remedy that fits every case, or is listed as getting one where it is raised."""
    assert kind.__doc__
    assert kind.__doc__ is not kind.__bases__[0].__doc__
    assert kind.__doc__.splitlines()[0].endswith((".", ":"))
    if kind in REMEDY_WHERE_RAISED:
        assert kind.remedy == ""
    elif not kind.__subclasses__():
        assert kind.remedy
        assert kind.remedy.endswith(".")
        assert str(kind("x")).endswith(kind.remedy)


def constructions(names: set[str]) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call in the package that creates one of these errors, with its place."""
    package = Path(errors.__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield f"{path.relative_to(package).as_posix()}:{node.lineno}", node


def test_errors_without_a_class_remedy_get_one_where_they_are_raised() -> None:
    """Each place that raises one of these errors passes the remedy for its case."""
    calls = list(constructions({"InvalidKey", "InvalidBaseUrl", "KeyReused"}))
    assert len(calls) >= 10
    assert [place for place, call in calls if not any(keyword.arg == "remedy" for keyword in call.keywords)] == []


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not VeoError])
def test_every_class_has_a_short_summary_for_people(kind: type[VeoError]) -> None:
    """A few plain words in lower case, which fit into "refused: …." and into the cell of a table."""
    summary = kind("The server returned: \u201cno\u201d (code 7).").summary
    assert 0 < len(summary) <= 45
    assert re.fullmatch(r"[a-z]+(,? (API|URL|[a-z]+))*", summary), summary
    assert not re.search(r"\b(4\d\d|5\d\d|http|json|none)\b", summary, re.IGNORECASE)


def test_summary_of_an_error_without_a_class_of_its_own_is_its_first_sentence() -> None:
    """The row of a later version can name a class that this version does not have."""
    assert VeoError("the quota is used up. Wait an hour.").summary == "the quota is used up"
    assert VeoError("the quota is used up.").summary == "the quota is used up"
    assert VeoError("").summary == "an error"


def test_advice_of_an_invalid_request_is_the_remedy_of_each_problem() -> None:
    """Each remedy once, and at the end what is true of all of them."""
    problems = [Problem("seeds", seeds, "is out of range", "use 10000", may_be_newer=True) for seeds in (5, 6)]
    error = InvalidRequest.of(*problems, Problem("model", "veo9", "is unknown"))
    assert error.summary == "seeds is out of range"
    assert error.advice == "Use 10000. If this value is newer than this library, pass validate=False."


@pytest.mark.parametrize("kind", EVERY)
def test_error_can_be_created_without_arguments(kind: type[VeoError]) -> None:
    """Created from nothing, or from a message alone, an error can be shown and raised."""
    assert kind().message == ""
    assert kind("a message").message == "a message"
    assert isinstance(str(kind()), str)
    assert isinstance(repr(kind()), str)
    with pytest.raises(VeoError):
        raise kind


@pytest.mark.parametrize("kind", EVERY)
def test_copies_and_pickles_keep_everything(kind: type[VeoError]) -> None:
    """Every pickle protocol, copy and deepcopy keep class, message, evidence, flag and notes."""
    known = attributes_of(kind, ATTRIBUTES)
    error = kind("a message", **known, remedy="Do something else.")
    error.retryable = not kind.retryable
    error.add_note("while creating row 17")
    for twin in twins(error):
        assert type(twin) is kind
        assert twin.args == error.args
        assert vars(twin) == vars(error)
        assert {name: getattr(twin, name) for name in known} == known
        assert twin.retryable is not kind.retryable
        assert (str(twin), repr(twin)) == (str(error), repr(error))
        assert twin.__notes__ == ["while creating row 17"]


@pytest.mark.parametrize("kind", EVERY)
def test_text_is_message_and_remedy_only(kind: type[VeoError]) -> None:
    """Ids, codes and counts are evidence and do not appear in the text."""
    error = kind("a message", **attributes_of(kind, ATTRIBUTES))
    assert str(error) == (f"a message. {kind.remedy}" if kind.remedy else "a message")
    error.remedy = "Do this."
    assert str(error) == "a message. Do this."


@pytest.mark.parametrize("message", ["done.", "Really?", "stop!", "cut…", "see:"])
def test_message_that_ends_a_sentence_gets_no_second_full_stop(message: str) -> None:
    """Message and remedy are joined as two sentences."""
    assert str(VeoError(message, remedy="Do this.")) == f"{message} Do this."


def test_remedy_alone_is_the_text_of_an_error_without_message() -> None:
    """An error without a message still says what to do."""
    assert str(VeoError(remedy="Do this.")) == "Do this."


@pytest.mark.parametrize("kind", EVERY)
def test_evidence_is_shown_by_describe_and_repr(kind: type[VeoError]) -> None:
    """`evidence`, `describe` and ``repr`` have job, task, status, code, attempts and the class's own facts."""
    known = attributes_of(kind, OWN)
    error = kind("a message", **known)
    assert error.evidence == known
    assert error.describe().startswith(
        "a message (endpoint generate, job_key row-17, task_id t-1, http_status 418, body_code 422, "
        "bytes_sent 551, attempts 2"
    )
    assert repr(error).startswith(f"{kind.__name__}('a message', endpoint='generate', job_key='row-17', task_id='t-1'")
    for name, value in known.items():
        assert f"{name} {value}" in error.describe()
        assert f"{name}={value!r}" in repr(error)


def test_describe_without_evidence_is_the_message() -> None:
    """Nothing known means nothing in parentheses."""
    assert (VeoError("x").describe(), repr(VeoError("x")), VeoError("x").evidence) == ("x", "VeoError('x')", {})


def test_evidence_cannot_be_changed_through_the_mapping() -> None:
    """The mapping is a read-only view; `add_evidence` is the way to add."""
    with pytest.raises(TypeError):
        VeoError("x").evidence["task_id"] = "t-1"  # type: ignore[index]  # the point of the test


def test_message_is_not_repeated_as_evidence() -> None:
    """The reason of a failed task usually is its message."""
    assert errors.TaskFailed("no audio", reason="no audio", task_id="t-1").describe() == "no audio (task_id t-1)"
    assert "reason no audio" in errors.TaskFailed("it failed", reason="no audio").describe()


def test_zero_bytes_sent_is_evidence() -> None:
    """Zero is a fact: no byte was sent."""
    assert "bytes_sent 0" in errors.NotSent("refused").describe()
    assert errors.NotSent().bytes_sent == 0


@pytest.mark.parametrize("kind", EVERY)
def test_server_message_cannot_control_a_terminal(kind: type[VeoError]) -> None:
    """Escape sequences, line breaks, bidirectional marks and lone surrogates are escaped, everywhere and once."""
    error = kind(EVIL)
    formatted = "".join(traceback.format_exception_only(error)).rstrip("\n")
    for shown in (error.message, str(error), repr(error), error.describe(), formatted):
        assert shown.isprintable()
        assert "[2J" in shown
    assert [twin.message for twin in twins(error)] == [error.message] * 8


@pytest.mark.parametrize("name", ["task_id", "job_key", "endpoint"])
def test_server_id_cannot_control_a_terminal(name: str) -> None:
    """An id is stored unchanged, and shown escaped and bounded."""
    error = VeoError("x", **{name: EVIL * 100})
    assert getattr(error, name) == EVIL * 100
    for shown in (str(error), repr(error), error.describe()):
        assert shown.isprintable()
        assert len(shown) < 300


def test_messages_are_bounded() -> None:
    """A server cannot flood a log; a shortened message is marked, and copies are not shortened again."""
    error = VeoError("x" * 100_000)
    assert len(error.message) == 600
    assert error.message.endswith("x…")
    assert len(VeoError("\x1b" * 600).message) == 600
    assert VeoError("x" * 600).message == "x" * 600
    assert {twin.message for twin in twins(error)} == {error.message}


@pytest.mark.parametrize("text", ["", "plain", "ünï 🐕", "\x1b[0m", "a\\b", "\x00" * 700, "y" * 601, "\ud800"])
def test_printable_twice_is_printable_once(text: str) -> None:
    """Errors are rebuilt from their arguments, so a second application must change nothing."""
    assert printable(printable(text)) == printable(text)
    assert printable(text).isprintable()


def test_evidence_is_added_and_never_removed() -> None:
    """Later facts are added; None is ignored; an unknown name is a mistake in our own code."""
    error = VeoError("x", task_id="t-1")
    error.add_evidence(task_id=None, attempts=0, body_code=None)
    assert (error.task_id, error.attempts, error.body_code) == ("t-1", 0, None)
    error.add_evidence(task_id="t-2")
    assert error.task_id == "t-2"
    with pytest.raises(TypeError, match="VeoError has no attribute 'api_key'"):
        error.add_evidence(api_key="hunter2")
    with pytest.raises(TypeError, match="has no attribute 'retry_after'"):
        errors.NotSent("x", retry_after=5)


def test_evidence_of_one_error_does_not_affect_another() -> None:
    """Defaults are on the class, facts on the instance."""
    errors.RateLimited("x", retry_after=5.0, task_id="t-1").retryable = False
    assert (errors.RateLimited().retry_after, errors.RateLimited().task_id) == (None, None)
    assert errors.RateLimited().retryable


def test_invalid_request_lists_its_problems() -> None:
    """The message has field, value, rule and remedy of each problem; attributes have the first one's."""
    error = InvalidRequest.of(
        Problem("seeds", 5, "must be between 10000 and 99999", "use 10000"),
        Problem("model", "m\x1b", "is not a model"),
    )
    assert error.message == "seeds=5: must be between 10000 and 99999. Use 10000. model='m\\x1b': is not a model."
    assert (error.field, error.value, error.rule) == ("seeds", 5, "must be between 10000 and 99999")
    assert len(error.problems) == 2
    assert (InvalidRequest().field, InvalidRequest().value, InvalidRequest().rule) == (None, None, None)
    assert type(errors.UnsupportedByProvider.of(Problem("a", 1, "b", "c"))) is errors.UnsupportedByProvider


def test_only_a_value_outside_a_known_set_suggests_to_skip_validation() -> None:
    """A newer model may exist; a prompt can never be allowed to be empty."""
    newer = Problem("model", "veo9", "must be one of veo3", may_be_newer=True)
    other = Problem("prompt", "", "must not be empty", "describe the clip")
    hint = "If this value is newer than this library, pass validate=False."
    assert str(InvalidRequest.of(newer)) == f"model='veo9': must be one of veo3. {hint}"
    assert str(InvalidRequest.of(other, newer)).count(hint) == 1
    assert str(InvalidRequest.of(other)) == "prompt='': must not be empty. Describe the clip."


def test_unauthorized_names_the_variable_to_check() -> None:
    """KIE_API_KEY is the documented variable."""
    assert "KIE_API_KEY" in str(errors.Unauthorized("401"))


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "x", ("a", 1), ["a", None]])
def test_plain_values_are_kept_in_a_problem(value: Any) -> None:
    """Values that can certainly be pickled are kept unchanged."""
    assert Problem("a", value, "b", "c").value is value


@pytest.mark.parametrize("value", [lambda: 1, object(), {"a": 1}, b"x", [object()], (letter for letter in "ab"), {1}])
def test_other_values_are_kept_as_repr_in_a_problem(value: Any) -> None:
    """A lambda or a session cannot be pickled, and an error must not keep it alive."""
    problem = Problem("prompt", value, "must be a string", "pass a string")
    assert str(problem) == f"prompt={printable(repr(value), 120)}: must be a string. Pass a string."
    assert isinstance(problem.value, str)
    for twin in twins(InvalidRequest.of(problem)):
        assert twin.problems == (problem,)
        assert str(twin.problems[0]) == str(problem)


def test_long_values_are_shortened_in_a_problem() -> None:
    """A very long prompt does not fill the log."""
    assert len(str(Problem("prompt", "x" * 100_000, "r", "m"))) < 200
