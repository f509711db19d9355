"""``veo-async ledger …``: jobs in doubt on a ledger file, tasks created outside its sessions, and old jobs.

These commands send nothing that costs credits and run no job: the session that uses the ledger continues the jobs, or
the next one that opens it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Group, Parameter

from veo_async.cli.console import print_line, print_note, write_json
from veo_async.cli.help_pages import REPAIR, listed
from veo_async.types import RouteName

if TYPE_CHECKING:
    from veo_async.repair import LiveJob

_AGAIN = "Their requests, submitted again, are charged again."

app: App = App(
    name="ledger",
    help="Inspect a ledger, resolve jobs in doubt and delete old jobs. Free.",
    group_commands=Group("Commands", sort_key=0),
    **listed(REPAIR, 3),
)


@app.command
async def in_doubt(file: Path, /, *, json: bool = False) -> None:
    """List the jobs that may or may not have been charged, with everything known about them.

    Example: veo-async ledger in-doubt veo.db

    Parameters
    ----------
    file
        Ledger file.
    json
        Print one JSON object per job.
    """
    from veo_async.cli.formatting import command
    from veo_async.cli.ledger_file import open_ledger
    from veo_async.cli.ledger_text import in_doubt_lines, job_as_dict
    from veo_async.events import JobState

    async with open_ledger(file) as ledger:
        rows = await ledger.jobs([JobState.IN_DOUBT])
        for row in rows:
            transitions = await ledger.transitions(row.key)
            if json:
                write_json(job_as_dict(row, transitions))
                continue
            for line in in_doubt_lines(row, transitions):
                print_line(line)
    if json:
        return
    if not rows:
        print_line("No job is in doubt.")
        return
    key = rows[0].key
    print_note(f"\nNext: {command('ledger', 'resolve', file, key)} TASK_ID   if you find its task there")
    print_note(f"      {command('ledger', 'resubmit', file, key)}   to resend it (may be charged a second time)")
    print_note(f"      {command('ledger', 'abandon', file, key)}    to give up on it")


@app.command
async def resolve(
    file: Path, key: str, task_id: str, /, *, no_verify: Annotated[bool, Parameter(negative=())] = False
) -> None:
    """Bind a job in doubt to its task, as found in the provider's logs. The task's record is checked first.

    Example: veo-async ledger resolve veo.db row-17 408b5dae9b8f3f2e0134754d43ebfb04

    Parameters
    ----------
    file
        Ledger file.
    key
        Job key.
    task_id
        Task id.
    no_verify
        Skip that check; no API key needed.
    """
    from veo_async.cli.ledger_file import open_for_repair

    async with open_for_repair(file, verify=not no_verify) as repair:
        _print_state(await repair.resolve(key, task_id), file)


@app.command
async def resubmit(file: Path, key: str, /) -> None:
    """Send a job in doubt again in the next session. If the first request was accepted, you are charged twice.

    Example: veo-async ledger resubmit veo.db row-17

    Parameters
    ----------
    file
        Ledger file.
    key
        Job key.
    """
    from veo_async.cli.ledger_file import open_for_repair

    async with open_for_repair(file) as repair:
        _print_state(await repair.resubmit(key), file)


@app.command
async def abandon(file: Path, key: str, /) -> None:
    """Give up on a job that is in doubt or not owned by a running session.

    Example: veo-async ledger abandon veo.db row-17

    Parameters
    ----------
    file
        Ledger file.
    key
        Job key.
    """
    from veo_async.cli.ledger_file import open_for_repair

    async with open_for_repair(file) as repair:
        _print_state(await repair.abandon(key), file)


@app.command
async def adopt(
    file: Path,
    task_id: str,
    /,
    *,
    key: str | None = None,
    account: str | None = None,
    route: RouteName | None = None,
) -> None:
    """Add an existing task to a ledger; the next session tracks it.

    Example: veo-async ledger adopt veo.db 408b5dae9b8f3f2e0134754d43ebfb04

    Parameters
    ----------
    file
        Ledger file.
    task_id
        Task id.
    key
        Job key (default: the task id).
    account
        Account name (default: derived from the API key).
    route
        Route that created it (default: both are asked).
    """
    from veo_async import VeoApi
    from veo_async.cli.ledger_file import open_for_repair

    async with open_for_repair(file) as repair:
        if account is None:
            async with VeoApi() as api:
                account = await api.account_id()
        _print_state(await repair.adopt(task_id, key=key or task_id, account=account, route=route), file)


@app.command
async def prune(
    file: Path,
    /,
    *,
    older_than: str,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    vacuum: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Delete jobs that finished long ago. The same requests, submitted again, are then charged again.

    Example: veo-async ledger prune veo.db --older-than 90d

    Unfinished jobs and jobs in doubt are kept. Sessions may be running.

    Parameters
    ----------
    file
        Ledger file.
    older_than
        Only jobs that finished before then: an age (12h, 90d, 52w) or a date in UTC (2026-11-01).
    dry_run
        Print how many jobs would be deleted, and delete nothing.
    vacuum
        Also make the file smaller. Other sessions wait for that, and it needs free space of twice the file's size.
    """
    import time

    from veo_async.cli.formatting import command, format_count
    from veo_async.cli.ledger_file import open_ledger
    from veo_async.cli.since import parse_since

    before = parse_since(older_than, time.time(), "--older-than")  # noqa: TID251  # the command owns the clock
    async with open_ledger(file) as ledger:
        if dry_run:
            print_line(f"{format_count(await ledger.prunable(before), 'job')} would be deleted from {file}. {_AGAIN}")
            print_note(f"Next: {command('ledger', 'prune', file, '--older-than', older_than)}")
            return
        print_line(f"{format_count(await ledger.prune(before), 'job')} deleted from {file}. {_AGAIN}")
        if vacuum:
            await ledger.vacuum()
        elif free := await ledger.free_bytes() // 2**20:
            print_note(f"{free:,} MB of the file are free for new jobs; --vacuum makes the file smaller.")


def _print_state(job: "LiveJob", file: Path) -> None:
    from veo_async.cli.formatting import command
    from veo_async.events import JobState

    print_line(f"Job {job.key} is {job.state}.")
    if job.state in (JobState.QUEUED, JobState.RUNNING):
        print_note("The session using this ledger continues with it, or the next one that opens it.")
    print_note(f"Next: {command('timeline', file, job.key)}")
