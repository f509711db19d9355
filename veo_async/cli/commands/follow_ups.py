"""Commands that bring images, and those that make more of a clip that is there."""

from pathlib import Path
from typing import Literal

from cyclopts import App

from veo_async import ExtendRequest
from veo_async._wire import UpgradeRequest
from veo_async._wire.models import ExtendModel
from veo_async.cli import run_jobs as running
from veo_async.cli.exit_codes import console
from veo_async.cli.upload import upload_images

app: App = App()


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
async def upgrade(
    task: str,
    to: Literal["1080p", "4k"] = "1080p",
    *,
    out: Path = Path("veo-out"),
    ledger: Path = Path("veo.db"),
    account: str | None = None,
    json: bool = False,
) -> int:
    """Take a finished clip to 1080p or 4K and save it. The same command again pays for nothing.

    Example: veo-async upgrade 4c9a31a5bb61db65d10f1210d78cc08a 4k --out large.mp4

    Parameters
    ----------
    task
        The key of a job on the ledger, or a task id of the provider's.
    to
        1080p or 4k.
    out
        A folder, or a file that ends in .mp4.
    ledger
        Where it is written down.
    account
        Whom it bills, by a name of yours.
    json
        For machines: one object, and nothing else, on standard output.
    """
    request = UpgradeRequest(to=to)
    return await running.follow_up(
        task, request, out=out, ledger=ledger, account=account, as_json=json, console=console
    )


@app.command
async def extend(
    task: str,
    prompt: str,
    *,
    out: Path = Path("veo-out"),
    model: ExtendModel = "fast",
    seeds: int | None = None,
    ledger: Path = Path("veo.db"),
    account: str | None = None,
    json: bool = False,
) -> int:
    """Go on with a finished clip for about seven seconds, and save the whole. The same command again pays for nothing.

    Example: veo-async extend 4c9a31a5bb61db65d10f1210d78cc08a "It swims ashore" --out longer.mp4

    Parameters
    ----------
    task
        The key of a job on the ledger, or a task id of the provider's; not one that was taken to 1080p.
    prompt
        How it goes on.
    out
        A folder, or a file that ends in .mp4.
    model
        An extension has model names of its own.
    seeds
        10000 to 99999.
    ledger
        Where it is written down.
    account
        Whom it bills, by a name of yours.
    json
        For machines: one object, and nothing else, on standard output.
    """
    request = ExtendRequest(prompt=prompt, model=model, seeds=seeds)
    return await running.follow_up(
        task, request, out=out, ledger=ledger, account=account, as_json=json, console=console
    )
