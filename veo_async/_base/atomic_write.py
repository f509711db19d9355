"""Replace a file's contents so that a crash leaves the old contents or the new ones, never a mixture.

Everything here blocks; call it through `run_blocking`.
"""

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path

from . import file_lock

#: Never follow a symbolic link at the temporary name; never pass the descriptor to a child process.
_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

#: The names of our temporary files.
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
#: What file systems without hard links answer to `os.link`: FAT, exFAT, some network file systems.
_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})


def write_atomically(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o666,
    exact_mode: int | None = None,
    replace: bool = True,
    sync_folder: bool = True,
) -> None:
    """Write *data* to *path*: all of it or none of it, and on disk when this returns.

    The data goes to a temporary file in the same folder, which then replaces *path*. If *path* is a symbolic link, the
    link is replaced. On an error the temporary file is removed and *path* keeps its old contents.

    Args:
        mode: the permissions of the new file, before the umask.
        exact_mode: its permissions, whatever the umask.
        replace: False raises `FileExistsError` if *path* exists.
        sync_folder: pass False if the caller flushes the folder itself later.

    Raises:
        OSError: the folder is missing, full or not writable. If only flushing the folder failed, *path* has its new
            contents, but may lose them in a power failure.
    """
    temporary, descriptor = _create_temporary(path.parent, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
            if exact_mode is not None:
                os.chmod(temporary, exact_mode)
        except BaseException:
            os.close(descriptor)
            raise
        rename = file_lock.replace if replace else rename_exclusively
        file_lock.rename_and_close(temporary, path, descriptor, rename=rename)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if sync_folder:
        flush_folder(path.parent)


def _create_temporary(folder: Path, mode: int) -> tuple[Path, int]:
    """Create a temporary file and lock it; `remove_abandoned` of another process leaves it alone from then on."""
    while True:
        # The temporary name does not contain the target's: together they could exceed the limit of 255 bytes.
        temporary = folder / f".{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, _FLAGS, mode)
        if file_lock.lock_new(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)


def remove_abandoned(folder: Path) -> None:
    """Remove temporary files that killed processes have left in *folder*; those that are being written stay."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name):
                _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
        if file_lock.lock_if_possible(descriptor) and file_lock.is_named(path, descriptor):
            file_lock.remove_and_close(path, descriptor)
        else:
            os.close(descriptor)


def rename_exclusively(source: Path, target: Path) -> None:
    """Rename *source* to *target*, which must not exist; what appears there in the meantime is not replaced.

    Raises:
        FileExistsError: *target* exists; *source* keeps its name.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # The empty file reserves the name. Only a crash between these two lines leaves it behind.
        os.close(os.open(target, _FLAGS, 0o600))
        file_lock.replace(source, target)
    else:
        with contextlib.suppress(OSError):  # the file has its name, and a second one does no harm
            os.unlink(source)


def flush_folder(folder: Path) -> None:
    """Flush the names in *folder* to disk, where the system supports it."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open folders; its file systems log changes of names
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write all of *data*; the system may accept it in pieces."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
