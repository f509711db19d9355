"""Where a list's results and ledger go, and which list a ``rejected.csv`` belongs to."""

from pathlib import Path

import attrs

from veo_async.batch.origin import Origin, origin_of, read_origin

from .options import BatchOptions

_STDIN = Path("-")


@attrs.frozen(kw_only=True)
class ListFiles:
    """Where a list is, and where its results and its ledger go."""

    #: None for standard input.
    source: Path | None
    out: Path
    ledger: Path
    origin: Origin
    #: Whether the list has the rejected rows of another list, and joins its results.
    is_part: bool


def find_files(source: Path, options: BatchOptions) -> ListFiles:
    """Return the files of the list in *source*; nothing is created. A ``rejected.csv`` stays with its list."""
    file = None if source == _STDIN else source
    known = None if file is None else read_origin(file)
    default = Path("veo-out") if file is None else file.with_name(f"{file.stem}-out")
    out = options.out or (source.parent if known else default)
    return ListFiles(
        source=file,
        out=out,
        ledger=options.ledger or out / "ledger.db",
        origin=known or origin_of(file, out),
        is_part=known is not None,
    )
