"""What `batch` prints before and after a run: problems, the price, the summary and the next command."""

import re
from collections.abc import Collection
from pathlib import Path

import attrs

from veo_async.batch.contact_sheet import INSTALL_MEDIA_EXTRA
from veo_async.batch.manifest import Manifest
from veo_async.batch.plan import Plan, RowState
from veo_async.batch.prices import DOLLARS_PER_CREDIT
from veo_async.batch.results import REJECTED
from veo_async.batch.run import Report
from veo_async.errors import NotFound
from veo_async.session import Statistics
from veo_async.types import BudgetUse, Job, JobState, Outcome, Refused

from .exit_codes import ALL_DONE, PARTIAL, SOME_IN_DOUBT, STOPPED, USAGE
from .formatting import command, format_count, format_credits, format_number, plain_number, same_command, without_hold
from .invocation import current
from .list_files import ListFiles
from .output import Reporter
from .progress import counts_of, counts_text, hold_text

#: The option as it may be typed: with a space or an equals sign.
_BUDGET = re.compile(r" --budget[ =]\S+")


def report_invalid(manifest: Manifest, reporter: Reporter) -> int:
    """Report that nothing was sent because of invalid rows; return the exit code."""
    reporter.message("Nothing was sent. Fix these rows, or skip them with --skip-invalid.")
    if manifest.rows:
        reporter.note(f"Next: {same_command()} --skip-invalid   (skips them)")
    reporter.summary({"rejected": len(manifest.problems), "exit_code": USAGE})
    return USAGE


def report_plan(plan: Plan, manifest: Manifest, reporter: Reporter) -> int:
    """Report how many rows are done and left, and what the latter would cost; return the exit code."""
    cost = plan.cost
    if not manifest.rows:
        reporter.message("The list has no rows to send.")
        reporter.summary({"rejected": len(manifest.problems), "exit_code": USAGE})
        return USAGE
    for (model, resolution), clips in sorted(cost.clips.items()):
        reporter.message(f"  {clips:6,d} x {model} {resolution}")
    dollars = cost.credits * DOLLARS_PER_CREDIT
    reporter.message(
        f"{_rows_text(plan)}, costing about {format_credits(cost.credits)} (${dollars:,.2f}). Nothing was sent."
    )
    if manifest.uploads:
        reporter.message(f"{format_count(manifest.uploads, 'image')} would be uploaded first (free).")
    if cost.without_price == 1:
        reporter.message("1 of them has no known price and is not included.")
    elif cost.without_price:
        reporter.message(f"{cost.without_price:,} of them have no known price and are not included.")
    if plan.rows[RowState.LEFT]:
        reporter.note(f"Next: {same_command(without='--dry-run')}")
    rows = {state.replace(" ", "_"): count for state, count in plan.rows.items()}
    reporter.summary({**rows, "credits": cost.credits, "without_price": cost.without_price, "dry_run": True})
    return ALL_DONE


def _rows_text(plan: Plan) -> str:
    """Return the number of rows by what a run would do with them; those left come last, before their price."""
    others = (RowState.RUNNING, RowState.IN_DOUBT, RowState.WITHOUT_CLIP)
    shown = [RowState.DONE, *(state for state in others if plan.rows[state]), RowState.LEFT]
    return ", ".join(f"{plan.rows[state]:,} {state}" for state in shown)


@attrs.frozen(kw_only=True)
class RouteUse:
    """Which routes a run took."""

    #: The route of new requests at the end.
    route: str = "veo"
    is_changed: bool = False
    #: Tasks that still run on another route.
    on_other_route: int = 0
    #: Clips that were refused because the ``veo`` route does not exist.
    refused: int = 0

    @classmethod
    def of(cls, statistics: Statistics, jobs: Collection[Job]) -> "RouteUse":
        """Return the routes of the *jobs* of one session."""
        route = statistics.route
        return cls(
            route=route,
            is_changed=statistics.is_route_changed,
            on_other_route=sum(job.state is JobState.RUNNING and job.route != route for job in jobs),
            refused=sum(_is_route_gone(job.outcome) for job in jobs),
        )


def _is_route_gone(outcome: Outcome | None) -> bool:
    error = outcome.error if isinstance(outcome, Refused) else None
    return isinstance(error, NotFound) and error.endpoint == "generate"


@attrs.frozen(kw_only=True)
class BatchRun:
    """A finished run: its report, how much of the list's budget is used, and the routes that it took."""

    report: Report
    budget_use: BudgetUse
    routes: RouteUse


def report_summary(
    run: BatchRun, manifest: Manifest, files: ListFiles, budget: float | None, reporter: Reporter
) -> int:
    """Report how the run ended and what to do next; return the exit code."""
    report = run.report
    code, step = _next_step(run, manifest, files)
    credits = f"about {format_credits(report.credits)} spent, {format_number(report.reserved)} reserved"
    reporter.message(f"\n{counts_text(report.counts) or 'No clips'}; {credits}.")
    for line in _route_lines(run.routes):
        reporter.message(line)
    for file in report.files:
        reporter.message(f"  {file}")
    if report.sheet_extra_missing:
        reporter.message(INSTALL_MEDIA_EXTRA)
    if report.over_budget:
        reporter.message(_over_budget_text(run, budget or 0.0))
    if (on_hold := hold_text(report.on_hold)) is not None:
        reporter.message(on_hold)
    reporter.note(f"Next: {step}")
    reporter.summary(
        {
            "counts": dict(counts_of(report.counts)),
            "credits": report.credits,
            "reserved": report.reserved,
            "over_budget": report.over_budget,
            "on_hold": [attrs.asdict(item) for item in report.on_hold],
            "rejected": len(manifest.problems),
            "route": run.routes.route,
            "is_route_changed": run.routes.is_changed,
            "files": [str(file) for file in report.files],
            "exit_code": code,
        }
    )
    return code


def _route_lines(use: RouteUse) -> list[str]:
    """Return how the route has changed, and which clips are left on the one before."""
    if not use.is_changed:
        return []
    lines = [
        f"The veo route responded with 404, so the other clips were made on the {use.route} route. Next time, --route "
        f"{use.route} saves the wait of two minutes."
    ]
    if use.on_other_route:
        count = format_count(use.on_other_route, "clip")
        lines.append(f"Still running on veo: {count}. If veo has no records either, they cannot be collected.")
    return lines


def _over_budget_text(run: BatchRun, budget: float) -> str:
    """Return how many rows did not fit, and what of the budget this list has used in all its runs."""
    count, use = run.report.over_budget, run.budget_use
    rows = f"{format_count(count, 'row')} {'was' if count == 1 else 'were'} not sent because of --budget"
    spent = f"{format_number(use.spent)} of {format_credits(budget)} spent"
    return f"{rows}: {spent}, {format_number(use.reserved)} reserved."


def command_for(source: Path | None, other: Path) -> str:
    """Return the command as it was typed, for the list *other* in place of *source*."""
    words = current().words
    typed = next((word for word in words[1:] if source is not None and Path(word) == source), "-")
    if typed not in words[1:]:
        return command("batch", other)
    place = words.index(typed, 1)
    return command(*words[:place], str(other), *words[place + 1 :])


def _larger_budget(run: BatchRun) -> str:
    """Return the command with a budget for all rows; without one if a row has no price, because none can limit that."""
    left, use = run.report.over_budget_credits, run.budget_use
    option = "" if left is None else f" --budget {plain_number(use.spent + use.reserved + left)}"
    return _BUDGET.sub(option, same_command())


def _next_step(run: BatchRun, manifest: Manifest, files: ListFiles) -> tuple[int, str]:
    """Return the exit code, and the command to run next."""
    report = run.report
    finished = sum(report.counts[status] for status in ("saved", "ready", "refused", "failed", "in_doubt", "on_hold"))
    if finished + report.over_budget < len(manifest.rows):
        where = " with the same list on standard input" if files.source is None else ""
        route = run.routes.route if run.routes.is_changed else None
        return STOPPED, f"{same_command(route=route)}   (continues{where}; nothing is charged twice)"
    if report.counts["in_doubt"]:
        return SOME_IN_DOUBT, command("ledger", "in-doubt", files.ledger)
    if report.on_hold:
        return PARTIAL, without_hold()
    if report.over_budget:
        return PARTIAL, f"{_larger_budget(run)}   (sends the other rows; nothing is charged twice)"
    if run.routes.refused:
        return PARTIAL, f"{same_command(route='jobs')}   (makes the refused clips on the other route)"
    if report.counts["ready"]:
        return PARTIAL, f"{same_command()}   (downloads the clips that could not be saved)"
    if any(file.name == REJECTED for file in report.files):
        return PARTIAL, f"{command_for(files.source, report.page.with_name(REJECTED))}   (after fixing its rows)"
    if report.counts["failed"]:
        return PARTIAL, command("jobs", files.ledger)
    return ALL_DONE, f"open {report.page} in a browser"
