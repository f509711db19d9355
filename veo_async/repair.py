"""Repair a ledger without a session: resolve, resubmit or abandon jobs in doubt, and adopt tasks."""

from ._runtime.in_doubt.repair import LedgerRepair

__all__ = ["LedgerRepair"]
