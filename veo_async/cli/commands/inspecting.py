"""Commands that only read. All of them are free."""

import math
import time
from collections import Counter
from pathlib import Path

from cyclopts import App

from veo_async.cli.console import console, print_document, print_line, print_note, write_json
from veo_async.cli.exit_codes import ALL_DONE, ERROR
from veo_async.cli.help_pages import INSPECT, START, listed
from veo_async.types import JobState

app: App = App()

#: The width of a table where the output is not a terminal, so that no column is left out.
_PIPE_WIDTH = 1000


@app.command(**listed(START, 2))
async def doctor(*, ledger: Path | None = None) -> int:
    """Check API key, base URL, balance, route, clock and ledger. Free.

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


@app.command(**listed(INSPECT, 3))
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
        write_json({"credits": balance})
    else:
        print_line(format_credits(balance))


@app.command(**listed(INSPECT, 4))
async def models(*, offline: bool = False, schema: str | None = None, json: bool = False) -> None:
    """Compare the provider's catalogue of Veo models (prices, success rates, options) with our table. Free.

    Example: veo-async models --schema veo-3-1

    Parameters
    ----------
    offline
        Print only our table, without an API key.
    schema
        Print the OpenAPI document of this model of the catalogue instead, e.g. veo-3-1.
    json
        Print one JSON object per model.
    """
    from veo_async import VeoSession
    from veo_async.cli import models_text
    from veo_async.cli.formatting import command
    from veo_async.errors import UsageError
    from veo_async.models import our_models
    from veo_async.pricing import PRICES

    if schema is not None and offline:
        raise UsageError("--schema reads the provider's catalogue; leave out --offline")
    if offline:
        found = our_models(PRICES)
    else:
        async with VeoSession() as veo:
            if schema is not None:
                document = await veo.account.model_schema(schema)
                if document is None:
                    raise UsageError(f"the provider has no schema of {schema}; list models with {command('models')}")
                print_document(document, compact=json)
                return
            if console.is_terminal and not json:
                print_note("Reading the provider's catalogue, one request per second …")
            found = await veo.account.models()
    for model in found:
        if json:
            write_json(models_text.model_as_dict(model))
        else:
            for line in models_text.model_lines(model, is_offline=offline):
                print_line(line)
    if not (json or offline):
        print_line(models_text.summary_of(found))
        print_note(models_text.schema_hint())


@app.command(**listed(INSPECT, 1))
async def jobs(
    file: Path,
    /,
    *,
    state: JobState | None = None,
    since: str | None = None,
    limit: int | None = None,
    json: bool = False,
) -> None:
    """List the jobs on a ledger, oldest first.

    Example: veo-async jobs veo.db --state in_doubt

    Parameters
    ----------
    file
        Ledger file.
    state
        Only jobs in this state.
    since
        Only jobs submitted since then: an age (30m, 2h, 3d) or a date in UTC (2026-11-01, 2026-11-01T18:00).
    limit
        Only the newest N of them.
    json
        Print one JSON object per job.
    """
    from veo_async.cli.formatting import command, format_count
    from veo_async.cli.ledger_file import open_ledger
    from veo_async.cli.ledger_text import JobTable, job_as_dict
    from veo_async.cli.progress import counts_of
    from veo_async.cli.since import parse_since
    from veo_async.errors import UsageError
    from veo_async.ledger import JobQuery, pages

    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: pass a number from 1 on")
    at = -math.inf if since is None else parse_since(since, time.time())  # noqa: TID251  # the command owns the clock
    query = JobQuery(state=state, since=at)
    table = JobTable(console.width if console.is_terminal else _PIPE_WIDTH)
    counts: Counter[str] = Counter()
    async with open_ledger(file) as ledger:
        async for rows in pages(ledger, query, limit):
            if json:
                for row in rows:
                    write_json(job_as_dict(row))
            else:
                print_line("\n".join(table.lines(rows)))
                counts.update(row.state for row in rows)
        if json:
            return
        found = counts if limit is None else await ledger.counts(query)
    shown, total = counts.total(), sum(found.values())
    states = ", ".join(f"{number:,} {name}" for name, number in counts_of(counts))
    number = format_count(shown, "job") if shown == total else f"{shown:,} of {total:,} jobs"
    print_line(f"{number}: {states}" if shown else "No jobs.")
    if counts[JobState.IN_DOUBT]:
        print_note(f"Next: {command('ledger', 'in-doubt', file)}")


@app.command(**listed(INSPECT, 2))
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
        write_json(job_as_dict(row, transitions))
        return
    for line in timeline_lines(row, transitions):
        print_line(line)
