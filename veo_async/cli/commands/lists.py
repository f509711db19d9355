"""Commands for many clips."""

from pathlib import Path

from cyclopts import App

from veo_async.cli.console import console, print_line
from veo_async.cli.exit_codes import ALL_DONE
from veo_async.cli.help_pages import INSPECT, MAKE, listed
from veo_async.cli.options import BatchOptions

app: App = App()

_BATCH = BatchOptions()


@app.command(**listed(MAKE, 2))
async def batch(source: Path, /, *, options: BatchOptions = _BATCH) -> int:
    """Generate every clip in a list, save them and write a gallery. Run it again to continue.

    Example: veo-async batch prompts.csv --dry-run

    Exit codes: 0 all done, 2 usage, 3 some were refused, failed or not sent, 4 some are in doubt, 5 stopped early.

    Parameters
    ----------
    source
        A CSV, TSV, JSONL or JSON file, "-" for standard input, or the rejected.csv of an earlier run.
    """
    from veo_async._base.run_blocking import run_blocking
    from veo_async.cli.batch import read_list, read_plan, run_list
    from veo_async.cli.batch_output import report_invalid, report_plan, report_summary
    from veo_async.cli.list_files import find_files
    from veo_async.cli.output import reporting

    files = await run_blocking(find_files, source, options)
    manifest = await run_blocking(read_list, files, options)
    with reporting(console, as_json=options.json) as reporter:
        for warning in manifest.warnings:
            reporter.message(f"{source}, {warning}")
        for problem in manifest.problems:
            reporter.message(f"{source}, {problem}")
        if manifest.problems and not options.skip_invalid:
            return report_invalid(manifest, reporter)
        if options.dry_run or not manifest.rows:
            return report_plan(await read_plan(manifest, files, options.account), manifest, reporter)
        run = await run_list(manifest, files, options, reporter)
        return report_summary(run, manifest, files, options.budget, reporter)


@app.command(**listed(INSPECT, 5))
async def contact_sheet(folder: Path, /) -> int:
    """Write a contact sheet of the clips in a folder: a frame, the name and the length of each.

    Example: veo-async contact-sheet prompts-out

    Parameters
    ----------
    folder
        Folder with the clips; sheet.webp is written there.
    """
    from veo_async._base.run_blocking import run_blocking
    from veo_async.batch.contact_sheet import MediaExtraMissing, videos_in, write_sheets
    from veo_async.errors import UsageError

    tiles = await run_blocking(videos_in, folder)
    if not tiles:
        raise UsageError(f"{folder}: no clips found; pass the output folder of a list")
    try:
        sheets = await run_blocking(write_sheets, folder, tiles)
    except MediaExtraMissing as exc:
        raise UsageError(str(exc)) from None
    except OSError as exc:
        raise UsageError(f"{folder}: {exc.strerror or exc}; name a folder that can be written") from None
    for sheet in sheets:
        print_line(str(sheet))
    return ALL_DONE
