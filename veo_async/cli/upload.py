"""Images from the command line to the provider's upload host."""

from rich.console import Console

from veo_async import VeoSession
from veo_async._base.run_blocking import run_blocking
from veo_async._runtime.queued.images import inspect_image
from veo_async._wire.images import is_path
from veo_async.errors import InvalidRequest, Problem


async def upload_images(files: list[str], *, as_json: bool, console: Console) -> int:
    """Upload *files*, all of them checked before the first; the exit code."""
    if faults := await run_blocking(_faults, [file for file in files if is_path(file)]):
        raise InvalidRequest.of(*faults)
    urls: list[str] = []
    async with VeoSession() as veo:
        for file in files:
            urls.append((await veo.upload(file)).url)
            if not as_json:
                console.print(urls[-1], markup=False, soft_wrap=True)
    if as_json:
        console.print_json(data=[{"file": file, "url": url} for file, url in zip(files, urls, strict=True)])
    else:
        images = " ".join(f"--image '{url}'" for url in urls)
        console.print(f'Next: veo-async generate "…" {images}', markup=False, soft_wrap=True)
    return 0


def _faults(files: list[str]) -> list[Problem]:
    faults: list[Problem] = []
    for file in files:
        try:
            inspect_image(file)
        except InvalidRequest as error:
            faults += error.problems
    return faults
