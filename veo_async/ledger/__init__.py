"""Where jobs live, so that a session that is killed can be followed by one that knows what was paid for.

`NullLedger` keeps nothing, `MemoryLedger` keeps all of it as long as the process lives, `SqliteLedger` keeps it in a file
that several processes of one machine may use at once. All of them pass one suite, and what they decide is decided in
one place, `terms`.
"""

from os import PathLike
from typing import TYPE_CHECKING, Any

from veo_async._ports import Ledger

from .memory import MemoryLedger
from .null import NullLedger

if TYPE_CHECKING:
    from .sqlite.session import SqliteLedger

    #: Here the type checker compares each of them, and the books they open, with what is promised.
    _ALL: tuple[type[Ledger], ...] = (NullLedger, MemoryLedger, SqliteLedger)

__all__ = ["MemoryLedger", "NullLedger", "SqliteLedger", "as_ledger"]


def as_ledger(ledger: Ledger | str | PathLike[str] | None) -> Ledger:
    """The ledger at *ledger*: a path is a SQLite file, None is none."""
    if ledger is None:
        return NullLedger()
    if isinstance(ledger, str | PathLike):
        from .sqlite.session import SqliteLedger

        return SqliteLedger(ledger)
    return ledger


def __getattr__(name: str) -> Any:
    # Whoever keeps no file need not load SQLite.
    if name == "SqliteLedger":
        from .sqlite.session import SqliteLedger

        return SqliteLedger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
