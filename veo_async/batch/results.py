"""The result files of a list, written to the folder of its clips while the run is in progress.

``results.jsonl`` gets a line for each finished job (see `result_log`). ``results.csv`` is the list itself plus the
result of each row. ``rejected.csv`` holds the rows that produced no clip and cost nothing, with the error, ready to be
edited and run again. It is a part of the list: run from the output folder, its results join those of the other rows,
and its rows stay in it until they have a result. Both CSV files are replaced atomically.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from veo_async._base.atomic_write import remove_abandoned, write_atomically
from veo_async._base.numbers import plain_number
from veo_async.errors import ResultsWriteError, UsageError, VeoError, as_sentences, printable
from veo_async.media.targets import is_file_name
from veo_async.types import Done, Failed, InDoubt, JobState, OnHold, Outcome, Refused

from .manifest import Manifest
from .result_log import ResultLog
from .rows import ERROR_COLUMN, NUMBER_COLUMN, RESULT_COLUMNS, Row, RowProblem

#: The list of rows that can be edited and run again.
REJECTED = "rejected.csv"
#: Spreadsheets treat cells that begin with one of these as formulas.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: Longest text of a cell that we add, in characters.
_MAX_CELL_CHARACTERS = 2000
_IN_DOUBT_REMEDY = (
    "It may have been charged and is not sent again automatically. Resolve, resubmit or abandon it with "
    "`veo-async ledger`."
)
_ON_HOLD_REMEDY = "Run the same command without --stop-on-overcharge to send it at that price."
#: The status of a row whose job is on hold: it is neither sent nor charged.
_ON_HOLD = "on_hold"
_NO_STATES: Mapping[str, str] = MappingProxyType({})
_CHOOSE_WRITABLE = "; choose a writable folder"


@attrs.frozen(kw_only=True)
class RowResult:
    """The result of one row."""

    row: Row
    #: ``saved``, ``ready``, ``refused``, ``failed``, ``in_doubt`` or ``on_hold``.
    status: str
    task_id: str | None = None
    paths: tuple[str, ...] = ()
    #: The height of the first video in pixels, if it is known.
    height: int | None = None
    #: Credits charged, by the price table; None if nothing was charged or the price is unknown.
    credits: float | None = None
    #: Credits charged according to the provider's records; None if nothing was charged or they do not say it.
    credits_consumed: float | None = None
    #: Why there is no clip, what to do, and the provider's words, codes and ids; empty for a row with a clip.
    reason: str = ""
    remedy: str = ""
    detail: str = ""
    #: The provider's page with the account's tasks, if one of them may belong to a row without a clip.
    log_url: str | None = None
    #: Whether the row certainly cost nothing.
    is_free: bool = False

    @property
    def sentence(self) -> str:
        """The reason and the remedy; empty for a row with a clip."""
        return as_sentences(self.reason, self.remedy) if self.reason else ""

    @property
    def can_be_edited_and_rerun(self) -> bool:
        """Whether the row produced no clip and cost nothing, so that running an edited row pays only once."""
        return self.status in ("refused", "failed") and self.is_free


def result_of(
    row: Row, outcome: Outcome, *, state: str, task_id: str | None, credits: float | None, is_free: bool
) -> RowResult:
    """Return *outcome* as the result of *row*.

    Args:
        state: the job's state. A generated clip that could not be saved counts as ``ready``, not as failed.
        credits: what the job cost; None if nothing was charged, or if the price is unknown.
        is_free: whether certainly nothing was charged.
    """
    match outcome:
        case Done(clip=clip):
            status = "saved" if clip.files else "ready"
            paths = tuple(map(str, clip.files))
            return RowResult(
                row=row, status=status, task_id=clip.task_id, paths=paths, height=clip.height, credits=credits
            )
        case Refused():
            status = "refused"
        case Failed():
            status = "ready" if state == JobState.READY else "failed"
        case InDoubt():
            status = "in_doubt"
        case OnHold():
            status = _ON_HOLD
    return RowResult(
        row=row,
        status=status,
        task_id=task_id,
        credits=credits,
        reason=outcome.reason,
        remedy=remedy_of(outcome),
        detail=outcome.detail,
        log_url=outcome.log_url,
        is_free=is_free,
    )


def refused_row(row: Row, error: VeoError) -> RowResult:
    """Return the result of a row that could not be submitted."""
    return result_of(row, Refused(row.key, error), state="refused", task_id=None, credits=None, is_free=True)


def remedy_of(outcome: Refused | Failed | InDoubt | OnHold) -> str:
    """Return what to do about *outcome*, for a reader who has the command line and not the library."""
    match outcome:
        case InDoubt():
            return _IN_DOUBT_REMEDY
        case OnHold():
            return _ON_HOLD_REMEDY
        case _:
            return outcome.remedy


def result_as_dict(result: RowResult) -> dict[str, Any]:
    """Return *result* as JSON values, without the fields that are empty or unknown.

    ``columns`` has the row's values of the columns that set nothing.
    """
    left_out = ("row", "is_free")
    fields = attrs.asdict(
        result, filter=lambda field, value: field.name not in left_out and value not in (None, "", ())
    )
    columns = {"columns": dict(result.row.others)} if result.row.others else {}
    return {"key": result.row.key, "line": result.row.line, **fields, **columns}


def make_folder(folder: Path) -> None:
    """Create *folder* and its parents if they do not exist.

    Raises:
        UsageError: it cannot be created, or its name is that of a clip.
    """
    if is_file_name(str(folder)):
        raise UsageError(f"{folder}: a list is saved into a folder; name one with --out, and its files with --name")
    with translate_os_errors(folder, UsageError, _CHOOSE_WRITABLE):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def translate_os_errors(folder: Path, error: type[VeoError], remedy: str = "") -> Iterator[None]:
    """Raise *error* with the folder's name and *remedy* in place of an `OSError`."""
    try:
        yield
    except PermissionError as exc:
        if exc.filename2 is None:
            raise error(f"{folder}: {exc.strerror}{remedy}") from None
        in_use = f"{exc.filename2} cannot be replaced ({exc.strerror}); close it in other programs, such as Excel"
        raise error(in_use) from None
    except OSError as exc:
        raise error(f"{folder}: {exc.strerror or exc}{remedy}") from None


class Results:
    """The three result files of one list. Everything here blocks.

    Args:
        is_part: the list has some rows of the list whose results are in *folder*; those of the other rows are kept.

    Raises:
        UsageError: the folder cannot be created or written.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, is_part: bool = False) -> None:
        self._folder, self._manifest, self._is_part = folder, manifest, is_part
        self._results: dict[str, RowResult] = {}
        self._log = ResultLog(folder / "results.jsonl")
        make_folder(folder)
        with translate_os_errors(folder, UsageError, _CHOOSE_WRITABLE):
            remove_abandoned(folder)
            self._log.open()
            self._earlier = _read_csv(folder / "results.csv") if is_part else []
            # This finds an unwritable folder before anything is sent.
            _replace(folder / "results.csv", self._table(_NO_STATES))

    @property
    def other_rows(self) -> list[dict[str, str]]:
        """The lines of ``results.csv`` that belong to rows of the other list."""
        own = {row.key for row in self._manifest.rows}
        return [cells for cells in self._earlier if cells.get("key") not in own]

    def add(self, result: RowResult) -> None:
        """Append *result* to ``results.jsonl``; it is on the disk when this returns.

        Raises:
            ResultsWriteError: it could not be written. The ledger still holds the job.
        """
        self._results[result.row.key] = result
        with translate_os_errors(self._folder, ResultsWriteError):
            self._log.append(result_as_dict(result))

    def close(self, states: Mapping[str, str] = _NO_STATES) -> list[Path]:
        """Write both CSV files and return the paths of those that exist.

        Args:
            states: the states of jobs that have not finished, by key; a row without a job was not submitted.

        Raises:
            ResultsWriteError: one of them could not be written.
        """
        with translate_os_errors(self._folder, ResultsWriteError):
            return self._close(states)

    def _close(self, states: Mapping[str, str]) -> list[Path]:
        files = [self._folder / "results.csv"]
        _replace(files[0], self._table(states))
        rejected = self._rejected()
        target = self._folder / REJECTED
        if rejected:
            _replace(target, _csv((*self._manifest.columns, NUMBER_COLUMN, ERROR_COLUMN), rejected))
            files.append(target)
        else:
            target.unlink(missing_ok=True)
        return files

    def _table(self, states: Mapping[str, str]) -> str:
        rows = {cells.get("key", ""): cells for cells in self._earlier}
        for row in self._manifest.rows:
            result = self._results.get(row.key)
            added = _result_cells(result) if result else {"status": states.get(row.key, "not_submitted")}
            rows[row.key] = {**row.cells, "key": row.key, **added}
        earlier = (name for cells in self._earlier for name in cells)
        return _csv(tuple(dict.fromkeys((*earlier, *self._manifest.columns, "key", *RESULT_COLUMNS))), rows.values())

    def _rejected(self) -> list[Mapping[str, str]]:
        invalid = [
            {**_numbered_cells(problem), ERROR_COLUMN: _spreadsheet_safe(str(problem))}
            for problem in self._manifest.problems
        ]
        failed = [
            {**_numbered_cells(result.row), ERROR_COLUMN: _spreadsheet_safe(result.sentence)}
            for result in self._results.values()
            if result.can_be_edited_and_rerun
        ]
        rows = self._manifest.rows if self._is_part else ()
        waiting = [_numbered_cells(row) for row in rows if self._is_waiting(row)]
        return [*invalid, *failed, *waiting]

    def _is_waiting(self, row: Row) -> bool:
        """Whether *row* is still to be sent."""
        result = self._results.get(row.key)
        return result is None or result.status == _ON_HOLD


def _numbered_cells(row: Row | RowProblem) -> dict[str, str]:
    return {**row.cells, NUMBER_COLUMN: str(row.number)}


def _result_cells(result: RowResult) -> dict[str, str]:
    return {
        "status": result.status,
        "path": _spreadsheet_safe(" ".join(result.paths)),
        "height": "" if result.height is None else str(result.height),
        "credits": "" if result.credits is None else plain_number(result.credits),
        "credits_consumed": "" if result.credits_consumed is None else plain_number(result.credits_consumed),
        **{name: _spreadsheet_safe(getattr(result, name)) for name in ("reason", "remedy", "detail")},
        "task_id": _spreadsheet_safe(result.task_id or ""),
        "log_url": _spreadsheet_safe(result.log_url or ""),
    }


def _spreadsheet_safe(text: str) -> str:
    """Return *text* with control characters escaped and a quote before what a spreadsheet would run as a formula."""
    shown = printable(text, _MAX_CELL_CHARACTERS)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read_csv(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV file that an earlier run has written; empty if there is none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return [{name: value or "" for name, value in cells.items() if name} for cells in csv.DictReader(file)]


def _replace(path: Path, text: str) -> None:
    """Write *text* to *path* completely or not at all, with the byte order mark by which spreadsheets detect UTF-8.

    A rejected row may contain what cannot be encoded: it is escaped.
    """
    write_atomically(path, text.encode("utf-8-sig", "backslashreplace"))
