"""What `batch` and `demo` share, and the steps of `batch`: read the list, check the balance, run it.

The first Ctrl-C, or a SIGTERM, stops sending and waits for running clips; the second quits immediately. Nothing is lost
either way: run the list again, or resume the ledger.
"""

import asyncio
import sys
import time
from pathlib import Path

import attrs

from veo_async import VeoSession
from veo_async._base.run_blocking import run_blocking
from veo_async.batch.manifest import Kind, Manifest, kind_of, read_manifest
from veo_async.batch.naming import check_name
from veo_async.batch.origin import write_origin
from veo_async.batch.plan import KnownJob, Plan, plan_list
from veo_async.batch.results import RowResult, make_folder, result_as_dict
from veo_async.batch.run import Batch, Report
from veo_async.errors import LedgerError, UsageError, VeoError
from veo_async.ledger import JobQuery, pages
from veo_async.providers import provider_named
from veo_async.repair import was_not_charged
from veo_async.settings import Budget, Credits, Limits
from veo_async.types import BudgetUse

from .batch_output import BatchRun, RouteUse
from .formatting import format_credits, format_number, plain_number, same_command, short_path
from .job_output import report_details
from .ledger_file import ledger_for_work, open_ledger
from .list_files import ListFiles
from .options import BatchOptions
from .output import Reporter, live_progress
from .progress import Progress, state_text
from .progress_source import RATE, read_progress
from .run_jobs import warn_without_figures
from .signals import stop_on_signal


class RowReporter:
    """Reports each finished row, and how many rows have finished."""

    def __init__(self, reporter: Reporter, total: int, ledger: Path) -> None:
        self._reporter, self._total, self._done, self._ledger = reporter, total, 0, ledger

    def __call__(self, result: RowResult) -> None:
        self._done += 1
        status = state_text(result.status)
        files = " ".join(map(short_path, result.paths))
        text = f": {result.sentence}" if result.sentence else f" {files or result.task_id or ''}"
        if result.status == "on_hold":  # the reason is printed once for all of them
            text = ""
        text = f"[{self._done:,}/{self._total:,}] {result.row.label}: {status}{text}"
        self._reporter.job_finished(text, result_as_dict(result), is_good=bool(result.paths))
        if result.detail:
            report_details(self._reporter, self._ledger, result.row.key, result.detail, result.log_url)


def batch_progress(veo: VeoSession, run: Batch, budget: float | None) -> Progress:
    """Return the progress of *run*."""
    return read_progress(
        veo,
        run.jobs,
        now=asyncio.get_running_loop().time(),
        not_submitted=run.not_submitted,
        spent=run.spent,
        reserved=run.reserved,
        budget=budget,
    )


def read_list(files: ListFiles, options: BatchOptions) -> Manifest:
    """Read the list. This blocks.

    Raises:
        UsageError: the file or the list cannot be read.
    """
    source = files.source
    try:
        content = sys.stdin.buffer.read() if source is None else source.read_bytes()
    except OSError as exc:
        raise UsageError(f"{source}: {exc.strerror}; name a file that can be read, or - for standard input") from None
    kind: Kind = "csv" if files.is_part else options.format or (kind_of(source) if source else _guess_format(content))
    if options.name is not None:
        check_name(options.name)
    try:
        return read_manifest(
            content,
            kind,
            provider_named("kie"),
            template=options.prompt,
            defaults=options.row_defaults(),
            folder=files.origin.folder,
            strict=options.strict,
        )
    except UsageError as error:
        name = "standard input" if source is None else str(source)
        raise UsageError(f"{name}{',' if error.message.startswith('line ') else ':'} {error}") from None


async def read_plan(manifest: Manifest, files: ListFiles, account: str | None) -> Plan:
    """Compare the list with its ledger, which is only read, and not created."""
    if not files.ledger.exists():
        return plan_list(manifest.rows, lambda _: None)
    async with open_ledger(files.ledger) as ledger:
        known = {
            row.key: KnownJob(row.state, was_not_charged(row))
            async for rows in pages(ledger, JobQuery())
            for row in rows
            if account in (None, row.account)
        }
    return plan_list(manifest.rows, known.get)


async def run_list(manifest: Manifest, files: ListFiles, options: BatchOptions, reporter: Reporter) -> BatchRun:
    """Run the list to its end, or until Ctrl-C.

    Raises:
        UsageError: without a budget, and the list costs more than the balance; nothing was sent.
    """
    on_result = RowReporter(reporter, len(manifest.rows), files.ledger)
    clock = time.time  # noqa: TID251  # the command owns the clock
    await run_blocking(make_folder, files.out)
    title = options.title or files.origin.title
    if not files.is_part:
        await run_blocking(write_origin, files.out, attrs.evolve(files.origin, title=title))
    # The name is used without --budget as well, so that what this run spends counts in later ones.
    budget = Budget(options.budget, name=files.origin.budget)
    opened = ledger_for_work(files.ledger, accept_restored=options.accept_restored)
    credits = Credits(min_balance=options.min_balance, stop_on_overcharge=options.stop_on_overcharge)
    async with VeoSession(
        ledger=opened, account=options.account, limits=Limits(rate=RATE), credits=credits, budget=budget
    ) as veo:
        run = Batch(
            veo,
            manifest,
            files.out,
            now=clock,
            name=options.name,
            is_part=files.is_part,
            on_result=on_result,
            title=title,
            for_client=options.client,
        )
        if options.stop_on_overcharge:
            warn_without_figures(veo, reporter.message)
        if options.budget is None:
            await _check_balance(veo, run, options.min_balance or 0.0)
        try:
            with stop_on_signal(run.stop_sending, reporter.message, options.stop_timeout):
                async with live_progress(reporter, lambda: batch_progress(veo, run, options.budget)):
                    report = await run.run(stop_timeout_s=options.stop_timeout)
            use, routes = await _budget_use(veo, report), RouteUse.of(veo.statistics(), run.jobs)
            return BatchRun(report=report, budget_use=use, routes=routes)
        except asyncio.CancelledError:
            reporter.message(f"Stopped. Nothing is lost. Next: {same_command()}")
            raise


async def _budget_use(veo: VeoSession, report: Report) -> BudgetUse:
    """Return what is used of the list's budget; if the ledger cannot be read, what its rows in this run have used."""
    try:
        return await veo.account.budget_use()
    except LedgerError:
        return BudgetUse(spent=report.credits, reserved=report.reserved)


async def _check_balance(veo: VeoSession, run: Batch, min_balance: float) -> None:
    """Refuse a list that the balance does not cover, before anything is sent."""
    price = await run.price()
    try:
        balance = await veo.account.balance()
    except VeoError:
        return  # if the balance cannot be read, run the list: the provider rejects what it does not cover
    available = max(0.0, balance - min_balance)
    if price > available:
        kept = f", of which --min-balance keeps {format_number(min_balance)}" if min_balance else ""
        raise UsageError(
            f"this list costs about {format_credits(price)} and the balance is {format_number(balance)}{kept}: nothing "
            f"was sent. Top up, generate as many as it covers with --budget {plain_number(available)}, or proceed "
            f"anyway with --budget {plain_number(price)}"
        )


def _guess_format(content: bytes) -> Kind:
    first = content.lstrip(b"\xef\xbb\xbf \r\n")[:1]
    return "json" if first == b"[" else "jsonl" if first == b"{" else "csv"
