"""Exit codes and next commands for the outcomes of jobs."""

from pathlib import Path

import pytest

from veo_async import Failed, InDoubt, errors
from veo_async.cli.exit_codes import ALL_DONE, PARTIAL, SOME_IN_DOUBT, STOPPED
from veo_async.cli.job_output import event_text, exit_code_for, next_command
from veo_async.events import Eta, Queued

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
        (STOPPED, "veo-async resume 'my veo.db' --account studio"),
    ],
)
def test_next_command_fits_the_exit_code_and_names_the_account(code: int, command: str) -> None:
    """Without its account, `resume` would find the jobs of another one."""
    assert next_command(code, Path("my veo.db"), "studio") == command


def test_resume_command_without_an_account() -> None:
    """The account then follows from the API key."""
    assert next_command(STOPPED, Path("veo.db"), None) == "veo-async resume veo.db"


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
