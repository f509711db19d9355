"""The result files of a list, written to the folder of its clips while the run is in progress.

``results.jsonl`` gets one line per finished job, in the order in which they finish; a line is on the disk before the
caller is notified. ``results.csv`` is the list itself plus the result of each row. ``rejected.csv`` holds the rows that
produced no clip and cost nothing, with the error, ready to be edited and run as a new list. Both CSV files are replaced
atomically.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from veo_async._base.atomic_write import write_atomically
from veo_async.errors import ResultsWriteError, UsageError, VeoError, printable
from veo_async.types import Done, Failed, InDoubt, JobState, Outcome, Refused

from .manifest import Manifest
from .rows import ERROR_COLUMN, Row

#: Spreadsheets treat cells that begin with one of these as formulas.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_RESULT_COLUMNS = ("status", "path", "credits", ERROR_COLUMN, "task_id")
#: Longest text of a cell that we add, in characters.
_MAX_CELL_CHARACTERS = 2000
_CHOOSE_WRITABLE = "; choose a writable folder"


@attrs.frozen(kw_only=True)
class RowResult:
    """The result of one row."""

    row: Row
    #: ``saved``, ``ready``, ``refused``, ``failed`` or ``in_doubt``.
    status: str
    task_id: str | None = None
    paths: tuple[str, ...] = ()
    #: Credits charged, by the price table; None if nothing was charged or the price is unknown.
    credits: float | None = None
    error: str = ""

    @property
    def can_be_edited_and_rerun(self) -> bool:
        """Whether the row produced no clip and cost nothing, so that running an edited row pays only once."""
        return self.status in ("refused", "failed") and self.credits is None


def result_of(row: Row, outcome: Outcome, *, state: str, task_id: str | None, credits: float | None) -> RowResult:
    """Return *outcome* as the result of *row*.

    Args:
        state: the job's state. A generated clip that could not be saved counts as ``ready``, not as failed.
        credits: what the job cost; None if nothing was charged.
    """
    match outcome:
        case Done(clip=clip):
            status = "saved" if clip.files else "ready"
            paths = tuple(map(str, clip.files))
            return RowResult(row=row, status=status, task_id=clip.task_id, paths=paths, credits=credits)
        case Refused(error=error):
            return RowResult(row=row, status="refused", task_id=task_id, error=str(error))
        case Failed(error=error):
            status = "ready" if state == JobState.READY else "failed"
            return RowResult(row=row, status=status, task_id=task_id, credits=credits, error=str(error))
        case InDoubt(error=error):
            return RowResult(row=row, status="in_doubt", task_id=task_id, credits=credits, error=str(error))


def result_as_dict(result: RowResult) -> dict[str, Any]:
    """Return *result* as JSON values, without the fields that are empty or unknown."""
    fields = attrs.asdict(result, filter=lambda field, value: field.name != "row" and value not in (None, "", ()))
    return {"key": result.row.key, "line": result.row.line, **fields}


def make_folder(folder: Path) -> None:
    """Create *folder* and its parents if they do not exist.

    Raises:
        UsageError: it cannot be created.
    """
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

    Raises:
        UsageError: the folder cannot be created or written.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        self._results: dict[str, RowResult] = {}
        make_folder(folder)
        with translate_os_errors(folder, UsageError, _CHOOSE_WRITABLE):
            _drop_torn_line(folder / "results.jsonl")
            _replace(folder / "results.csv", self._table())  # finds an unwritable folder before anything is sent

    def add(self, result: RowResult) -> None:
        """Append *result* to ``results.jsonl``; it is on the disk when this returns.

        Raises:
            ResultsWriteError: it could not be written. The ledger still holds the job.
        """
        self._results[result.row.key] = result
        with translate_os_errors(self._folder, ResultsWriteError):
            self._append(json.dumps(result_as_dict(result), ensure_ascii=False) + "\n")

    def _append(self, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._folder / "results.jsonl", flags, 0o644)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> list[Path]:
        """Write both CSV files and return the paths of those that exist.

        Raises:
            ResultsWriteError: one of them could not be written.
        """
        with translate_os_errors(self._folder, ResultsWriteError):
            return self._close()

    def _close(self) -> list[Path]:
        files = [self._folder / "results.csv"]
        _replace(files[0], self._table())
        rejected = self._rejected()
        target = self._folder / "rejected.csv"
        if rejected:
            _replace(target, _csv((*self._manifest.columns, ERROR_COLUMN), rejected))
            files.append(target)
        else:
            target.unlink(missing_ok=True)
        return files

    def _table(self) -> str:
        rows = []
        for row in self._manifest.rows:
            result = self._results.get(row.key)
            added = _result_cells(result) if result else {"status": "queued"}
            rows.append({**row.cells, "key": row.key, **added})
        columns = dict.fromkeys((*self._manifest.columns, "key", *_RESULT_COLUMNS))
        return _csv(tuple(columns), rows)

    def _rejected(self) -> list[dict[str, str]]:
        invalid = [
            {**problem.cells, ERROR_COLUMN: _spreadsheet_safe(str(problem))} for problem in self._manifest.problems
        ]
        failed = [
            {**result.row.cells, ERROR_COLUMN: _spreadsheet_safe(result.error)}
            for result in self._results.values()
            if result.can_be_edited_and_rerun
        ]
        return invalid + failed


def _result_cells(result: RowResult) -> dict[str, str]:
    return {
        "status": result.status,
        "path": _spreadsheet_safe(" ".join(result.paths)),
        "credits": "" if result.credits is None else f"{result.credits:g}",
        ERROR_COLUMN: _spreadsheet_safe(result.error),
        "task_id": result.task_id or "",
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


def _drop_torn_line(path: Path) -> None:
    """Remove a last line that a crash left incomplete."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _replace(path: Path, text: str) -> None:
    """Write *text* to *path* completely or not at all, with the byte order mark by which spreadsheets detect UTF-8."""
    write_atomically(path, text.encode("utf-8-sig"))
