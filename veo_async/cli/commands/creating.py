"""Commands that create one clip, from a prompt or from another clip, and `upload` for its images."""

from typing import Literal

from cyclopts import App

from veo_async.cli.console import print_line, print_note, write_json
from veo_async.cli.exit_codes import ALL_DONE
from veo_async.cli.help_pages import MAKE, listed
from veo_async.cli.options import ClipOptions, VideoOptions
from veo_async.models import ExtendModel

app: App = App()

_CLIP = ClipOptions()
_VIDEO = VideoOptions()


@app.command(**listed(MAKE, 1))
async def generate(
    prompt: str, /, *, key: str | None = None, video: VideoOptions = _VIDEO, clip: ClipOptions = _CLIP
) -> int:
    """Generate a clip and save it. Running the same command again reuses the clip at no cost.

    Example: veo-async generate "A dog surfing at dusk" --out dog.mp4

    Parameters
    ----------
    prompt
        What the clip shows.
    key
        Job key (default: derived from the request).
    """
    from veo_async.cli.run_jobs import run_one

    return await run_one(
        lambda veo: veo.submit(prompt, key=key, priority="interactive", save_to=clip.out, **video.as_arguments()), clip
    )


@app.command(**listed(MAKE, 5))
async def upload(files: list[str], /, *, json: bool = False) -> int:
    """Upload images (free) and print their URLs. Uploads are kept for about a day.

    Example: veo-async upload first.png last.png

    Parameters
    ----------
    files
        JPEG, PNG or WebP files, or URLs that the provider downloads itself.
    json
        Print one JSON object per image.
    """
    from veo_async import VeoSession
    from veo_async._base.run_blocking import run_blocking
    from veo_async.cli.formatting import generate_command
    from veo_async.cli.images import check_images

    await run_blocking(check_images, files)
    urls: list[str] = []
    async with VeoSession() as veo:
        for file in files:
            urls.append((await veo.upload(file)).url)
            if json:
                write_json({"file": file, "url": urls[-1]})
            else:
                print_line(urls[-1])
    if not json:
        images = [word for url in urls for word in ("--image", url)]
        print_note(f"Next: {generate_command(*images)}")
    return ALL_DONE


@app.command(**listed(MAKE, 4))
async def upgrade(task: str, to: Literal["1080p", "4k"] = "1080p", /, *, clip: ClipOptions = _CLIP) -> int:
    """Upgrade a finished clip to 1080p or 4K and save it. Running the same command again costs nothing.

    Example: veo-async upgrade dog 4k --out large.mp4

    Parameters
    ----------
    task
        A job key on the ledger, or a provider task id.
    to
        1080p or 4k.
    """
    from veo_async.cli.run_jobs import run_one, submit_follow_up
    from veo_async.types import UpgradeRequest

    return await run_one(lambda veo: submit_follow_up(veo, task, UpgradeRequest(to=to), clip.out), clip)


@app.command(**listed(MAKE, 3))
async def extend(
    task: str,
    prompt: str,
    /,
    *,
    model: ExtendModel | None = None,
    seeds: int | None = None,
    clip: ClipOptions = _CLIP,
) -> int:
    """Extend a finished clip by about seven seconds and save the result. Running the same command again costs nothing.

    Example: veo-async extend dog "It swims ashore" --out longer.mp4

    Parameters
    ----------
    task
        A job key on the ledger, or a provider task id; a clip upgraded to 1080p cannot be extended.
    prompt
        What happens next.
    model
        Extension model. Default: that of the clip.
    seeds
        10000 to 99999; the same seed gives similar clips.
    """
    from veo_async import ExtendRequest
    from veo_async.cli.run_jobs import run_one, submit_follow_up

    request = ExtendRequest(prompt=prompt, model=model, seeds=seeds)
    return await run_one(lambda veo: submit_follow_up(veo, task, request, clip.out), clip)
