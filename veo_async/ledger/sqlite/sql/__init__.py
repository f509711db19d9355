"""The ledger's SQL, by name.

``0001_ledger.sql`` and the files after it are migrations: forward only, never edited once released, numbered like
``user_version``. ``statements.sql`` holds all other statements; each begins with ``-- name: word``. All files are read
when this package is imported, so that no ledger call has to read them.
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


#: The statements, by name.
SQL = _read_statements()

#: The n-th migration updates a ledger from schema version n to n + 1.
MIGRATIONS = _read_migrations()


def statements_of(migration: str) -> list[str]:
    """Split a migration into statements; ``executescript`` would commit the transaction first."""
    bare = re.sub(r"--[^\n]*", "", migration)
    return [text.strip() for text in bare.split(";") if text.strip()]
