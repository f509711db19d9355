"""Detaches open ledger sessions in a forked child, which must not use them.

A forked child inherits the parent's connection, possibly in the middle of a transaction, and a copy of the parent's
lock, which would make a dead parent look alive. So in the child every open session gives up the lock and rejects all
further calls. The parent is not affected.
"""

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """An object that a forked child inherits from its parent."""

    def detach_after_fork(self) -> None:
        """Give up what belongs to the parent. Runs in the child, and must neither block nor take a lock."""
        ...


_open: "WeakSet[Forkable]" = WeakSet()


def register(session: Forkable) -> None:
    """Have *session* detached in every child that is forked from now on."""
    _open.add(session)


def unregister(session: Forkable) -> None:
    """Stop tracking *session*, which has closed."""
    _open.discard(session)


def _after_fork() -> None:
    for session in list(_open):
        session.detach_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
