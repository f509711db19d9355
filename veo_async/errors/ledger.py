"""Errors of the ledger."""

from .base import VeoError


class LedgerError(VeoError):
    """The ledger is unavailable. Every request is recorded before it is sent, so nothing was sent."""


class LedgerBusy(LedgerError):
    """Another program held the ledger's lock for longer than the timeout."""

    retryable = True
    remedy = "Close the other program that has the ledger open, then retry."


class LedgerIOError(LedgerError):
    """A write failed: the disk is full or broken, or the file is read-only or missing."""

    retryable = True


class LedgerUnusable(LedgerError):
    """The ledger cannot be opened and was not modified.

    It is corrupt, another program's, from a newer version, or on a file system without reliable locks.
    """
