"""Locks on open files, which end with the process that holds them. Where a system has none, nothing is locked."""

import contextlib

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows has no flock
    fcntl = None  # type: ignore[assignment]


def lock(descriptor: int) -> None:
    """Lock an open file until it is closed; wait for another process that holds the lock."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed. Return False if another process holds the lock, or locks do not work."""
    if fcntl is None:  # pragma: no cover  # Windows
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
