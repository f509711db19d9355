"""What becomes of open books when the process forks: the child must not touch them.

A forked child has the parent's connection, in the middle of whatever it was doing, and a copy of the parent's lock,
which would make a parent that died look alive. So in the child each open book lets go of the lock, and says no to
everything. The parent notices nothing.
"""

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something of the parent's that a child has inherited."""

    def detach_after_fork(self) -> None:
        """We are in the child now; must neither wait nor take a lock."""
        ...


_open: "WeakSet[Forkable]" = WeakSet()


def register(book: Forkable) -> None:
    """Tell *book* when it wakes up in a child."""
    _open.add(book)


def unregister(book: Forkable) -> None:
    """It was closed and has nothing left to disown."""
    _open.discard(book)


def _after_fork() -> None:
    for book in list(_open):
        book.detach_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
