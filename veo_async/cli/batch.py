"""A list of prompts from the command line: checked, priced, run, and gone on with.

The first Ctrl-C, or a SIGTERM, sends nothing more and waits for what runs; the second stops at once. Neither loses
anything: the list can be run again, or the ledger resumed.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from veo_async import VeoSession
from veo_async._blocking import blocking
from veo_async._wire import dialect_named
from veo_async.batch.manifest import Kind, Manifest, kind_of, read_manifest
from veo_async.batch.prices import DOLLARS_PER_CREDIT, estimate
from veo_async.batch.results import Line
from veo_async.batch.run import Batch, Report
from veo_async.errors import UsageError, printable

from .running import ALL_DONE, SOME_FAILED, SOME_IN_DOUBT, STOPPED


async def batch(
    source: Path,
    *,
    kind: Kind | None,
    out: Path | None,
    ledger: Path | None,
    template: str | None,
    defaults: dict[str, Any],
    budget: float | None,
    grace_s: float,
    is_dry: bool,
    may_skip: bool,
    console: Console,
) -> int:
    """Run the list in *source*; the exit code."""
    manifest = await blocking(_read, source, kind, template, defaults)
    _tell_faults(manifest, source, console)
    if manifest.faults and not may_skip:
        console.print("Nothing was sent. Mend these lines, or leave them out with --skip-invalid.")
        return 2
    if is_dry or not manifest.rows:
        _tell_price(manifest, console)
        return ALL_DONE if manifest.rows else 2
    out = out or (Path("veo-out") if str(source) == "-" else source.with_name(f"{source.stem}-out"))
    await blocking(lambda: out.mkdir(parents=True, exist_ok=True))
    ledger = ledger or out / "ledger.db"
    done = 0

    def tell(line: Line) -> None:
        nonlocal done
        done += 1
        what = " ".join(line.paths) or line.error or (line.task_id or "")
        console.print(f"[{done}/{len(manifest.rows)}] ", end="", markup=False)
        console.print(printable(f"{line.row.key}: {line.status} {what}", 400), markup=False, soft_wrap=True)

    async with VeoSession(ledger=ledger) as veo:
        run = Batch(veo, manifest, out, now=time.time, budget=budget, on_line=tell)  # noqa: TID251  # the shell's clock
        with _holding(run, console, grace_s):
            report = await run.run(grace_s=grace_s)
    return _tell_end(report, manifest, source, ledger, console)


def _read(source: Path, kind: Kind | None, template: str | None, defaults: dict[str, Any]) -> Manifest:
    try:
        content = sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()
    except OSError as exc:
        raise UsageError(f"{source}: {exc.strerror}") from None
    if kind is None:
        kind = _kind_of_stream(content) if str(source) == "-" else kind_of(source)
    folder = None if str(source) == "-" else source.parent
    return read_manifest(content, kind, dialect_named("kie"), template=template, defaults=defaults, folder=folder)


def _kind_of_stream(content: bytes) -> Kind:
    first = content.lstrip(b"\xef\xbb\xbf \r\n")[:1]
    return "json" if first == b"[" else "jsonl" if first == b"{" else "csv"


@contextmanager
def _holding(run: Batch, console: Console, grace_s: float) -> Iterator[None]:
    """Ctrl-C once holds, twice stops."""
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    is_held = False

    def interrupted() -> None:
        nonlocal is_held
        if is_held and me is not None:
            me.cancel()
            return
        is_held = True
        console.print(f"Nothing more is sent; waiting up to {grace_s:g} s for what runs. Ctrl-C again stops at once.")
        run.hold()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, interrupted)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _tell_faults(manifest: Manifest, source: Path, console: Console) -> None:
    for fault in manifest.faults:
        console.print(f"{source}, {fault}", markup=False, soft_wrap=True)


def _tell_price(manifest: Manifest, console: Console) -> None:
    told = estimate(row.request for row in manifest.rows)
    table = Table(box=None, pad_edge=False)
    for name in ("model", "resolution", "clips"):
        table.add_column(name)
    for (model, resolution), clips in sorted(told.clips.items()):
        table.add_row(model, resolution, str(clips))
    console.print(table)
    dollars = told.credits * DOLLARS_PER_CREDIT
    console.print(f"{len(manifest.rows)} clips, about {told.credits:g} credits (${dollars:,.2f}). Nothing was sent.")
    if manifest.uploads:
        console.print(f"{manifest.uploads} images would be uploaded first, for nothing.")
    if told.unknown:
        console.print(f"{told.unknown} of them have no known price and are not in the sum.")


def _tell_end(report: Report, manifest: Manifest, source: Path, ledger: Path, console: Console) -> int:
    counts = ", ".join(f"{number} {status}" for status, number in sorted(report.counts.items()))
    console.print(f"\n{counts or 'nothing'}; about {report.credits:g} credits.", soft_wrap=True)
    for file in report.files:
        console.print(f"  {file}", markup=False, soft_wrap=True)
    if report.unaffordable:
        console.print(f"{report.unaffordable} rows were not sent: the budget would not cover them.")
    ended = sum(report.counts[status] for status in ("saved", "ready", "refused", "failed", "in_doubt"))
    if ended + report.unaffordable < len(manifest.rows):
        console.print(f"Next: veo-async batch {source}   (goes on, and pays for nothing twice)", soft_wrap=True)
        return STOPPED
    if report.counts["in_doubt"]:
        console.print(f"Next: veo-async ledger doubts {ledger}", soft_wrap=True)
        return SOME_IN_DOUBT
    if report.unaffordable or report.counts["refused"] or report.counts["failed"] or manifest.faults:
        console.print(f"Next: edit {report.page.with_name('rejected.csv')} and run it as a list", soft_wrap=True)
        return SOME_FAILED
    console.print(f"Next: open {report.page}", soft_wrap=True)
    return ALL_DONE
