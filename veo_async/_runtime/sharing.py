"""One ledger, several sessions: whose job is it, and what do the others do with theirs?

A job has one driver. Here a session takes over the jobs whose driver is gone, follows those that another drives and
somebody here waits for. Once a second it asks for news (`tending`).
"""

from veo_async._ports import JobRow, LedgerChanges
from veo_async._rules.lifecycle import JobState

from .in_doubt.in_doubt_jobs import InDoubtJobs
from .job.live_job import LiveJob
from .job.registry import JobRegistry
from .job.rows import job_from_row
from .sending.scheduler import Scheduler
from .transitions import Transitions


class Sharing:
    """This session's dealings with the others on its ledger.

    Args:
        save_to: where clips of jobs go that name no place of their own.
    """

    def __init__(
        self,
        registry: JobRegistry,
        in_doubt: InDoubtJobs,
        scheduler: Scheduler,
        transitions: Transitions,
        *,
        save_to: str | None = None,
    ) -> None:
        self._registry, self._in_doubt, self._scheduler, self._transitions = registry, in_doubt, scheduler, transitions
        self._save_to = save_to

    def apply_changes(self, changes: LedgerChanges) -> None:
        self._scheduler.apply_account_activity(changes.gate)
        for row in changes.taken_over:
            self._take_over(row)
        for row in changes.changed:
            job = self._registry.by_key.get(row.key)
            if job is not None:
                self._update_remote_job(job, row)
        for hint in changes.hints:
            job = self._registry.by_key.get(hint.key)
            if job is not None:
                self._in_doubt.on_hint(job, hint)

    def _take_over(self, row: JobRow) -> None:
        """Nobody drives it any more: it is ours."""
        known = self._registry.by_key.get(row.key)
        job = known or job_from_row(row)
        job.save_to = job.save_to or self._save_to
        self._registry.add(job)
        if known is None:
            self._transitions.resume(job)
        else:
            self._transitions.follow(job, row)

    def _update_remote_job(self, job: LiveJob, row: JobRow) -> None:
        """Somebody else has moved it; what we drive ourselves nobody else moves, but out of a doubt."""
        if job.state != row.state and (job.is_remote or job.state is JobState.IN_DOUBT):
            self._transitions.follow(job, row)
