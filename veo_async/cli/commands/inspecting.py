"""Commands that only look: nothing here costs anything."""

from pathlib import Path

from cyclopts import App

from veo_async import VeoApi
from veo_async._rules.lifecycle import JobState
from veo_async.cli import ledger_commands as on_ledger
from veo_async.cli.doctor import run_checks
from veo_async.cli.exit_codes import ALL_DONE, ERROR, console

app: App = App()


@app.command
async def doctor(*, ledger: Path | None = None) -> int:
    """Look at key, address, balance, clock and ledger, and say what to do where something is wrong. Costs nothing.

    Example: veo-async doctor --ledger veo.db

    Parameters
    ----------
    ledger
        A ledger's file, to be looked at as well.
    """
    return ALL_DONE if await run_checks(ledger, console) else ERROR


@app.command(name="credits")
async def credits(*, json: bool = False) -> None:
    """Print the balance of the account.

    Example: veo-async credits

    Parameters
    ----------
    json
        For machines.
    """
    async with VeoApi() as api:
        credits = (await api.credit()).balance
    if json:
        console.print_json(data={"credits": credits})
    else:
        console.print(f"{credits:g} credits")


@app.command
async def jobs(file: Path, *, state: JobState | None = None, json: bool = False) -> None:
    """List the jobs of a ledger; ``ledger show`` is the same.

    Example: veo-async jobs veo.db --state in_doubt

    Parameters
    ----------
    file
        The ledger's file.
    state
        Only jobs in this state.
    json
        For machines.
    """
    await on_ledger.show(file, state=state, as_json=json, console=console)


@app.command
async def timeline(file: Path, key: str, *, json: bool = False) -> None:
    """Print the timeline of one job for the provider's support: times, codes, ids, credits, and no secrets.

    Example: veo-async evidence veo.db row-17

    Parameters
    ----------
    file
        The ledger's file.
    key
        The job.
    json
        For machines.
    """
    await on_ledger.evidence(file, key, as_json=json, console=console)
