"""The commands and their options.

Exit codes: 0 all done, 1 anything else, 2 usage, 3 some clips were refused or failed, 4 some are in doubt, 5 stopped
before all had ended, 130 interrupted.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from veo_async import VeoApi, VeoError, __version__
from veo_async._rules.lifecycle import JobState
from veo_async.errors import UsageError

from . import ledger as on_ledger
from . import running
from .batch import batch as run_batch
from .demo import run_demo
from .doctor import examine
from .simulator import run_simulator
from .upload import upload_images

console: Console = Console(highlight=False)

app: App = App(
    name="veo-async",
    help="Video clips from Veo 3 / 3.1: never paid twice, never lost.",
    version=__version__,
    console=console,
    help_format="plaintext",
)


@app.command
async def demo(*, out: Path = Path("veo-out")) -> int:
    """Make eight clips on the embedded simulator and save them: no key, no network, no cost.

    Example: veo-async demo --out clips

    Parameters
    ----------
    out
        The folder for the clips; it is made if need be.
    """
    return 0 if await run_demo(out, console) else 3


@app.command
async def simulator(
    *,
    port: int = 8080,
    dialect: Literal["real", "quickstart-1", "quickstart-2", "openapi", "apikley"] = "real",
    speed: float = 1.0,
    api_key: str | None = None,
    credits: float = 1_000_000.0,
    rate: Annotated[tuple[int, float], Parameter(negative=())] = (20, 10.0),
    rate_limit_form: Literal["http", "body"] = "http",
    retry_after: Literal["seconds", "date"] | None = None,
    max_running: int = 100,
    duration: float | None = None,
    record_gap: float = 0.0,
    refusal_rate: float = 0.0,
    failure_rate: float = 0.0,
    webhook_key: str | None = None,
    fault: Annotated[list[str] | None, Parameter(negative=())] = None,
    seed: int = 0,
    host: str = "127.0.0.1",
) -> None:
    """Run the provider's simulator until it is stopped with Ctrl-C.

    Example: veo-async simulator --port 8080 --dialect real --speed 60 --api-key KEY

    Parameters
    ----------
    port
        Where to listen; 0 takes a free one.
    dialect
        Whose shapes to answer with: what is really met, or one of the provider's own pages.
    speed
        Simulated seconds in a real one.
    api_key
        The key that clients must send; without it one is made up and printed.
    credits
        The balance at the start.
    rate
        How many creations in how many simulated seconds.
    rate_limit_form
        429 as HTTP status, or as code in the body of an HTTP 200.
    retry_after
        Whether a 429 says when to come back.
    max_running
        Tasks that may run at once.
    duration
        Every task takes exactly this many seconds; without it, as long as the real ones.
    record_gap
        Seconds for which a new task's record is unknown.
    refusal_rate
        The share of requests that are refused for their content.
    failure_rate
        The share of tasks that fail.
    webhook_key
        Signs every callback.
    fault
        What goes wrong, for instance "drop-after:generate:1"; may be repeated. An unknown name lists all.
    seed
        The same seed and the same calls give the same answers.
    host
        The address to listen on; loopback unless you ask for another.
    """
    await run_simulator(
        console,
        faults=fault or [],
        port=port,
        dialect=dialect,
        speed=speed,
        api_key=api_key,
        credits=credits,
        rate=rate,
        rate_limit_form=rate_limit_form,
        retry_after=retry_after,
        max_running=max_running,
        duration_s=duration,
        record_gap_s=record_gap,
        refusal_rate=refusal_rate,
        failure_rate=failure_rate,
        webhook_key=webhook_key,
        seed=seed,
        host=host,
    )


@app.command
async def generate(
    prompt: str,
    *,
    out: Path = Path("veo-out"),
    model: str = "veo3_fast",
    aspect_ratio: str = "16:9",
    image: Annotated[list[str] | None, Parameter(negative=())] = None,
    seeds: int | None = None,
    duration: int | None = None,
    resolution: str | None = None,
    key: str | None = None,
    ledger: Path = Path("veo.db"),
    json: bool = False,
) -> int:
    """Make one clip and save it. The same command again pays for nothing: it attaches to what is there.

    Example: veo-async generate "A dog surfing at dusk" --out dog.mp4

    Parameters
    ----------
    prompt
        What the clip shows.
    out
        A folder, or a file that ends in .mp4.
    model
        veo3, veo3_fast or veo3_lite.
    aspect_ratio
        16:9, 9:16 or Auto.
    image
        A file or the URL of a first frame, of a first and a last, or of reference material; may be repeated.
    seeds
        10000 to 99999: similar clips for the same number.
    duration
        Seconds: 4, 6 or 8.
    resolution
        720p, 1080p or 4k.
    key
        The job's name; without it the request's content is its name.
    ledger
        Where it is written down.
    json
        For machines.
    """
    options = {
        "model": model,
        "aspect_ratio": aspect_ratio,
        "image_urls": tuple(image or ()),
        "seeds": seeds,
        "duration": duration,
        "resolution": resolution,
    }
    return await running.generate(
        prompt, options=options, key=key, out=out, ledger=ledger, as_json=json, console=console
    )


@app.command
async def upload(files: list[str], *, json: bool = False) -> int:
    """Bring images to the provider, for nothing, and print their URLs. They are there for about a day.

    Example: veo-async upload first.png last.png

    Parameters
    ----------
    files
        JPEG, PNG or WebP files, or URLs that the provider fetches itself.
    json
        For machines.
    """
    return await upload_images(files, as_json=json, console=console)


@app.command
async def batch(
    source: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    *,
    out: Path | None = None,
    ledger: Path | None = None,
    kind: Literal["csv", "tsv", "jsonl", "json"] | None = None,
    prompt: str | None = None,
    model: str | None = None,
    aspect_ratio: str | None = None,
    resolution: str | None = None,
    budget: float | None = None,
    grace: float = 600.0,
    dry_run: bool = False,
    skip_invalid: bool = False,
) -> int:
    """Make every clip of a list, save them, and show them on a page. The same command again goes on where it was.

    Example: veo-async batch prompts.csv --dry-run

    Parameters
    ----------
    source
        A CSV, TSV, JSONL or JSON file whose columns are named like the options; "-" reads standard input.
    out
        The folder for clips, results and the page; without it a folder beside the list.
    ledger
        Where jobs are written down; without it a file in that folder.
    kind
        What the list is, where its name does not tell.
    prompt
        A template for the prompt: "A {animal} on a {thing}", of the list's own columns.
    model
        For rows that name none.
    aspect_ratio
        For rows that name none.
    resolution
        For rows that name none.
    budget
        Credits that must not be exceeded.
    grace
        Seconds to wait for what runs after Ctrl-C.
    dry_run
        Check everything and tell the price; send nothing.
    skip_invalid
        Run the rows that are right although others are not; these come out in rejected.csv.
    """
    given = {"model": model, "aspect_ratio": aspect_ratio, "resolution": resolution}
    return await run_batch(
        source,
        kind=kind,
        out=out,
        ledger=ledger,
        template=prompt,
        defaults={name: value for name, value in given.items() if value is not None},
        budget=budget,
        grace_s=grace,
        is_dry=dry_run,
        may_skip=skip_invalid,
        console=console,
    )


@app.command
async def resume(ledger: Path, *, out: Path = Path("veo-out"), json: bool = False) -> int:
    """Go on with everything a ledger holds: send what waits, watch what runs, save what is ready.

    Example: veo-async resume veo.db --out clips

    Parameters
    ----------
    ledger
        The ledger's file.
    out
        The folder for clips that have no place of their own yet.
    json
        For machines.
    """
    return await running.resume(ledger, out=out, as_json=json, console=console)


@app.command
async def save(ledger: Path, keys: list[str], *, out: Path = Path("veo-out")) -> int:
    """Save clips that are ready, by their keys; what is there already is not fetched again.

    Example: veo-async save veo.db row-17 row-18 --out clips

    Parameters
    ----------
    ledger
        The ledger's file.
    keys
        The jobs.
    out
        A folder, or a file that ends in .mp4.
    """
    return await running.save(ledger, keys, out=out, console=console)


@app.command
async def doctor(*, ledger: Path | None = None) -> int:
    """Look at key, address, balance, clock and ledger, and say what to do where something is wrong. Costs nothing.

    Example: veo-async doctor --ledger veo.db

    Parameters
    ----------
    ledger
        A ledger's file, to be looked at as well.
    """
    return 0 if await examine(ledger, console) else 1


@app.command(name="credits")
async def balance(*, json: bool = False) -> None:
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


ledger: App = App(name="ledger", help="Look at a ledger file and end the doubts on it. Nothing here costs anything.")
app.command(ledger)


@ledger.command(name="show")
async def ledger_show(file: Path, *, state: JobState | None = None, json: bool = False) -> None:
    """List the jobs of a ledger.

    Example: veo-async ledger show veo.db --state in_doubt

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


@ledger.command(name="doubts")
async def ledger_doubts(file: Path, *, json: bool = False) -> None:
    """List the jobs of which nobody knows whether they were paid, with all that is known of them.

    Example: veo-async ledger doubts veo.db

    Parameters
    ----------
    file
        The ledger's file.
    json
        For machines.
    """
    await on_ledger.doubts(file, as_json=json, console=console)


@ledger.command(name="resolve")
async def ledger_resolve(file: Path, key: str, task_id: str, *, unverified: bool = False) -> None:
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
    await on_ledger.resolve(file, key, task_id, is_unverified=unverified, console=console)


@ledger.command(name="resubmit")
async def ledger_resubmit(file: Path, key: str) -> None:
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


@ledger.command(name="abandon")
async def ledger_abandon(file: Path, key: str) -> None:
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


@ledger.command(name="adopt")
async def ledger_adopt(file: Path, task_id: str, *, key: str | None = None, account: str | None = None) -> None:
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


@app.command
async def evidence(file: Path, key: str, *, json: bool = False) -> None:
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


def run(arguments: list[str] | None = None) -> None:
    """Parse, run, and leave with the command's exit code."""
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        sys.exit(2)  # cyclopts has said what is wrong and how it is meant
    except VeoError as error:
        Console(stderr=True, highlight=False).print(str(error), markup=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    sys.exit(code or 0)
