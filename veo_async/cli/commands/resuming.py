"""Commands for the jobs on a ledger: run them to their end, or download their clips."""

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import asdict
from cyclopts import App

from veo_async.cli.console import console, print_line
from veo_async.cli.exit_codes import ALL_DONE, PARTIAL, STOPPED
from veo_async.cli.help_pages import REPAIR, listed
from veo_async.cli.options import STOP_TIMEOUT_S, AcceptRestored, MinBalance, StopOnOvercharge

if TYPE_CHECKING:
    from veo_async import Clip, Job

app: App = App()


@app.command(**listed(REPAIR, 1))
async def resume(
    ledger: Path,
    /,
    *,
    out: str = "veo-out",
    account: str | None = None,
    accept_restored: AcceptRestored = False,
    min_balance: MinBalance = None,
    stop_on_overcharge: StopOnOvercharge = False,
    stop_timeout: float = STOP_TIMEOUT_S,
    json: bool = False,
) -> int:
    """Resume everything on a ledger: send queued jobs, track running ones, save finished clips.

    Example: veo-async resume veo.db --out clips

    Exit codes: 0 all done, 2 usage, 3 some were refused, failed or not sent, 4 some are in doubt, 5 stopped early.

    Parameters
    ----------
    ledger
        Ledger file.
    out
        Folder for clips without a save path.
    account
        Account name (default: derived from the API key).
    stop_timeout
        Seconds to wait for running clips after Ctrl-C.
    json
        Print one JSON object per finished job, then a summary.
    """
    from veo_async.batch.costs import models_on_hold
    from veo_async.cli import formatting, job_output, output, progress, run_jobs

    with output.reporting(console, as_json=json) as reporter:
        session = run_jobs.session_on(
            ledger,
            reporter.message,
            account=account,
            accept_restored=accept_restored,
            min_balance=min_balance,
            stop_on_overcharge=stop_on_overcharge,
            save_to=out,
        )
        async with session as veo:
            jobs = veo.jobs()
            outcomes = await run_jobs.finish_all(jobs, veo, ledger, reporter, stop_timeout)
            stats = veo.statistics()
        code = job_output.exit_code_for(outcomes) if len(outcomes) == len(jobs) else STOPPED
        on_hold = models_on_hold(jobs)
        if (text := progress.hold_text(on_hold)) is not None:
            reporter.message(text)
        has_only_on_hold = code == PARTIAL and on_hold
        reporter.note(
            f"Next: {formatting.without_hold() if has_only_on_hold else job_output.next_command(code, ledger)}"
        )
        reporter.summary(
            {
                "counts": progress.counts_by_state(jobs),
                "route": stats.route,
                "is_route_changed": stats.is_route_changed,
                "on_hold": [asdict(item) for item in on_hold],
                "exit_code": code,
            }
        )
    return code


@app.command(**listed(REPAIR, 2))
async def save(
    ledger: Path,
    keys: list[str],
    /,
    *,
    out: str = "veo-out",
    overwrite: bool = False,
    account: str | None = None,
    accept_restored: AcceptRestored = False,
) -> int:
    """Download finished clips by key; files already saved are skipped.

    Example: veo-async save veo.db row-17 row-18 --out clips

    Parameters
    ----------
    ledger
        Ledger file.
    keys
        Job keys.
    out
        A file that ends in .mp4, or a folder; a slash at the end makes any name a folder.
    overwrite
        Replace the file named by --out although it belongs to another clip, or to none.
    account
        Account name (default: derived from the API key).
    """
    from veo_async import VeoSession
    from veo_async.cli.formatting import command
    from veo_async.cli.ledger_file import ledger_for_work
    from veo_async.settings import Files

    code = ALL_DONE
    opened = ledger_for_work(ledger, accept_restored=accept_restored)
    async with VeoSession(ledger=opened, account=account, files=Files(overwrite=overwrite)) as veo:
        for key in keys:
            job = await veo.ledger.find(key)
            if job is None or (clip := await _clip_of(job)) is None:
                print_line(f"{key}: no finished clip under this key; see {command('jobs', ledger)}")
                code = PARTIAL
                continue
            for file in (await veo.save(clip, out)).files:
                print_line(f"{key}: {file}")
    return code


async def _clip_of(job: "Job") -> "Clip | None":
    """Return the clip of *job*, if it has one: also one that an earlier run could not save."""
    from veo_async import Done, Failed
    from veo_async.types import JobState

    outcome = await job.finished() if job.state is JobState.READY else job.outcome
    return outcome.clip if isinstance(outcome, Done | Failed) else None
