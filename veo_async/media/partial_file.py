"""The partial file: the bytes of an unfinished download.

``.<name>.<random>.part`` is in the target folder, so that renaming it to its final name is one atomic step. A JSON
sidecar, ``….part.json``, records which clip and which version of it the bytes belong to. A later run that finds both
continues the download, in this process or in another one. A partial file in use is locked, and the lock ends with the
process that holds it.

Every method blocks; call it through `run_blocking`. A thread cannot be cancelled, so a write may still be running, or
may not have started, when its partial file is closed. The lock inside makes sure that such a write never uses a closed
descriptor.
"""

import contextlib
import hashlib
import os
import re
import secrets
import threading
from pathlib import Path
from typing import Any

import attrs

from veo_async._base import file_lock
from veo_async._base.atomic_write import rename_exclusively, write_all

from . import files
from .mp4 import check_complete, video_size
from .responses import ResumeInfo

CHUNK_BYTES = 256 * 1024
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_NAME_BYTES = 160
_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part(?:\.json)?")


@attrs.define(eq=False, repr=False)
class PartialFile:
    """The bytes that will become *target*, a file in *folder*."""

    folder: Path
    target: str
    #: Whose bytes these are: the partial file of another clip is never continued.
    clip_id: str
    path: Path = attrs.field(init=False, default=Path())
    resume_info: ResumeInfo = attrs.field(init=False, factory=ResumeInfo)
    size: int = attrs.field(init=False, default=0)
    _digest: "hashlib._Hash" = attrs.field(init=False, factory=hashlib.sha256)
    _descriptor: int | None = attrs.field(init=False, default=None)
    _is_closed: bool = attrs.field(init=False, default=False)
    _lock: threading.RLock = attrs.field(init=False, factory=threading.RLock)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def is_complete(self) -> bool:
        """Whether the size equals the announced length of the whole file."""
        return self.size > 0 and self.size == self.resume_info.total

    @property
    def _sidecar(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def open(self) -> None:
        """Continue a partial file of an earlier run, or create a new one."""
        with self._lock:
            if self._is_closed or self._descriptor is not None:
                return
            self.folder.mkdir(exist_ok=True)  # not its parents: a missing one is more likely a mistake
            if not any(self._adopt(path) for path in find_partial_files(self.folder, self.target)):
                self._create()

    def _create(self) -> None:
        while self._descriptor is None:
            self.path = self.folder / f".{short_name(self.target)}.{secrets.token_hex(4)}.part"
            descriptor = files.create(self.path)
            if file_lock.lock_new(self.path, descriptor):
                self._descriptor = descriptor
            else:
                os.close(descriptor)

    def _adopt(self, path: Path, *, may_lack_sidecar: bool = False) -> bool:
        descriptor = files.open_regular(path, to_write=True)
        if descriptor is None:
            return False
        if file_lock.lock_if_possible(descriptor) and file_lock.is_named(path, descriptor):
            sidecar = path.with_name(f"{path.name}.json")
            stored = files.read_json(sidecar) or {}
            # Killed before its first byte: a sidecar is written before any.
            is_unused = may_lack_sidecar and not sidecar.exists() and not os.fstat(descriptor).st_size
            if stored.get("clip_id") == self.clip_id or is_unused:
                self.path, self._descriptor = path, descriptor
                self._reload(stored)
                return True
        os.close(descriptor)
        return False

    def _reload(self, stored: dict[str, Any]) -> None:
        """Hash the existing bytes, or drop them unless all of them have certainly reached the disk."""
        size = os.fstat(self._file()).st_size
        resume_info = ResumeInfo.from_json(stored)
        is_on_disk = stored.get("synced") == size or _is_same_boot(stored.get("boot_id"))
        if resume_info is None or not is_on_disk or (resume_info.total is not None and size > resume_info.total):
            self._clear()
            return
        self.resume_info, self.size = resume_info, size
        with open(os.dup(self._file()), "rb") as file:
            file.seek(0)
            while chunk := file.read(4 * CHUNK_BYTES):
                self._digest.update(chunk)

    def start_at(self, start: int, resume_info: ResumeInfo) -> None:
        """Prepare for bytes that belong at *start*, which is the current size or 0, and store *resume_info*."""
        with self._lock:
            if self._is_closed:
                return
            if start != self.size:
                self._clear()
            os.ftruncate(self._file(), self.size)
            self.resume_info = resume_info
            self._write_sidecar(synced=None)

    def append(self, data: bytes | bytearray) -> None:
        """Add all of *data*, or nothing, so that the call can be repeated after the disk was full."""
        with self._lock:
            if self._is_closed:
                return
            descriptor = self._file()
            try:
                os.lseek(descriptor, self.size, os.SEEK_SET)
                write_all(descriptor, data)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, self.size)
                raise
            self._digest.update(data)
            self.size += len(data)

    def restart(self) -> None:
        """Drop all bytes."""
        with self._lock:
            if not self._is_closed:
                self._clear()

    def check(self) -> None:
        """Raise `IncompleteVideo` unless the file is a complete MP4, and flush it to disk."""
        with self._lock:
            with open(os.dup(self._file()), "rb") as file:
                check_complete(file)
            self._flush()

    def video_size(self) -> tuple[int, int] | None:
        """Return the width and height of the video; None if they are not known."""
        with self._lock, open(os.dup(self._file()), "rb") as file:
            return video_size(file)

    def rename_to(self, target: Path, *, mode: int, replace: bool) -> None:
        """Give the file its final name and permissions, and close it.

        Raises:
            FileExistsError: without *replace*, and *target* exists.
        """
        with self._lock:
            os.chmod(self.path, mode)
            descriptor = self._release()
            rename = file_lock.replace if replace else rename_exclusively
            try:
                file_lock.rename_and_close(self.path, target, descriptor, rename=rename)
            except OSError:
                self._reopen()
                raise
            with contextlib.suppress(OSError):
                self._sidecar.unlink()
            self._is_closed = True
            remove_partial_files(self.folder, self.target, self.clip_id)

    def close(self) -> None:
        """Close the file, and keep its bytes for a later run if there are any."""
        with self._lock:
            self._is_closed = True
            if self._descriptor is None:
                return
            try:
                with contextlib.suppress(OSError):  # a later run then starts again
                    if self.size:
                        self._flush()
                        self._write_sidecar(synced=self.size)
                with contextlib.suppress(OSError):
                    if not self.size:
                        self._remove()
            finally:
                self._close_descriptor()

    def discard(self) -> None:
        """Close and delete the file."""
        with self._lock:
            self._is_closed = True
            with contextlib.suppress(OSError):
                self._remove()
            self._close_descriptor()

    def _remove(self) -> None:
        if self._descriptor is not None and file_lock.is_named(self.path, self._descriptor):
            self._sidecar.unlink(missing_ok=True)
            file_lock.remove_and_close(self.path, self._release())

    def _write_sidecar(self, *, synced: int | None) -> None:
        resume_info = attrs.asdict(self.resume_info)
        values = {"clip_id": self.clip_id, **resume_info, "synced": synced, "boot_id": _boot_id()}
        files.write_json(self._sidecar, values)

    def _flush(self) -> None:
        """Flush the file to disk. Drop all bytes if that fails.

        After a failed flush the system may forget the unwritten data and report the next flush as a success. So
        retrying proves nothing, and only newly downloaded bytes can be trusted.
        """
        try:
            os.fsync(self._file())
        except OSError:
            with contextlib.suppress(OSError):
                self._sidecar.unlink(missing_ok=True)  # without it no later run continues this file
            self._clear()
            raise

    def _clear(self) -> None:
        os.ftruncate(self._file(), 0)
        self.size, self._digest, self.resume_info = 0, hashlib.sha256(), ResumeInfo()

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._release())

    def _release(self) -> int:
        """Return the descriptor; the caller closes it."""
        descriptor, self._descriptor = self._file(), None
        return descriptor

    def _reopen(self) -> None:
        """Open the file again after a failed rename, so that the rename can be repeated."""
        descriptor = files.open_regular(self.path, to_write=True)
        if descriptor is not None and file_lock.lock_if_possible(descriptor):
            self._descriptor = descriptor
        elif descriptor is not None:
            os.close(descriptor)  # another process has adopted it

    def _file(self) -> int:
        if self._descriptor is None:
            raise OSError("the partial file is not open")
        return self._descriptor


def find_partial_files(folder: Path, target: str, *, suffix: str = "") -> list[Path]:
    """Return the partial files of *target* in *folder*, in use or not; *suffix* is a pattern for what may follow."""
    pattern = re.compile(rf"\.{re.escape(short_name(target))}\.[0-9a-f]{{8}}\.part{suffix}")
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if pattern.fullmatch(entry.name))


def names_of_partial_files(folder: Path) -> frozenset[str]:
    """Return the `short_name` of each video of which *folder* has a partial file, or the sidecar of one."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [_PARTIAL.fullmatch(entry.name) for entry in entries]
        return frozenset(match[1] for match in found if match is not None)
    return frozenset()


def remove_partial_files(folder: Path, target: str, clip_id: str) -> None:
    """Delete what killed processes left behind: partial files of this clip, empty ones, and sidecars of none."""
    for path in find_partial_files(folder, target, suffix=r"(\.json)?"):
        with contextlib.suppress(OSError):
            if path.suffix == ".part":
                _remove_if_left(path, PartialFile(folder, target, clip_id))
            elif not path.with_suffix("").exists():  # killed between renaming the video and removing this
                path.unlink()


def _remove_if_left(path: Path, partial: PartialFile) -> None:
    if partial._adopt(path, may_lack_sidecar=True):
        partial.discard()


def short_name(target: str) -> str:
    """Return *target*, or a hash of it if it is not ASCII or so long that partial files could exceed 255 bytes.

    Some file systems list letters with accents in another normal form than the one that was written.
    """
    data = target.encode("utf-8", "surrogateescape")
    is_kept = target.isascii() and len(data) <= _MAX_NAME_BYTES
    return target if is_kept else hashlib.sha256(data).hexdigest()[:32]


def _is_same_boot(boot_id: object) -> bool:
    """Whether the system has run since *boot_id* was read. Data written since then is readable even if not flushed."""
    return boot_id is not None and boot_id == _boot_id()


def _boot_id() -> str | None:
    """Return an id of the current system start, or None on systems that have none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return None
