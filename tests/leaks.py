"""What a test may not leave behind, for fixtures that compare before and after."""

import gc
import os
import threading
import time
from pathlib import Path

import attrs

_FOLDER = Path("/proc/self/fd")
#: Threads that a library keeps for later work.
_POOLS = ("asyncio_", "uvloop_")


@attrs.frozen
class Leaks:
    """The threads and open files before a test."""

    threads: frozenset[threading.Thread]
    files: int

    @classmethod
    def before(cls) -> "Leaks":
        """Begin. The collection after the test skips what existed before it, e.g. all modules."""
        gc.freeze()
        return cls(frozenset(threading.enumerate()), _open_files())

    def check(self) -> None:
        """Fail if the test left a thread or an open file."""
        gc.collect()
        left = {thread for thread in set(threading.enumerate()) - self.threads if not thread.name.startswith(_POOLS)}
        assert not left, f"threads left behind: {left}"
        self._wait_for_files()
        assert _open_files() <= self.files, "a socket or file was left open"

    def _wait_for_files(self) -> None:
        """Collect everything, and wait a moment for threads whose caller was cancelled: each closes its own file."""
        if _open_files() > self.files:
            gc.unfreeze()  # an object from before the test may refer to one of the test
            gc.collect()
        for _ in range(200):
            if _open_files() <= self.files:
                break
            time.sleep(0.01)


def _open_files() -> int:
    """Count the open files and sockets, except for a spare descriptor that libuv keeps."""
    if not _FOLDER.is_dir():
        return 0
    return sum(os.path.realpath(link) != os.devnull for link in _FOLDER.iterdir())
