"""The mark of a ledger: a small file next to it that shows whether the ledger was restored from a backup or copied.

It is ``LEDGER.d/mark``, in the folder of the session locks, and is not part of a backup. It says

- which ledger and which *home* it belongs to (see `home`);
- how many creating requests the sessions on this ledger were permitted to send;
- which file it is itself, so that a copy of the mark can be recognised.

**When it is written.** After the COMMIT that records a permit, and before the permit is handed out. So every request
that was sent is in the mark. Before the COMMIT would be wrong: a process killed in between would leave an honest ledger
behind its mark. A mark behind its ledger is harmless, because the missing permits were never used; the next permit
corrects it.

**What is counted** are rows of ``sent_call``, by SQLite's AUTOINCREMENT counter, which also counts deleted rows: one
per permit. So a difference is a number of requests. The numbers of transitions would not do: abandoning a job on a
restored ledger adds a transition, and would bring the ledger closer to its mark.

**How it is written.** In place, because a renamed file would be a new one. Two slots are written in turn, each with a
checksum, so that a torn write leaves the write before it. A file lock keeps several sessions apart.

**How a copy is recognised.** The mark contains its own inode number and, where the file system has one, the inode's
generation. The number alone is not enough: ext4 gives the number of a deleted file to the next new one, which is the
case when both parts are deleted and restored. Time stamps would not do: backup programs restore them, and
``chown -R`` changes them. A snapshot of a whole file system or machine cannot be recognised.
"""

import hashlib
import json
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from veo_async._base import file_lock
from veo_async._base.atomic_write import flush_folder, write_all
from veo_async._base.kill_points import kill_point
from veo_async.errors import LedgerBusy, LedgerIOError

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows, whose inode numbers contain the generation
    fcntl = None  # type: ignore[assignment]

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
#: Far enough apart that no disk writes both at once.
SLOT_BYTES = 4096
#: ``FS_IOC_GETVERSION`` of Linux on 64-bit machines.
_GET_GENERATION = 0x80087601
#: How long to wait for another session, which holds the lock only while it writes.
_LOCK_TIMEOUT_S = 30.0
_LOCK_AGAIN_S = 0.002


@attrs.frozen(kw_only=True)
class Mark:
    """What the mark says."""

    ledger_id: str
    #: None if this file is a copy of the mark.
    home_id: str | None
    #: How many creating requests were permitted.
    sent: int
    #: The number of the write.
    number: int = 0


@attrs.frozen
class MarkFile:
    """The mark in one folder, which must exist."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "mark"

    def read(self) -> Mark | None:
        """Return the mark; None if there is none, or none that can be read."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._error("read", exc) from exc
        try:
            return _read(descriptor)
        except OSError as exc:
            raise self._error("read", exc) from exc
        finally:
            os.close(descriptor)

    @contextmanager
    def open_for_update(self) -> Iterator["LockedMark"]:
        """Open and lock the mark, which is created if it does not exist.

        Raises:
            LedgerError: it cannot be opened or written.
        """
        try:
            descriptor = self._open_locked()
        except OSError as exc:
            raise self._error("written", exc) from exc
        try:
            yield LockedMark(descriptor, self)
        finally:
            file_lock.unlock(descriptor)  # explicitly, because a forked child may have a copy of the descriptor
            os.close(descriptor)

    def _open_locked(self) -> int:
        while True:
            is_new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                self._lock(descriptor)
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.stat(self.path), os.fstat(descriptor)):
                        if is_new:
                            flush_folder(self.folder)
                            flush_folder(self.folder.parent)
                        return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # it was removed before we locked it

    def _lock(self, descriptor: int) -> None:
        for _ in range(round(_LOCK_TIMEOUT_S / _LOCK_AGAIN_S)):
            if file_lock.try_lock(descriptor):
                return
            time.sleep(_LOCK_AGAIN_S)
        raise LedgerBusy(f"{self.path} is locked by another program.")

    def _error(self, verb: str, exc: OSError) -> LedgerIOError:
        return LedgerIOError(
            f"The mark {self.path} cannot be {verb}: {exc.strerror}.",
            remedy="Free disk space or make the file writable; nothing is sent without it.",
        )


@attrs.frozen
class LockedMark:
    """The mark while this session holds its lock."""

    _descriptor: int
    _file: MarkFile

    def read(self) -> Mark | None:
        """Return what the mark says."""
        return _read(self._descriptor)

    def write(self, ledger_id: str, home_id: str, sent: int) -> None:
        """Write the mark; it is synced when this returns.

        Raises:
            LedgerIOError: the disk failed.
        """
        try:
            current = _read(self._descriptor)
            number = 1 if current is None else current.number + 1
            file_id = _file_id(self._descriptor)
            values = {"ledger_id": ledger_id, "home_id": home_id, "sent": sent, "number": number, "file_id": file_id}
            kill_point("mark:before-write")
            os.lseek(self._descriptor, number % 2 * SLOT_BYTES, os.SEEK_SET)
            write_all(self._descriptor, _to_slot(values))
            os.fsync(self._descriptor)
            kill_point("mark:after-write")
        except OSError as exc:
            raise self._file._error("written", exc) from exc  # the same module


def _read(descriptor: int) -> Mark | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    content = os.read(descriptor, 2 * SLOT_BYTES)
    slots = (_from_slot(content[start : start + SLOT_BYTES]) for start in (0, SLOT_BYTES))
    newest = max((values for values in slots if values), key=lambda values: int(values["number"]), default=None)
    if newest is None:
        return None
    is_copy = newest.pop("file_id") != _file_id(descriptor)
    mark = Mark(**newest)
    return attrs.evolve(mark, home_id=None) if is_copy else mark


def _to_slot(values: dict[str, Any]) -> bytes:
    text = json.dumps(values).encode()
    return (hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n").ljust(SLOT_BYTES)


def _from_slot(slot: bytes) -> dict[str, Any]:
    """Return the values in *slot*; none if it was not written completely."""
    checksum, _, text = slot.rstrip().partition(b" ")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        return {}
    values: dict[str, Any] = json.loads(text)
    return values


def _file_id(descriptor: int) -> str:
    """Return what identifies a file on its file system, and never another one."""
    return f"{os.fstat(descriptor).st_ino}:{_generation(descriptor)}"


def _generation(descriptor: int) -> int:
    buffer = bytearray(8)
    if fcntl is None:  # pragma: no cover  # Windows
        return 0
    try:
        fcntl.ioctl(descriptor, _GET_GENERATION, buffer)
    except OSError:  # e.g. tmpfs, which does not reuse numbers, and systems without this call
        return 0
    return int(struct.unpack("q", buffer)[0])
