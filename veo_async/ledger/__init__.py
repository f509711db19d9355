"""Durable storage for jobs, so that a new session knows what an earlier one has paid for.

`NullLedger` stores nothing. `MemoryLedger` keeps jobs until the process exits. `SqliteLedger` keeps them in a file that
several processes of one machine can share. All ledgers pass the same test suite and apply the same `rules`.
"""

from os import PathLike
from typing import TYPE_CHECKING

from veo_async._base.lazy import lazy_names
from veo_async._ports import JobPage, JobQuery, JobRow, Ledger, LedgerSession, Transition

from .null import NullLedger
from .pages import pages

if TYPE_CHECKING:
    from .memory import MemoryLedger
    from .sqlite.session import SqliteLedger

    #: Makes the type checker compare each ledger, and the session it opens, with the protocol.
    _ALL: tuple[type[Ledger], ...] = (NullLedger, MemoryLedger, SqliteLedger)
else:
    # A session needs one ledger at most, and only one of them needs SQLite.
    __getattr__, __dir__ = lazy_names(__name__, {".memory": "MemoryLedger", ".sqlite.session": "SqliteLedger"})

__all__ = [
    "JobPage",
    "JobQuery",
    "JobRow",
    "Ledger",
    "LedgerSession",
    "MemoryLedger",
    "NullLedger",
    "SqliteLedger",
    "Transition",
    "as_ledger",
    "pages",
]


def as_ledger(ledger: Ledger | str | PathLike[str] | None) -> Ledger:
    """Return *ledger* itself, a `SqliteLedger` for a path, or a `NullLedger` for None."""
    if ledger is None:
        return NullLedger()
    if isinstance(ledger, str | PathLike):
        from .sqlite.session import SqliteLedger

        return SqliteLedger(ledger)
    return ledger
