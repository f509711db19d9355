"""A ledger in one SQLite file that all processes of a machine can share."""
