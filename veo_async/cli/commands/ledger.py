"""``veo-async ledger …``: look at a ledger file and end the doubts on it."""

from pathlib import Path

from cyclopts import App

from veo_async.cli import ledger_commands as on_ledger
from veo_async.cli.exit_codes import console

from .inspecting import jobs

app: App = App(name="ledger", help="Look at a ledger file and end the doubts on it. Nothing here costs anything.")
app.command(jobs, name="show")


@app.command
async def in_doubt(file: Path, *, json: bool = False) -> None:
    """List the jobs of which nobody knows whether they were paid, with all that is known of them.

    Example: veo-async ledger doubts veo.db

    Parameters
    ----------
    file
        The ledger's file.
    json
        For machines.
    """
    await on_ledger.in_doubt(file, as_json=json, console=console)


@app.command
async def resolve(file: Path, key: str, task_id: str, *, no_verify: bool = False) -> None:
    """Name the task of a job in doubt, as found in the provider's own logs. Its record is read first.

    Example: veo-async ledger resolve veo.db row-17 408b5dae9b8f3f2e0134754d43ebfb04

    Parameters
    ----------
    file
        The ledger's file.
    key
        The job.
    task_id
        Its task.
    unverified
        Believe it without reading the record, for instance without an API key at hand.
    """
    await on_ledger.resolve(file, key, task_id, is_unverified=no_verify, console=console)


@app.command
async def resubmit(file: Path, key: str) -> None:
    """Have a job in doubt sent again by the next session: paid again, if the first request was accepted after all.

    Example: veo-async ledger resubmit veo.db row-17

    Parameters
    ----------
    file
        The ledger's file.
    key
        The job.
    """
    await on_ledger.resubmit(file, key, console)


@app.command
async def abandon(file: Path, key: str) -> None:
    """Give up a job that is in doubt, or that no running session drives.

    Example: veo-async ledger abandon veo.db row-17

    Parameters
    ----------
    file
        The ledger's file.
    key
        The job.
    """
    await on_ledger.abandon(file, key, console)


@app.command
async def adopt(file: Path, task_id: str, *, key: str | None = None, account: str | None = None) -> None:
    """Put a task that was made elsewhere on a ledger; the next session watches it to its end.

    Example: veo-async ledger adopt veo.db 408b5dae9b8f3f2e0134754d43ebfb04 --key row-17

    Parameters
    ----------
    file
        The ledger's file.
    task_id
        The task.
    key
        What the job is called; without it the task id.
    account
        Whose it is, as the session names it; without it the account of the API key in the environment.
    """
    await on_ledger.adopt(file, task_id, key=key, account=account, console=console)
