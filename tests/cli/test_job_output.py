"""Exit codes and next commands for the outcomes of jobs."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from veo_async import Failed, InDoubt, Refused, errors
from veo_async.cli.exit_codes import ALL_DONE, PARTIAL, SOME_IN_DOUBT, STOPPED
from veo_async.cli.invocation import Invocation, Verbosity, begin, current
from veo_async.cli.job_output import event_text, exit_code_for, next_command, report_outcome
from veo_async.cli.output import JsonReporter, LineReporter
from veo_async.events import CreditsDiffer, Eta, Paused, Queued
from veo_async.types import Outcome

FAILED = Failed("a", errors.ServerError("500"))
IN_DOUBT = InDoubt("b", errors.ResponseLost("connection closed"))


def test_job_in_doubt_outweighs_a_failure() -> None:
    """The user must settle a possible charge first."""
    assert exit_code_for([]) == ALL_DONE
    assert exit_code_for([FAILED]) == PARTIAL
    assert exit_code_for([FAILED, IN_DOUBT]) == SOME_IN_DOUBT


@pytest.mark.parametrize(
    ("code", "command"),
    [
        (ALL_DONE, "veo-async jobs 'my veo.db'"),
        (PARTIAL, "veo-async jobs 'my veo.db'"),
        (SOME_IN_DOUBT, "veo-async ledger in-doubt 'my veo.db'"),
        (STOPPED, "veo-async resume 'my veo.db' --out clips --account studio"),
    ],
)
def test_next_command_fits_the_exit_code(code: int, command: str) -> None:
    """A run that was stopped is continued with the same options."""
    words = ("resume", "my veo.db", "--out", "clips", "--account", "studio", "--accept-restored")
    begin(Invocation(words=words))
    assert next_command(code, Path("my veo.db")) == command


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (0, "a: queued, about 2 min"),
        (1, "a: queued behind 1 job, about 2 min"),
        (7, "a: queued behind 7 jobs, about 2 min"),
    ],
)
def test_queued_event_counts_the_jobs_ahead(position: int, text: str) -> None:
    """Singular and plural, and nothing for the first in the queue."""
    assert event_text(Queued("a", position, Eta(p50=100.0, p90=200.0))) == text


LOGS = "https://kie.ai/logs"
WORDS = "flagged by \x1b[2J filter 7"
REFUSED = Refused("dog", errors.ContentRefused(WORDS, task_id="t-1", body_code=400, log_url=LOGS))


def printed(outcome: Outcome, verbosity: Verbosity = Verbosity.NORMAL) -> list[str]:
    """Return the lines that report *outcome* on the ledger ``my veo.db``."""
    text = io.StringIO()
    reporter = LineReporter(Console(file=text, width=500, highlight=False))
    before = current()
    begin(Invocation(verbosity=verbosity))
    report_outcome(reporter, outcome, Path("my veo.db"))
    begin(before)
    return text.getvalue().splitlines()


def test_unsuccessful_job_prints_one_sentence_and_what_to_do() -> None:
    """Without codes, ids and the provider's words."""
    remedy = "Reword the prompt, change the image, or try another seed."
    assert printed(REFUSED) == [f"dog: refused: content policy. {remedy}"]


def test_unsuccessful_job_prints_all_that_support_would_ask_for_with_v() -> None:
    """The provider's words, escaped; the page with its logs; the command that prints the timeline."""
    assert printed(REFUSED, Verbosity.VERBOSE)[1:] == [
        "  flagged by \\x1b[2J filter 7 (task_id t-1, body_code 400)",
        f"  Logs: {LOGS}",
        "  Timeline: veo-async timeline 'my veo.db' dog",
    ]
    assert len(printed(FAILED, Verbosity.VERBOSE)) == 3  # no task, no page


def test_job_in_doubt_prints_the_command_and_not_the_method() -> None:
    """Its remedy is for Python programs; the reader of the command line has commands."""
    [line] = printed(IN_DOUBT)
    assert line.startswith("b: in doubt: the response was lost. It may have been charged")
    assert line.endswith("Resolve, resubmit or abandon it with `veo-async ledger`.")
    assert "job." not in line


def test_json_of_an_unsuccessful_job_has_reason_remedy_and_detail(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs that read ``--json``."""
    report_outcome(JsonReporter(), REFUSED, Path("veo.db"))
    values = json.loads(capsys.readouterr().out)
    assert (values["outcome"], values["reason"], values["log_url"]) == ("refused", "content policy", LOGS)
    assert values["remedy"].startswith("Reword the prompt")
    assert "filter 7" in values["detail"]


def test_other_costs_are_printed_with_both_figures() -> None:
    text = "a: the task costs 60 credits according to the provider, and 30 in the price table"
    assert event_text(CreditsDiffer("a", 30.0, 60.0)) == text


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            "key-limit",
            "a: paused: this API key's spending limit is reached. Raise it; submission resumes automatically.",
        ),
        ("waiting-for-source", "a: waiting for its source clip."),
        ("waiting-for-upload", "a: uploading its images."),
        ("new-reason", "a: paused: new-reason; submission resumes automatically."),
    ],
)
def test_paused_event_says_why_in_words(reason: str, text: str) -> None:
    """A reason that is not known is printed as it is."""
    assert event_text(Paused("a", reason)) == text
