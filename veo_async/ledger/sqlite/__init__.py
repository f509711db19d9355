"""A ledger in one SQLite file, shared by all processes of a machine."""
