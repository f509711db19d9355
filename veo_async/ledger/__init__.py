"""Durable storage for jobs, so that a new session knows what an earlier one has paid for.

`NullLedger` stores nothing. `MemoryLedger` keeps jobs until the process exits. `SqliteLedger` keeps them in a file that
several processes of one machine can share. All ledgers pass the same test suite and apply the same `rules`.
"""

from os import PathLike
from typing import TYPE_CHECKING, Any

from veo_async._ports import JobPage, JobQuery, JobRow, Ledger, LedgerSession, Transition

from .memory import MemoryLedger
from .null import NullLedger
from .pages import pages

if TYPE_CHECKING:
    from .sqlite.session import SqliteLedger

    #: Makes the type checker compare each ledger, and the session it opens, with the protocol.
    _ALL: tuple[type[Ledger], ...] = (NullLedger, MemoryLedger, SqliteLedger)

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


def __getattr__(name: str) -> Any:
    # SQLite is loaded only when it is used.
    if name == "SqliteLedger":
        from .sqlite.session import SqliteLedger

        return SqliteLedger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
