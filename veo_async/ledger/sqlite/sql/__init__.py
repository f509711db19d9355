"""The SQL of the ledger, by name.

``0001_ledger.sql`` and its successors are migrations: forward only, never edited once released, numbered as
``user_version`` is. ``statements.sql`` holds the rest; a statement begins with ``-- name: word``. Everything is read
once, when the room is imported, so that no call ever waits for it.
"""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_MIGRATION = re.compile(r"^(\d{4})_\w+\.sql$")


def _read_statements() -> dict[str, str]:
    _, *parts = _NAME.split(files(__name__).joinpath("statements.sql").read_text("utf-8"))
    return {name: text.strip().removesuffix(";") for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _read_migrations() -> tuple[str, ...]:
    found = sorted((path.name, path) for path in files(__name__).iterdir() if _MIGRATION.match(path.name))
    return tuple(path.read_text("utf-8") for _, path in found)


#: Statements by their names.
SQL = _read_statements()

#: The n-th brings a ledger from version n to n + 1.
MIGRATIONS = _read_migrations()


def statements_of(migration: str) -> list[str]:
    """A migration's statements, one by one; running them as one script would commit before it begins."""
    bare = re.sub(r"--[^\n]*", "", migration)
    return [text.strip() for text in bare.split(";") if text.strip()]
