"""``results.jsonl``: a line for each finished job, in the order in which they finish.

Several processes may run one list in one folder, and each of them follows every row. So a process appends while it
holds a lock on the file, and only what none of them has written: a line is left out if the last line of its key says
the same. A line is on the disk before the caller is notified. Everything here blocks.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from veo_async._base.atomic_write import write_all
from veo_async._base.file_lock import lock

_CHUNK_BYTES = 1 << 20


@attrs.define(eq=False)
class ResultLog:
    """The lines in *path*, written by this process and by others."""

    path: Path
    #: How much of the file was read.
    _offset: int = attrs.field(default=0, init=False)
    #: A digest of the last line of each key.
    _last: dict[str, bytes] = attrs.field(factory=dict, init=False)

    def open(self) -> None:
        """Read the lines that exist, and remove a last line that a crash left incomplete.

        Raises:
            OSError: the file cannot be read or written.
        """
        if self.path.exists():
            with self._locked() as descriptor:
                self._read_new(descriptor)

    def append(self, values: Mapping[str, Any]) -> None:
        """Append *values* as a line, unless the last line of its key says the same.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        with self._locked() as descriptor:
            self._read_new(descriptor)
            if self._last.get(values["key"]) == _digest(values):
                return
            line = (json.dumps(values, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
            write_all(descriptor, line)
            os.fsync(descriptor)
            self._offset += len(line)
            self._last[values["key"]] = _digest(values)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with suppress(OSError):  # some network file systems have no locks
                lock(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _read_new(self, descriptor: int) -> None:
        """Read the lines that were added since the last read, by whomever."""
        if os.fstat(descriptor).st_size < self._offset:  # it was replaced or emptied
            self._offset, self._last = 0, {}
        os.lseek(descriptor, self._offset, os.SEEK_SET)
        pending = b""
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._note(line)
                self._offset += len(line) + 1
        if pending:
            os.ftruncate(descriptor, self._offset)

    def _note(self, line: bytes) -> None:
        try:
            values = json.loads(line)
        except ValueError:
            return  # a line that is not ours
        if isinstance(values, dict) and "key" in values:
            self._last[str(values["key"])] = _digest(values)


def _digest(values: Mapping[str, Any]) -> bytes:
    """Return a digest of a line without its line number, which differs between a list and its ``rejected.csv``."""
    same = {name: value for name, value in values.items() if name != "line"}
    return hashlib.blake2b(json.dumps(same, sort_keys=True).encode(), digest_size=16).digest()
