"""Commands that only read. All of them are free."""

from pathlib import Path

from cyclopts import App

from veo_async.cli.console import console, print_line, print_note
from veo_async.cli.exit_codes import ALL_DONE, ERROR
from veo_async.cli.help_pages import LOOK, START, listed
from veo_async.types import JobState

app: App = App()

#: The width of a table where the output is not a terminal, so that no column is left out.
_PIPE_WIDTH = 1000


@app.command(**listed(START, 2))
async def doctor(*, ledger: Path | None = None) -> int:
    """Check API key, base URL, balance, clock and ledger. Free.

    Example: veo-async doctor --ledger veo.db

    Parameters
    ----------
    ledger
        Also check this ledger.
    """
    from veo_async.cli.doctor import Check, run_checks
    from veo_async.cli.formatting import command, generate_command

    def show(check: Check) -> None:
        console.print("[green]ok [/]" if check.passed else "[red]no [/]", end=" ")
        print_line(f"{check.name:<8} {check.message}")

    if await run_checks(ledger, show):
        print_note(f"\nAll checks passed. Next: {generate_command()}")
        return ALL_DONE
    again = command("doctor", *(() if ledger is None else ("--ledger", ledger)))
    print_note(f'\nFix the items marked "no". Next: {again}')
    return ERROR


@app.command(**listed(LOOK, 3))
async def credits(*, json: bool = False) -> None:
    """Print the balance of the account.

    Example: veo-async credits

    Parameters
    ----------
    json
        Print JSON.
    """
    from veo_async import VeoApi
    from veo_async.cli.formatting import format_credits

    async with VeoApi() as api:
        balance = (await api.credit()).balance
    if json:
        console.print_json(data={"credits": balance})
    else:
        print_line(format_credits(balance))


@app.command(**listed(LOOK, 1))
async def jobs(file: Path, /, *, state: JobState | None = None, json: bool = False) -> None:
    """List the jobs on a ledger.

    Example: veo-async jobs veo.db --state in_doubt

    Parameters
    ----------
    file
        Ledger file.
    state
        Only jobs in this state.
    json
        Print JSON.
    """
    from veo_async.cli.formatting import command, format_count
    from veo_async.cli.ledger_file import open_ledger
    from veo_async.cli.ledger_text import job_as_dict, table_lines
    from veo_async.cli.progress import counts_by_state

    async with open_ledger(file) as ledger:
        rows = await ledger.jobs(None if state is None else [state])
    if json:
        console.print_json(data=[job_as_dict(row) for row in rows])
        return
    for line in table_lines(rows, console.width if console.is_terminal else _PIPE_WIDTH):
        print_line(line)
    counts = counts_by_state(rows)
    states = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    print_line(f"{format_count(len(rows), 'job')}: {states}" if rows else "No jobs.")
    if counts.get(JobState.IN_DOUBT):
        print_note(f"Next: {command('ledger', 'in-doubt', file)}")


@app.command(**listed(LOOK, 2))
async def timeline(file: Path, key: str, /, *, json: bool = False) -> None:
    """Print a job's timeline (times, codes, ids, credits, no secrets), e.g. for the provider's support.

    Example: veo-async timeline veo.db row-17

    Parameters
    ----------
    file
        Ledger file.
    key
        Job key.
    json
        Print JSON.
    """
    from veo_async.cli.formatting import command
    from veo_async.cli.ledger_file import open_ledger
    from veo_async.cli.ledger_text import job_as_dict, timeline_lines
    from veo_async.errors import UsageError

    async with open_ledger(file) as ledger:
        row, transitions = await ledger.get(key), await ledger.transitions(key)
    if row is None:
        raise UsageError(f"no job {key!r} on this ledger; list jobs with {command('jobs', file)}", job_key=key)
    if json:
        console.print_json(data=job_as_dict(row, transitions))
        return
    for line in timeline_lines(row, transitions):
        print_line(line)
