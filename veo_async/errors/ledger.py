"""Errors of the ledger."""

from typing import ClassVar

from .base import VeoError


class LedgerError(VeoError):
    """The ledger is unavailable. Every request is recorded before it is sent, so nothing was sent."""

    summary = "the ledger is unavailable"


class LedgerBusy(LedgerError):
    """Another program held the ledger's lock for longer than the timeout."""

    summary = "another program holds the ledger"
    retryable = True
    remedy = "Close the other program that has the ledger open, then retry."


class LedgerIOError(LedgerError):
    """A write failed: the disk is full or broken, or the file is read-only or missing."""

    summary = "the ledger could not be written"
    retryable = True


class JobUnreadable(LedgerError):
    """A job's row on the ledger is damaged, or a later version wrote it. Other jobs are unaffected."""

    summary = "the record of the job is damaged"
    remedy = "It may have been charged: inspect its timeline before you submit its request under a new key."


class LedgerUnusable(LedgerError):
    """The ledger cannot be opened and was not modified.

    It is corrupt, another program's, from a newer version, or on a file system without reliable locks.
    """

    summary = "the ledger cannot be opened"


class LedgerRestored(LedgerUnusable):
    """The ledger was restored from a backup or copied, so its unsent jobs may have been sent and paid for already.

    Attributes:
        path: the ledger's file.
        missing_requests: how many requests were sent that the ledger does not contain; None for a copy.
        unsent_jobs: how many jobs it would send.
        unsent_credits: what they cost, as far as their prices are known.
    """

    summary = "the ledger is a copy or a backup"
    remedy = (
        "Check them with your provider, and open the ledger once with SqliteLedger(path, accept_restored=True) to use "
        "it anyway."
    )
    path: str | None = None
    missing_requests: int | None = None
    unsent_jobs: int | None = None
    unsent_credits: float | None = None

    _EVIDENCE: ClassVar[tuple[str, ...]] = (
        *VeoError._EVIDENCE,
        "path",
        "missing_requests",
        "unsent_jobs",
        "unsent_credits",
    )
