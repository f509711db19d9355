"""The events and outcomes of jobs as lines of text, plain values and exit codes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from veo_async import Done, Failed, InDoubt, Refused
from veo_async.batch.results import remedy_of
from veo_async.errors import as_sentences, printable
from veo_async.events import (
    CreditsDiffer,
    JobEvent,
    Paused,
    Queued,
    Ready,
    ResolutionDiffers,
    RouteChanged,
    Running,
    Sent,
)
from veo_async.types import OnHold, Outcome

from .exit_codes import ALL_DONE, PARTIAL, SOME_IN_DOUBT, STOPPED
from .formatting import command, format_count, format_credits, format_duration, format_number, same_command, short_path
from .invocation import current
from .output import Reporter
from .progress import reason_text, uncapitalized


def event_text(event: JobEvent) -> str | None:
    """Return the line for *event*; None for an outcome, which `report_outcome` reports."""
    match event:
        case Queued(key=key, position=position, eta=eta):
            behind = f" behind {format_count(position, 'job')}" if position else ""
            return f"{key}: queued{behind}, about {format_duration(eta.p50)}"
        case Sent(key=key):
            return f"{key}: sent"
        case Running(key=key, task_id=task_id, eta=eta):
            task = f" (task {task_id})" if current().is_verbose else ""
            return f"{key}: generating{task}, about {format_duration(eta.p50)} left"
        case Paused(key=key, reason=reason):
            return f"{key}: {uncapitalized(reason_text(reason))}"
        case CreditsDiffer(key=key, expected=expected, consumed=consumed):
            costs = f"the task costs {format_credits(consumed)} according to the provider"
            return f"{key}: {costs}, and {format_number(expected)} in the price table"
        case RouteChanged(key=key, after=after, reason=reason):
            return f"{key}: takes the route {after} now: {reason}"
        case ResolutionDiffers(key=key, requested=requested, width=width, height=height):
            return f"{key}: the video is {width} × {height}, although {requested} was requested"
        case Ready(key=key):
            return f"{key}: ready"
        case _:
            return None


def report_outcome(reporter: Reporter, outcome: Outcome, ledger: Path) -> None:
    """Report how a job on *ledger* finished; with ``-v`` also what the provider's support would ask for."""
    reporter.job_finished(_outcome_text(outcome), _outcome_as_dict(outcome), is_good=isinstance(outcome, Done))
    if not isinstance(outcome, Done):
        report_details(reporter, ledger, outcome.key, outcome.detail, outcome.log_url)


def report_details(reporter: Reporter, ledger: Path, key: str, detail: str, log_url: str | None) -> None:
    """With ``-v``, report *detail*, the page with the provider's logs, and the command that prints the timeline."""
    if not current().is_verbose:
        return
    logs = [] if log_url is None else [f"Logs: {log_url}"]
    for line in (printable(detail), *logs, f"Timeline: {command('timeline', ledger, key)}"):
        reporter.message(f"  {line}")


def exit_code_for(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code for *outcomes*; a job in doubt counts more than a failure."""
    kinds = {type(outcome) for outcome in outcomes}
    if InDoubt in kinds:
        return SOME_IN_DOUBT
    return PARTIAL if kinds - {Done} else ALL_DONE


def next_command(exit_code: int, ledger: Path) -> str:
    """Return the command to run after one that ended with *exit_code*."""
    if exit_code == SOME_IN_DOUBT:
        return command("ledger", "in-doubt", ledger)
    return same_command() if exit_code == STOPPED else command("jobs", ledger)


def _outcome_text(outcome: Outcome) -> str:
    match outcome:
        case Done(clip=clip):
            return f"{clip.key}: saved {', '.join(map(short_path, clip.files)) or 'to no file'}"
        case Refused() | Failed() | InDoubt() | OnHold():
            return f"{outcome.key}: {outcome.kind}: {as_sentences(outcome.reason, remedy_of(outcome))}"


def _outcome_as_dict(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Done):
        clip = outcome.clip
        files = [str(file) for file in clip.files]
        return {"key": clip.key, "outcome": "done", "task_id": clip.task_id, "files": files}
    return {
        "key": outcome.key,
        "outcome": outcome.kind.replace(" ", "_"),
        "reason": outcome.reason,
        "remedy": remedy_of(outcome),
        "detail": outcome.detail,
        "log_url": outcome.log_url,
    }
