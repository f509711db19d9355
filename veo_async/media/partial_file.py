"""The partial file: everything that arrived, until it is whole.

``.<name>.<random>.part`` lies in the target folder, so that giving it its final name is one atomic step, and a small
``….part.json`` beside it says of which clip and which version of it these bytes are. A later run that finds the two
goes on with them, in this process or another: a part in use is locked, and the lock ends with its owner.

Every method blocks and is meant for `blocking`. A thread cannot be cancelled, so a write may still be running, or not
have begun, when its part is closed; the lock inside makes sure that it never touches a descriptor that is gone.
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

from veo_async._base.atomic_write import write_all

from . import files
from .mp4 import check_complete
from .responses import ResumeInfo

CHUNK_BYTES = 256 * 1024
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_LONGEST_NAME = 160


@attrs.define(eq=False)
class PartialFile:
    """Bytes on their way to becoming *target*, a name in *folder*."""

    folder: Path
    target: str
    #: Whose bytes these are: a part of another clip is never continued.
    owner: str
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
        """Whether as many bytes are there as the whole file has."""
        return self.size > 0 and self.size == self.resume_info.total

    @property
    def _sidecar(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def open(self) -> None:
        """Go on with what an earlier run left, or begin a new file."""
        with self._lock:
            if self._is_closed or self._descriptor is not None:
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            if not any(self._adopt(path) for path in find_partial_files(self.folder, self.target)):
                self._begin()

    def _begin(self) -> None:
        self.path = self.folder / f".{_short_name(self.target)}.{secrets.token_hex(4)}.part"
        self._descriptor = files.create(self.path)
        files.try_lock(self._descriptor)

    def _adopt(self, path: Path) -> bool:
        descriptor = files.open_regular(path, to_write=True)
        if descriptor is None:
            return False
        if files.try_lock(descriptor) and files.is_same_file(path, descriptor):
            about = files.read_json(path.with_name(f"{path.name}.json")) or {}
            if about.get("owner") == self.owner:
                self.path, self._descriptor = path, descriptor
                self._reload(about)
                return True
        os.close(descriptor)
        return False

    def _reload(self, about: dict[str, Any]) -> None:
        """Read what is there, for its hash; but only if all of it has surely reached the disk."""
        size = os.fstat(self._file()).st_size
        resume_info = read_resume_info(about)
        is_sure = about.get("synced") == size or about.get("boot") == _boot_id()
        if resume_info is None or not is_sure or (resume_info.total is not None and size > resume_info.total):
            self._truncate(0)
            return
        self.resume_info, self.size = resume_info, size
        with open(os.dup(self._file()), "rb") as file:
            file.seek(0)
            while piece := file.read(4 * CHUNK_BYTES):
                self._digest.update(piece)

    def start_at(self, start: int, resume_info: ResumeInfo) -> None:
        """The next bytes belong at *start*, which is our end or the beginning; remember what ties them."""
        with self._lock:
            if self._is_closed:
                return
            if start != self.size:
                self._truncate(0)
            os.ftruncate(self._file(), self.size)
            self.resume_info = resume_info
            self._write_sidecar(synced=None)

    def append(self, data: bytes | bytearray) -> None:
        """Add *data*, all of it or nothing, so that it can be tried again when the disk was full."""
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
        """Throw the bytes away; the next ones are the first."""
        with self._lock:
            if not self._is_closed:
                self._truncate(0)
                self.resume_info = ResumeInfo()

    def check(self) -> None:
        """Raise `IncompleteVideo` unless this is a complete MP4; make it last if it is."""
        with self._lock:
            with open(os.dup(self._file()), "rb") as file:
                check_complete(file)
            self._flush()

    def rename_to(self, target: Path) -> None:
        """Take the final name. From here on the file is no part any more."""
        with self._lock:
            if os.name == "nt":  # pragma: no cover  # Windows renames no open file
                self._close_descriptor()
            os.replace(self.path, target)
            with contextlib.suppress(OSError):
                self._sidecar.unlink()
            self._is_closed = True
            self._close_descriptor()
            self._remove_others()

    def close(self) -> None:
        """Keep what is worth keeping for a later run, and let go of it."""
        with self._lock:
            self._is_closed = True
            if self._descriptor is None:
                return
            try:
                with contextlib.suppress(OSError):  # then a later run begins again; there is nothing to tell
                    if self.size:
                        self._flush()
                        self._write_sidecar(synced=self.size)
                with contextlib.suppress(OSError):
                    if not self.size:
                        self._remove()
            finally:
                self._close_descriptor()

    def discard(self) -> None:
        """Remove it: nobody needs these bytes."""
        with self._lock:
            self._is_closed = True
            with contextlib.suppress(OSError):
                self._remove()
            self._close_descriptor()

    def _remove(self) -> None:
        if self._descriptor is not None and files.is_same_file(self.path, self._descriptor):
            self._sidecar.unlink(missing_ok=True)
            self.path.unlink()

    def _remove_others(self) -> None:
        """Other parts of this clip, left by runs that were killed, have no purpose any more."""
        for path in find_partial_files(self.folder, self.target):
            other = PartialFile(self.folder, self.target, self.owner)
            with contextlib.suppress(OSError):
                if other._adopt(path):
                    other.discard()

    def _write_sidecar(self, *, synced: int | None) -> None:
        resume_info = attrs.asdict(self.resume_info)
        files.write_json(self._sidecar, {"owner": self.owner, **resume_info, "synced": synced, "boot": _boot_id()})

    def _flush(self) -> None:
        """Make the bytes last; if that fails, they are worth nothing.

        The system may forget what it could not write and call it written the next time, so trying again proves
        nothing. The only bytes that can still be trusted are those of another download.
        """
        try:
            os.fsync(self._file())
        except OSError:
            with contextlib.suppress(OSError):
                self._sidecar.unlink(missing_ok=True)  # without it no later run goes on with this part
            self._truncate(0)
            self.resume_info = ResumeInfo()
            raise

    def _truncate(self, size: int) -> None:
        os.ftruncate(self._file(), size)
        self.size, self._digest = size, hashlib.sha256()

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _file(self) -> int:
        if self._descriptor is None:
            raise OSError("the partial file is not open")
        return self._descriptor


def find_partial_files(folder: Path, target: str) -> list[Path]:
    """The parts of *target* in *folder*, in use or not."""
    form = re.compile(rf"\.{re.escape(_short_name(target))}\.[0-9a-f]{{8}}\.part")
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if form.fullmatch(entry.name))


def read_resume_info(about: dict[str, Any]) -> ResumeInfo | None:
    """The pin in a sidecar; None when it is not of our making."""
    url, etag, modified, total = (about.get(name) for name in ("url", "etag", "modified", "total"))
    if not isinstance(url, str) or type(total) not in (int, type(None)):
        return None
    if not all(each is None or (isinstance(each, str) and each.isprintable()) for each in (etag, modified)):
        return None
    return ResumeInfo(url=url, etag=etag, modified=modified, total=total)


def _short_name(target: str) -> str:
    """*target*, shortened so that the longer names of its parts still fit into a folder."""
    if len(target.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME:
        return target
    return hashlib.sha256(target.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _boot_id() -> str | None:
    """Which run of the machine this is: what was written in it is there, even if it was never flushed."""
    try:
        return _BOOT.read_text("ascii").strip()
    except (OSError, ValueError):
        return None
