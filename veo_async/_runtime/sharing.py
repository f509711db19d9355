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
        roster: JobRegistry,
        doubts: InDoubtJobs,
        scheduler: Scheduler,
        transitions: Transitions,
        *,
        save_to: str | None = None,
    ) -> None:
        self._roster, self._doubts, self._scheduler, self._transitions = roster, doubts, scheduler, transitions
        self._save_to = save_to

    def apply_changes(self, news: LedgerChanges) -> None:
        self._scheduler.apply_account_activity(news.gate)
        for row in news.taken_over:
            self._take_over(row)
        for row in news.changed:
            entry = self._roster.by_key.get(row.key)
            if entry is not None:
                self._update_remote_job(entry, row)
        for hint in news.hints:
            entry = self._roster.by_key.get(hint.key)
            if entry is not None:
                self._doubts.on_hint(entry, hint)

    def _take_over(self, row: JobRow) -> None:
        """Nobody drives it any more: it is ours."""
        known = self._roster.by_key.get(row.key)
        entry = known or job_from_row(row)
        entry.save_to = entry.save_to or self._save_to
        self._roster.add(entry)
        if known is None:
            self._transitions.resume(entry)
        else:
            self._transitions.follow(entry, row)

    def _update_remote_job(self, entry: LiveJob, row: JobRow) -> None:
        """Somebody else has moved it; what we drive ourselves nobody else moves, but out of a doubt."""
        if entry.state != row.state and (entry.is_remote or entry.state is JobState.IN_DOUBT):
            self._transitions.follow(entry, row)
