"""Where a ledger's file may lie: a plain file in a folder that is there, on a disk of this machine.

SQLite's locks and ours are promises of the kernel. Over a network they are promises of somebody else's server, which
are broken often enough that two sessions would one day both believe a job to be theirs, and pay twice.
"""

import os
import re
from pathlib import Path

from veo_async.errors import LedgerIOError, LedgerUnusable

_MOUNTS = Path("/proc/self/mountinfo")

#: File systems whose files, and so whose locks, are kept by another machine or by a program.
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
    """The true path, links followed, so that two names of one ledger find the same locks; errors if it cannot be there.

    A file that is not there yet is no error, the folder for it must be.
    """
    resolved = Path(os.path.realpath(path))
    if path.is_symlink() and not resolved.exists():
        raise LedgerUnusable(
            f"{path} is a link to {resolved}, and nothing is there. Mend the link or name the file itself."
        )
    if resolved.is_dir():
        raise LedgerUnusable(f"{path} is a folder. Name a file in it, such as {path / 'ledger.db'}.")
    if resolved.exists() and not resolved.is_file():
        raise LedgerUnusable(f"{path} is no plain file. A ledger is one.")
    if not resolved.parent.is_dir():
        raise LedgerIOError(f"There is no folder {resolved.parent} to keep a ledger in. Make it first, or mount it.")
    kind = file_system_of(resolved.parent, mounts())
    if not allow_network_fs and is_network(kind):
        raise LedgerUnusable(
            f"{path} is on a network file system ({kind}), where locks do not hold and a clip could be paid for "
            "twice. Keep the ledger on a local disk, or say allow_network_fs=True if only one process opens it."
        )
    return resolved


def is_network(kind: str) -> bool:
    """Are locks there another's promise?"""
    return kind in NETWORK_FILE_SYSTEMS or kind.startswith("fuse.")


def mounts() -> str:
    """The kernel's list of what is mounted where; empty on systems that have none to read, which are trusted."""
    try:
        return _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def file_system_of(folder: Path, mountinfo: str) -> str:
    """The kind of file system that *folder* lies on, as in ``proc(5)``; of two mounts at one place the later counts."""
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
