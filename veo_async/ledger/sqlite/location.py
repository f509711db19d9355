"""Decides where a ledger's file may be: a regular file in an existing folder on a local disk.

The locks of SQLite and our session locks are kept by the local kernel. On a network file system another machine keeps
them, and not reliably: sooner or later two sessions would both believe that they own a job, and pay for it twice.
"""

import os
import re
from pathlib import Path, PurePath

from veo_async.errors import LedgerIOError, LedgerUnusable

_MOUNTS = Path("/proc/self/mountinfo")
_WINDOWS_SHARE = re.compile(r"\\\\([^?.]|\?\\UNC\\)", re.IGNORECASE)

#: File systems on which another machine, or a user program, keeps the files and therefore the locks.
NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fhgfs",
        "fuse",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "prl_fs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    }
)


def resolve_location(path: Path, *, allow_network_fs: bool) -> Path:
    """Return *path* with links resolved, so that two names of one ledger lead to the same locks.

    The file need not exist yet, but its folder must.

    Raises:
        LedgerUnusable: *path* is not a regular file, or is on a network file system.
        LedgerIOError: its folder does not exist.
    """
    resolved = Path(os.path.realpath(path))
    if path.is_symlink() and not resolved.exists():
        raise LedgerUnusable(
            f"{path} is a link to {resolved}, which does not exist. Fix the link or use the file's real path."
        )
    if resolved.is_dir():
        raise LedgerUnusable(f"{path} is a folder. Use a file inside it, e.g. {path / 'ledger.db'}.")
    if resolved.exists() and not resolved.is_file():
        raise LedgerUnusable(f"{path} is not a regular file.")
    if not resolved.parent.is_dir():
        raise LedgerIOError(f"Folder {resolved.parent} does not exist. Create or mount it first.")
    kind = "cifs" if is_windows_share(resolved) else file_system_of(resolved.parent, mounts())
    if not allow_network_fs and is_network(kind):
        raise LedgerUnusable(
            f"{path} is on a network file system ({kind}), where file locks are unreliable and you could be charged "
            "twice. Keep the ledger on a local disk, or pass allow_network_fs=True if only one process opens it."
        )
    return resolved


def is_windows_share(path: PurePath) -> bool:
    """Whether *path* names another machine, as ``\\\\server\\share`` does. ``realpath`` resolves mapped letters."""
    return _WINDOWS_SHARE.match(path.drive) is not None


def database_uri(path: PurePath) -> str:
    """Return *path* as SQLite accepts it, which knows no host names in URIs."""
    uri = path.as_uri()
    return uri if uri.startswith("file:///") else uri.replace("file://", "file:////", 1)


def is_network(kind: str) -> bool:
    """Whether *kind* is a file system on which file locks are unreliable."""
    return kind in NETWORK_FILE_SYSTEMS or kind.startswith("fuse.")


def mounts() -> str:
    """Return the kernel's list of mounts; empty on systems without one, where only Windows shares are recognized."""
    try:
        return _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def file_system_of(folder: Path, mountinfo: str) -> str:
    """Return the type of the file system that contains *folder*, according to *mountinfo* (see ``proc(5)``).

    If two file systems are mounted at the same place, the later one counts.
    """
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind
