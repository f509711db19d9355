"""A list of prompts from the command line: checked, priced, run, and gone on with.

The first Ctrl-C, or a SIGTERM, sends nothing more and waits for what runs; the second stops at once. Neither loses
anything: the list can be run again, or the ledger resumed.
"""

import asyncio
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from veo_async import VeoSession
from veo_async._base.run_blocking import run_blocking
from veo_async._wire import dialect_named
from veo_async.batch.contact_sheet import INSTALL_MEDIA_EXTRA
from veo_async.batch.manifest import Kind, Manifest, kind_of, read_manifest
from veo_async.batch.prices import DOLLARS_PER_CREDIT, estimate
from veo_async.batch.results import RowResult, make_folder, result_as_dict
from veo_async.batch.run import Batch, Report
from veo_async.errors import UsageError, VeoError

from .exit_codes import ALL_DONE, PARTIAL, SOME_IN_DOUBT, STOPPED, USAGE
from .output import Reporter, live_progress, reporting
from .progress import Progress, counts_of
from .progress_source import RATE, read_progress
from .signals import stop_on_signal


async def batch(
    source: Path,
    *,
    kind: Kind | None,
    out: Path | None,
    ledger: Path | None,
    account: str | None,
    template: str | None,
    defaults: dict[str, Any],
    budget: float | None,
    stop_timeout_s: float,
    dry_run: bool,
    skip_invalid: bool,
    as_json: bool,
    console: Console,
) -> int:
    """Run the list in *source*; the exit code."""
    manifest = await run_blocking(_read, source, kind, template, defaults)
    with reporting(console, as_json=as_json) as reporter:
        for fault in manifest.problems:
            reporter.message(f"{source}, {fault}")
        if manifest.problems and not skip_invalid:
            reporter.message("Nothing was sent. Mend these lines, or leave them out with --skip-invalid.")
            reporter.summary({"rejected": len(manifest.problems), "exit_code": USAGE})
            return USAGE
        if dry_run or not manifest.rows:
            _print_estimate(manifest, reporter)
            return ALL_DONE if manifest.rows else USAGE
        out = out or (Path("veo-out") if str(source) == "-" else source.with_name(f"{source.stem}-out"))
        await run_blocking(make_folder, out)
        ledger = ledger or out / "ledger.db"
        async with VeoSession(ledger=ledger, account=account, rate=RATE) as veo:
            on_result = RowReporter(reporter, len(manifest.rows))
            run = Batch(veo, manifest, out, now=time.time, budget=budget, on_result=on_result)  # noqa: TID251  # the shell's clock
            if budget is None:
                await _check_balance(veo, run)
            report = await _run(veo, run, budget, stop_timeout_s, source, reporter)
        return _print_summary(report, manifest, source, ledger, reporter)


async def _run(
    veo: VeoSession, run: Batch, budget: float | None, stop_timeout_s: float, source: Path, reporter: Reporter
) -> Report:
    try:
        with stop_on_signal(run.stop_sending, reporter.message, stop_timeout_s):
            async with live_progress(reporter, lambda: batch_progress(veo, run, budget)):
                return await run.run(stop_timeout_s=stop_timeout_s)
    except asyncio.CancelledError:
        reporter.message(f"Stopped; nothing is lost. Next: {_same_command()}")
        raise


class RowReporter:
    """Tells each row that has ended, and how many have."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._teller, self._total, self._done = reporter, total, 0

    def __call__(self, line: RowResult) -> None:
        self._done += 1
        what = " ".join(line.paths) or line.error or (line.task_id or "")
        text = f"[{self._done}/{self._total}] {line.row.key}: {line.status} {what}"
        self._teller.job_finished(text, result_as_dict(line), is_good=bool(line.paths))


def batch_progress(veo: VeoSession, run: Batch, budget: float | None) -> Progress:
    """Where *run* stands."""
    now = asyncio.get_running_loop().time()
    return read_progress(veo, run.jobs, now=now, waiting=run.not_submitted, credits=run.spent, budget=budget)


async def _check_balance(veo: VeoSession, run: Batch) -> None:
    """Half a list that runs dry is nobody's wish: say so before anything is sent.

    Raises:
        UsageError: the balance does not cover the list.
    """
    price = await run.price()
    try:
        balance = await veo.balance()
    except VeoError:
        return  # nothing is concluded from nothing; what the account lacks will be told by the account
    if price > balance:
        raise UsageError(
            f"this list costs about {price:g} credits and the balance is {balance:g}: it was not begun; top up, or "
            f"make as many as it covers with --budget {balance:g}, or go ahead all the same with --budget {price:g}"
        )


def _read(source: Path, kind: Kind | None, template: str | None, defaults: dict[str, Any]) -> Manifest:
    try:
        content = sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()
    except OSError as exc:
        raise UsageError(f"{source}: {exc.strerror}; name a file that can be read, or - for standard input") from None
    if kind is None:
        kind = _kind_of_stream(content) if str(source) == "-" else kind_of(source)
    folder = None if str(source) == "-" else source.parent
    return read_manifest(content, kind, dialect_named("kie"), template=template, defaults=defaults, folder=folder)


def _kind_of_stream(content: bytes) -> Kind:
    first = content.lstrip(b"\xef\xbb\xbf \r\n")[:1]
    return "json" if first == b"[" else "jsonl" if first == b"{" else "csv"


def _print_estimate(manifest: Manifest, reporter: Reporter) -> None:
    total = estimate(link.request for row in manifest.rows for link in row.chain)
    for (model, resolution), clips in sorted(total.clips.items()):
        reporter.message(f"  {clips:6d} x {model} {resolution}")
    dollars = total.credits * DOLLARS_PER_CREDIT
    count = len(manifest.rows)
    reporter.message(f"{count} clips, about {total.credits:g} credits (${dollars:,.2f}). Nothing was sent.")
    if manifest.uploads:
        reporter.message(f"{manifest.uploads} images would be uploaded first, for nothing.")
    if total.without_price:
        reporter.message(f"{total.without_price} of them have no known price and are not in the sum.")
    reporter.summary({"clips": count, "credits": total.credits, "without_price": total.without_price, "dry_run": True})


def _print_summary(report: Report, manifest: Manifest, source: Path, ledger: Path, reporter: Reporter) -> int:
    code, step = _next(report, manifest, ledger)
    counts = ", ".join(f"{number} {status}" for status, number in counts_of(report.counts))
    reporter.message(f"\n{counts or 'nothing'}; about {report.credits:g} credits.")
    for file in report.files:
        reporter.message(f"  {file}")
    if report.sheet_extra_missing:
        reporter.message(INSTALL_MEDIA_EXTRA)
    if report.over_budget:
        reporter.message(f"{report.over_budget} rows were not sent: the budget would not cover them.")
    reporter.message(f"Next: {step}")
    reporter.summary(
        {
            "counts": dict(counts_of(report.counts)),
            "credits": report.credits,
            "unaffordable": report.over_budget,
            "rejected": len(manifest.problems),
            "files": [str(file) for file in report.files],
            "exit_code": code,
        }
    )
    return code


#: As it is typed: with a space or an equals sign.
_BUDGET = re.compile(r" --budget[ =]\S+")


def _same_command() -> str:
    """The very command that was typed, to be typed again: without its options it would be another one."""
    return shlex.join(["veo-async", *sys.argv[1:]])


def _next(report: Report, manifest: Manifest, ledger: Path) -> tuple[int, str]:
    """The exit code, and what to type next."""
    ended = sum(report.counts[status] for status in ("saved", "ready", "refused", "failed", "in_doubt"))
    if ended + report.over_budget < len(manifest.rows):
        return STOPPED, f"{_same_command()}   (goes on, and pays for nothing twice)"
    if report.counts["in_doubt"]:
        return SOME_IN_DOUBT, f"veo-async ledger doubts {ledger}"
    if report.over_budget:
        return PARTIAL, f"{_BUDGET.sub(' --budget MORE', _same_command())}   (pays for nothing twice)"
    if report.counts["ready"]:
        return PARTIAL, f"{_same_command()}   (fetches the clips that could not be saved)"
    if any(file.name == "rejected.csv" for file in report.files):
        return PARTIAL, f"edit {report.page.with_name('rejected.csv')} and run it as a list"
    if report.counts["failed"]:
        return PARTIAL, f"veo-async jobs {ledger} --state expired"
    return ALL_DONE, f"open {report.page}"
