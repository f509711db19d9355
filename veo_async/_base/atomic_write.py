"""Replace a file's contents so that a crash leaves the old contents or the new ones, never a mixture.

Everything here blocks; call it through `run_blocking`.
"""

import contextlib
import errno
import os
import secrets
from pathlib import Path

from .file_lock import replace

#: Never follow a symbolic link at the temporary name; never pass the descriptor to a child process.
_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666, sync_folder: bool = True) -> None:
    """Write *data* to *path*: all of it or none of it, and on disk when this returns.

    The data goes to a temporary file in the same folder, which then replaces *path*. If *path* is a symbolic link, the
    link is replaced. On an error the temporary file is removed and *path* keeps its old contents.

    Args:
        mode: the permissions of the new file, before the umask.
        sync_folder: pass False if the caller flushes the folder itself later.

    Raises:
        OSError: the folder is missing, full or not writable. If only flushing the folder failed, *path* has its new
            contents, but may lose them in a power failure.
    """
    # The temporary name does not contain the target's: together they could exceed the limit of 255 bytes.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, _FLAGS, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if sync_folder:
        flush_folder(path.parent)


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
