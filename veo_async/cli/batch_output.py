"""What `batch` prints before and after a run: problems, the price, the summary and the next command."""

import re
import sys
from pathlib import Path

from veo_async.batch.contact_sheet import INSTALL_MEDIA_EXTRA
from veo_async.batch.manifest import Manifest
from veo_async.batch.prices import DOLLARS_PER_CREDIT, estimate
from veo_async.batch.run import Report

from .exit_codes import ALL_DONE, PARTIAL, SOME_IN_DOUBT, STOPPED, USAGE
from .formatting import command, format_count, format_credits
from .output import Reporter
from .progress import counts_of, counts_text

#: The option as it may be typed: with a space or an equals sign.
_BUDGET = re.compile(r" --budget[ =]\S+")


def report_invalid(manifest: Manifest, reporter: Reporter) -> int:
    """Report that nothing was sent because of invalid rows; return the exit code."""
    reporter.message("Nothing was sent. Fix these rows, or skip them with --skip-invalid.")
    reporter.summary({"rejected": len(manifest.problems), "exit_code": USAGE})
    return USAGE


def report_estimate(manifest: Manifest, reporter: Reporter) -> int:
    """Report what the list would cost; return the exit code."""
    total = estimate(item.request for row in manifest.rows for item in row.chain)
    for (model, resolution), clips in sorted(total.clips.items()):
        reporter.message(f"  {clips:6,d} x {model} {resolution}")
    dollars = total.credits * DOLLARS_PER_CREDIT
    count = len(manifest.rows)
    price = f"about {format_credits(total.credits)} (${dollars:,.2f})"
    reporter.message(f"{format_count(count, 'clip')}, {price}. Nothing was sent.")
    if manifest.uploads:
        reporter.message(f"{format_count(manifest.uploads, 'image')} would be uploaded first (free).")
    if total.without_price == 1:
        reporter.message("1 of them has no known price and is not included.")
    elif total.without_price:
        reporter.message(f"{total.without_price:,} of them have no known price and are not included.")
    reporter.summary({"clips": count, "credits": total.credits, "without_price": total.without_price, "dry_run": True})
    return ALL_DONE if manifest.rows else USAGE


def report_summary(report: Report, manifest: Manifest, ledger: Path, reporter: Reporter) -> int:
    """Report how the run ended and what to do next; return the exit code."""
    code, step = _next_step(report, manifest, ledger)
    reporter.message(f"\n{counts_text(report.counts) or 'No clips'}; about {format_credits(report.credits)}.")
    for file in report.files:
        reporter.message(f"  {file}")
    if report.sheet_extra_missing:
        reporter.message(INSTALL_MEDIA_EXTRA)
    if report.over_budget:
        verb = "was" if report.over_budget == 1 else "were"
        reporter.message(f"{format_count(report.over_budget, 'row')} {verb} not sent because of --budget.")
    reporter.message(f"Next: {step}")
    reporter.summary(
        {
            "counts": dict(counts_of(report.counts)),
            "credits": report.credits,
            "over_budget": report.over_budget,
            "rejected": len(manifest.problems),
            "files": [str(file) for file in report.files],
            "exit_code": code,
        }
    )
    return code


def same_command() -> str:
    """Return the command as it was typed: without its options, running it again would do something else."""
    return command(*sys.argv[1:])


def _next_step(report: Report, manifest: Manifest, ledger: Path) -> tuple[int, str]:
    """Return the exit code, and the command to run next."""
    finished = sum(report.counts[status] for status in ("saved", "ready", "refused", "failed", "in_doubt"))
    if finished + report.over_budget < len(manifest.rows):
        return STOPPED, f"{same_command()}   (continues; nothing is charged twice)"
    if report.counts["in_doubt"]:
        return SOME_IN_DOUBT, command("ledger", "in-doubt", ledger)
    if report.over_budget:
        return PARTIAL, f"{_BUDGET.sub(' --budget MORE', same_command())}   (nothing is charged twice)"
    if report.counts["ready"]:
        return PARTIAL, f"{same_command()}   (downloads the clips that could not be saved)"
    if any(file.name == "rejected.csv" for file in report.files):
        return PARTIAL, f"{command('batch', report.page.with_name('rejected.csv'))}   (after fixing its rows)"
    if report.counts["failed"]:
        return PARTIAL, f"{command('jobs', ledger)} --state expired"
    return ALL_DONE, f"open {report.page}"
