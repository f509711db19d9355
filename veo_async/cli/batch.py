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
from veo_async._base.run_blocking import blocking
from veo_async._wire import dialect_named
from veo_async.batch.contact_sheet import NEEDS_MEDIA
from veo_async.batch.manifest import Kind, Manifest, kind_of, read_manifest
from veo_async.batch.prices import DOLLARS_PER_CREDIT, estimate
from veo_async.batch.results import Line, make_folder, plain_line
from veo_async.batch.run import Batch, Report
from veo_async.errors import UsageError, VeoError

from .exit_codes import ALL_DONE, SOME_FAILED, SOME_IN_DOUBT, STOPPED, USAGE
from .output import Teller, looking, telling
from .progress import Progress, counts_of
from .progress_source import RATE, progress_of
from .signals import holding


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
    grace_s: float,
    is_dry: bool,
    may_skip: bool,
    as_json: bool,
    console: Console,
) -> int:
    """Run the list in *source*; the exit code."""
    manifest = await blocking(_read, source, kind, template, defaults)
    with telling(console, as_json=as_json) as teller:
        for fault in manifest.faults:
            teller.say(f"{source}, {fault}")
        if manifest.faults and not may_skip:
            teller.say("Nothing was sent. Mend these lines, or leave them out with --skip-invalid.")
            teller.over({"rejected": len(manifest.faults), "exit_code": USAGE})
            return USAGE
        if is_dry or not manifest.rows:
            _tell_price(manifest, teller)
            return ALL_DONE if manifest.rows else USAGE
        out = out or (Path("veo-out") if str(source) == "-" else source.with_name(f"{source.stem}-out"))
        await blocking(make_folder, out)
        ledger = ledger or out / "ledger.db"
        async with VeoSession(ledger=ledger, account=account, rate=RATE) as veo:
            tell = RowTeller(teller, len(manifest.rows))
            run = Batch(veo, manifest, out, now=time.time, budget=budget, on_line=tell)  # noqa: TID251  # the shell's clock
            if budget is None:
                await _check_balance(veo, run)
            report = await _driven(veo, run, budget, grace_s, source, teller)
        return _tell_end(report, manifest, source, ledger, teller)


async def _driven(
    veo: VeoSession, run: Batch, budget: float | None, grace_s: float, source: Path, teller: Teller
) -> Report:
    try:
        with holding(run.hold, teller.say, grace_s):
            async with looking(teller, lambda: look(veo, run, budget)):
                return await run.run(grace_s=grace_s)
    except asyncio.CancelledError:
        teller.say(f"Stopped; nothing is lost. Next: {_again()}")
        raise


class RowTeller:
    """Tells each row that has ended, and how many have."""

    def __init__(self, teller: Teller, total: int) -> None:
        self._teller, self._total, self._done = teller, total, 0

    def __call__(self, line: Line) -> None:
        self._done += 1
        what = " ".join(line.paths) or line.error or (line.task_id or "")
        text = f"[{self._done}/{self._total}] {line.row.key}: {line.status} {what}"
        self._teller.ended(text, plain_line(line), is_good=bool(line.paths))


def look(veo: VeoSession, run: Batch, budget: float | None) -> Progress:
    """Where *run* stands."""
    now = asyncio.get_running_loop().time()
    return progress_of(veo, run.jobs, now=now, waiting=run.waiting, credits=run.spent, budget=budget)


async def _check_balance(veo: VeoSession, run: Batch) -> None:
    """Half a list that runs dry is nobody's wish: say so before anything is sent.

    Raises:
        UsageError: the balance does not cover the list.
    """
    price = await run.price()
    try:
        balance = await veo.credits()
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


def _tell_price(manifest: Manifest, teller: Teller) -> None:
    told = estimate(link.request for row in manifest.rows for link in row.chain)
    for (model, resolution), clips in sorted(told.clips.items()):
        teller.say(f"  {clips:6d} x {model} {resolution}")
    dollars = told.credits * DOLLARS_PER_CREDIT
    count = len(manifest.rows)
    teller.say(f"{count} clips, about {told.credits:g} credits (${dollars:,.2f}). Nothing was sent.")
    if manifest.uploads:
        teller.say(f"{manifest.uploads} images would be uploaded first, for nothing.")
    if told.unknown:
        teller.say(f"{told.unknown} of them have no known price and are not in the sum.")
    teller.over({"clips": count, "credits": told.credits, "unknown": told.unknown, "is_dry": True})


def _tell_end(report: Report, manifest: Manifest, source: Path, ledger: Path, teller: Teller) -> int:
    code, step = _next(report, manifest, ledger)
    counts = ", ".join(f"{number} {status}" for status, number in counts_of(report.counts))
    teller.say(f"\n{counts or 'nothing'}; about {report.credits:g} credits.")
    for file in report.files:
        teller.say(f"  {file}")
    if report.needs_media:
        teller.say(NEEDS_MEDIA)
    if report.unaffordable:
        teller.say(f"{report.unaffordable} rows were not sent: the budget would not cover them.")
    teller.say(f"Next: {step}")
    teller.over(
        {
            "counts": dict(counts_of(report.counts)),
            "credits": report.credits,
            "unaffordable": report.unaffordable,
            "rejected": len(manifest.faults),
            "files": [str(file) for file in report.files],
            "exit_code": code,
        }
    )
    return code


#: As it is typed: with a space or an equals sign.
_BUDGET = re.compile(r" --budget[ =]\S+")


def _again() -> str:
    """The very command that was typed, to be typed again: without its options it would be another one."""
    return shlex.join(["veo-async", *sys.argv[1:]])


def _next(report: Report, manifest: Manifest, ledger: Path) -> tuple[int, str]:
    """The exit code, and what to type next."""
    ended = sum(report.counts[status] for status in ("saved", "ready", "refused", "failed", "in_doubt"))
    if ended + report.unaffordable < len(manifest.rows):
        return STOPPED, f"{_again()}   (goes on, and pays for nothing twice)"
    if report.counts["in_doubt"]:
        return SOME_IN_DOUBT, f"veo-async ledger doubts {ledger}"
    if report.unaffordable:
        return SOME_FAILED, f"{_BUDGET.sub(' --budget MORE', _again())}   (pays for nothing twice)"
    if report.counts["ready"]:
        return SOME_FAILED, f"{_again()}   (fetches the clips that could not be saved)"
    if any(file.name == "rejected.csv" for file in report.files):
        return SOME_FAILED, f"edit {report.page.with_name('rejected.csv')} and run it as a list"
    if report.counts["failed"]:
        return SOME_FAILED, f"veo-async jobs {ledger} --state expired"
    return ALL_DONE, f"open {report.page}"
