"""Repair a ledger without a session: resolve, resubmit or abandon jobs in doubt, and adopt tasks."""

from ._runtime.in_doubt.repair import LedgerRepair
from ._runtime.job.live_job import LiveJob

__all__ = ["LedgerRepair", "LiveJob"]
