"""A contact sheet of a folder."""

from pathlib import Path

from rich.console import Console

from veo_async._base.run_blocking import run_blocking
from veo_async.batch.contact_sheet import MediaExtraMissing, videos_in, write_sheets
from veo_async.errors import UsageError

from .exit_codes import ALL_DONE


async def make_sheet(folder: Path, console: Console) -> int:
    """Make it and say where it is."""
    stills = await run_blocking(videos_in, folder)
    if not stills:
        raise UsageError(f"{folder}: there are no clips here; name the folder that veo-async batch has made")
    try:
        sheets = await run_blocking(write_sheets, folder, stills)
    except MediaExtraMissing as exc:
        raise UsageError(str(exc)) from None
    except OSError as exc:
        raise UsageError(f"{folder}: {exc.strerror or exc}; name a folder that can be written") from None
    for sheet in sheets:
        console.print(f"{sheet}", markup=False, soft_wrap=True)
    return ALL_DONE
