"""Commands that make clips, or bring them home."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from veo_async import Model
from veo_async.cli import run_jobs as running
from veo_async.cli.batch import batch as run_batch
from veo_async.cli.exit_codes import console
from veo_async.cli.sheet import make_sheet

app: App = App()
_MODELS = f"One of {', '.join(Model)}."


@app.command
async def generate(
    prompt: str,
    *,
    out: Path = Path("veo-out"),
    model: Annotated[str, Parameter(help=_MODELS)] = Model.FAST.value,
    aspect_ratio: str = "16:9",
    image: Annotated[list[str] | None, Parameter(negative=())] = None,
    seeds: int | None = None,
    duration: int | None = None,
    resolution: str | None = None,
    key: str | None = None,
    ledger: Path = Path("veo.db"),
    account: str | None = None,
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
    account
        Whom it bills, by a name of yours: the API key may then change between two runs.
    json
        For machines: one object, and nothing else, on standard output.
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
        prompt, options=options, key=key, out=out, ledger=ledger, account=account, as_json=json, console=console
    )


@app.command
async def batch(
    source: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    *,
    out: Path | None = None,
    ledger: Path | None = None,
    account: str | None = None,
    format: Literal["csv", "tsv", "jsonl", "json"] | None = None,
    prompt: str | None = None,
    model: str | None = None,
    aspect_ratio: str | None = None,
    resolution: str | None = None,
    budget: float | None = None,
    stop_timeout: float = 600.0,
    dry_run: bool = False,
    skip_invalid: bool = False,
    json: bool = False,
) -> int:
    """Make every clip of a list, save them, and show them on a page. The same command again goes on where it was.

    Example: veo-async batch prompts.csv --dry-run

    Exit codes: 0 all done, 2 usage, 3 some were refused or failed, 4 some are in doubt, 5 stopped before all had ended.

    Parameters
    ----------
    source
        A CSV, TSV, JSONL or JSON file whose columns are named like the options; "-" reads standard input.
    out
        The folder for clips, results and the page; without it a folder beside the list.
    ledger
        Where jobs are written down; without it a file in that folder.
    account
        Whom they bill, by a name of yours: the API key may then change between two runs.
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
    json
        For machines: an object for each row as it ends, and a summary as the last line of standard output.
    """
    defaults = {"model": model, "aspect_ratio": aspect_ratio, "resolution": resolution}
    return await run_batch(
        source,
        kind=format,
        out=out,
        ledger=ledger,
        account=account,
        template=prompt,
        defaults={name: value for name, value in defaults.items() if value is not None},
        budget=budget,
        stop_timeout_s=stop_timeout,
        dry_run=dry_run,
        skip_invalid=skip_invalid,
        as_json=json,
        console=console,
    )


@app.command
async def resume(
    ledger: Path,
    *,
    out: Path = Path("veo-out"),
    account: str | None = None,
    stop_timeout: float = 600.0,
    json: bool = False,
) -> int:
    """Go on with everything a ledger holds: send what waits, watch what runs, save what is ready.

    Example: veo-async resume veo.db --out clips

    Exit codes: 0 all done, 2 usage, 3 some were refused or failed, 4 some are in doubt, 5 stopped before all had ended.

    Parameters
    ----------
    ledger
        The ledger's file.
    out
        The folder for clips that have no place of their own yet.
    account
        Whose jobs, by the name they were made under; without it those of the API key.
    grace
        Seconds to wait for what runs after Ctrl-C.
    json
        For machines: an object for each job as it ends, and a summary as the last line of standard output.
    """
    return await running.resume(ledger, out=out, account=account, grace_s=stop_timeout, as_json=json, console=console)


@app.command
async def save(ledger: Path, keys: list[str], *, out: Path = Path("veo-out"), account: str | None = None) -> int:
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
    account
        Whose jobs, by the name they were made under; without it those of the API key.
    """
    return await running.save(ledger, keys, out=out, account=account, console=console)


@app.command
async def contact_sheet(folder: Path) -> int:
    """Make a contact sheet of the clips in a folder: a picture, the name and the length of each.

    Example: veo-async sheet prompts-out

    Parameters
    ----------
    folder
        Where the clips are; sheet.webp comes beside them.
    """
    return await make_sheet(folder, console)
