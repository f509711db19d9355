"""What `batch` and `demo` share, and the steps of `batch`: read the list, check the balance, run it.

The first Ctrl-C, or a SIGTERM, stops sending and waits for running clips; the second quits immediately. Nothing is lost
either way: run the list again, or resume the ledger.
"""

import asyncio
import sys
import time
from pathlib import Path

from veo_async import VeoSession
from veo_async._base.run_blocking import run_blocking
from veo_async.batch.manifest import Kind, Manifest, kind_of, read_manifest
from veo_async.batch.results import RowResult, make_folder, result_as_dict
from veo_async.batch.run import Batch, Report
from veo_async.errors import UsageError, VeoError
from veo_async.providers import provider_named
from veo_async.settings import Limits

from .batch_output import same_command
from .formatting import format_credits, format_number, option_value
from .ledger_file import ledger_for_work
from .options import BatchOptions
from .output import Reporter, live_progress
from .progress import Progress
from .progress_source import RATE, read_progress
from .signals import stop_on_signal

_STDIN = Path("-")


class RowReporter:
    """Reports each finished row, and how many rows have finished."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter, self._total, self._done = reporter, total, 0

    def __call__(self, result: RowResult) -> None:
        self._done += 1
        detail = " ".join(result.paths) or result.error or (result.task_id or "")
        text = f"[{self._done}/{self._total}] {result.row.key}: {result.status} {detail}"
        self._reporter.job_finished(text, result_as_dict(result), is_good=bool(result.paths))


def batch_progress(veo: VeoSession, run: Batch, budget: float | None) -> Progress:
    """Return the progress of *run*."""
    now = asyncio.get_running_loop().time()
    return read_progress(veo, run.jobs, now=now, not_submitted=run.not_submitted, credits=run.spent, budget=budget)


def read_list(source: Path, options: BatchOptions) -> Manifest:
    """Read the list in the file *source*, or in standard input if it is ``-``. This blocks.

    Raises:
        UsageError: the file or the list cannot be read.
    """
    try:
        content = sys.stdin.buffer.read() if source == _STDIN else source.read_bytes()
    except OSError as exc:
        raise UsageError(f"{source}: {exc.strerror}; name a file that can be read, or - for standard input") from None
    kind = options.format or (_guess_format(content) if source == _STDIN else kind_of(source))
    folder = None if source == _STDIN else source.parent
    dialect = provider_named("kie")
    return read_manifest(
        content, kind, dialect, template=options.prompt, defaults=options.row_defaults(), folder=folder
    )


async def output_folder(source: Path, options: BatchOptions) -> Path:
    """Return the folder for clips and results, and create it if it does not exist."""
    default = Path("veo-out") if source == _STDIN else source.with_name(f"{source.stem}-out")
    folder = options.out or default
    await run_blocking(make_folder, folder)
    return folder


async def run_list(manifest: Manifest, folder: Path, ledger: Path, options: BatchOptions, reporter: Reporter) -> Report:
    """Run the list to its end, or until Ctrl-C.

    Raises:
        UsageError: without a budget, and the list costs more than the balance; nothing was sent.
    """
    on_result = RowReporter(reporter, len(manifest.rows))
    clock = time.time  # noqa: TID251  # the command owns the clock
    opened = ledger_for_work(ledger, accept_restored=options.accept_restored)
    async with VeoSession(ledger=opened, account=options.account, limits=Limits(rate=RATE)) as veo:
        run = Batch(veo, manifest, folder, now=clock, budget=options.budget, on_result=on_result)
        if options.budget is None:
            await _check_balance(veo, run)
        try:
            with stop_on_signal(run.stop_sending, reporter.message, options.stop_timeout):
                async with live_progress(reporter, lambda: batch_progress(veo, run, options.budget)):
                    return await run.run(stop_timeout_s=options.stop_timeout)
        except asyncio.CancelledError:
            reporter.message(f"Stopped. Nothing is lost. Next: {same_command()}")
            raise


async def _check_balance(veo: VeoSession, run: Batch) -> None:
    """Refuse a list that the balance does not cover, before anything is sent."""
    price = await run.price()
    try:
        balance = await veo.account.balance()
    except VeoError:
        return  # if the balance cannot be read, run the list: the provider rejects what it does not cover
    if price > balance:
        raise UsageError(
            f"this list costs about {format_credits(price)} and the balance is {format_number(balance)}: nothing was "
            f"sent. Top up, generate as many as it covers with --budget {option_value(balance)}, or proceed anyway "
            f"with --budget {option_value(price)}"
        )


def _guess_format(content: bytes) -> Kind:
    first = content.lstrip(b"\xef\xbb\xbf \r\n")[:1]
    return "json" if first == b"[" else "jsonl" if first == b"{" else "csv"
