"""Read or repair a ledger without a session: resolve, resubmit or abandon jobs in doubt, and adopt tasks."""

from ._ports import JobRow
from ._rules.task_route import has_route
from ._runtime.in_doubt.repair import LedgerRepair
from ._runtime.job.endings import ended_without_charge
from ._runtime.job.live_job import LiveJob
from ._runtime.job.rows import job_from_row

__all__ = ["LedgerRepair", "LiveJob", "route_taken", "was_not_charged"]


def route_taken(row: JobRow) -> str | None:
    """Return the route of the job's task, or of its latest request; None while it waits, because it may change."""
    return row.route if has_route(row) else None


def was_not_charged(row: JobRow) -> bool:
    """Whether the job finished without a clip and without a charge: submitting it again sends a new request."""
    return ended_without_charge(job_from_row(row))
