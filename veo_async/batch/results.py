"""What became of a list, written beside its clips as it comes.

``results.jsonl`` has a line for each job that has ended, in the order in which they did, on the disk before anybody is
told. ``results.csv`` is the list itself with what became of each line; ``rejected.csv`` holds the lines that were not
made and cost nothing, with the reason, ready to be edited and fed again. Both are written whole or not at all.
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
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done, Failed, InDoubt, Outcome, Refused
from veo_async.errors import ResultsWriteError, UsageError, VeoError, printable

from .manifest import Manifest
from .rows import Row

#: Spreadsheets take cells that begin so for formulas.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_RESULT_COLUMNS = ("status", "path", "credits", "error", "task_id")


@attrs.frozen(kw_only=True)
class RowResult:
    """What became of one row."""

    row: Row
    status: str
    task_id: str | None = None
    paths: tuple[str, ...] = ()
    credits: float | None = None
    error: str = ""

    @property
    def can_be_edited_and_rerun(self) -> bool:
        """It was not made and cost nothing: a changed row may be fed again."""
        return self.status in ("refused", "failed") and self.credits is None


def result_of(row: Row, outcome: Outcome, *, state: str, task_id: str | None, credits: float | None) -> RowResult:
    """*outcome* as a line of the results.

    Args:
        state: the job's; a clip that was made and could not be saved is ``ready``, whatever stood in the way.
        credits: what it cost; None when it cost nothing.
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


def result_as_dict(line: RowResult) -> dict[str, Any]:
    """*line* as plain values; what is not known is left out."""
    told = attrs.asdict(line, filter=lambda field, value: field.name != "row" and value not in (None, "", ()))
    return {"key": line.row.key, "line": line.row.line, **told}


def make_folder(folder: Path) -> None:
    """Make *folder* if need be.

    Raises:
        UsageError: it cannot be made.
    """
    with translate_os_errors(folder, UsageError, "; name a folder that can be written"):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def translate_os_errors(folder: Path, error: type[VeoError], remedy: str = "") -> Iterator[None]:
    """Whatever the disk says, in words of ours."""
    try:
        yield
    except OSError as exc:
        raise error(f"{folder}: {exc.strerror or exc}{remedy}") from None


class Results:
    """The three files of one list; everything here blocks.

    Raises:
        UsageError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        self._lines: dict[str, RowResult] = {}
        make_folder(folder)
        with translate_os_errors(folder, UsageError, "; name a folder that can be written"):
            _drop_torn_line(folder / "results.jsonl")
            _replace(folder / "results.csv", self._table())  # what cannot be written is better known now

    def add(self, line: RowResult) -> None:
        """Write *line* down; it is on the disk when this returns.

        Raises:
            ResultsWriteError: it is not; the job itself is as the ledger says.
        """
        self._lines[line.row.key] = line
        with translate_os_errors(self._folder, ResultsWriteError):
            self._append(json.dumps(result_as_dict(line), ensure_ascii=False) + "\n")

    def _append(self, text: str) -> None:
        descriptor = os.open(self._folder / "results.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> list[Path]:
        """Write both tables; which files there are.

        Raises:
            ResultsWriteError: they are not.
        """
        with translate_os_errors(self._folder, ResultsWriteError):
            return self._close()

    def _close(self) -> list[Path]:
        files = [self._folder / "results.csv"]
        _replace(files[0], self._table())
        rejected = self._rejected()
        target = self._folder / "rejected.csv"
        if rejected:
            _replace(target, _csv((*self._manifest.columns, "why"), rejected))
            files.append(target)
        else:
            target.unlink(missing_ok=True)
        return files

    def _table(self) -> str:
        rows = []
        for row in self._manifest.rows:
            line = self._lines.get(row.key)
            added = _result_cells(line) if line else {"status": "queued"}
            rows.append({**row.cells, "key": row.key, **added})
        columns = dict.fromkeys((*self._manifest.columns, "key", *_RESULT_COLUMNS))
        return _csv(tuple(columns), rows)

    def _rejected(self) -> list[dict[str, str]]:
        broken = [{**fault.cells, "why": _spreadsheet_safe(str(fault))} for fault in self._manifest.problems]
        refused = [
            {**line.row.cells, "why": _spreadsheet_safe(line.error)}
            for line in self._lines.values()
            if line.can_be_edited_and_rerun
        ]
        return broken + refused


def _result_cells(line: RowResult) -> dict[str, str]:
    return {
        "status": line.status,
        "path": _spreadsheet_safe(" ".join(line.paths)),
        "credits": "" if line.credits is None else f"{line.credits:g}",
        "error": _spreadsheet_safe(line.error),
        "task_id": line.task_id or "",
    }


def _spreadsheet_safe(text: str) -> str:
    """*text* for a spreadsheet: no formula, no control characters."""
    shown = printable(text, 2000)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, columns, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a crash has torn."""
    written = path.read_bytes() if path.exists() else b""
    if written and not written.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(written.rfind(b"\n") + 1)


def _replace(path: Path, text: str) -> None:
    """*text* under *path*, whole or not at all; with a byte order mark, by which spreadsheets know UTF-8."""
    write_atomically(path, text.encode("utf-8-sig"))
