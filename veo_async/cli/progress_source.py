"""A `Progress` from a session and its jobs: everything that `progress` shows, read off without waiting."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from veo_async import VeoSession
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.handle import Job
from veo_async.events import Done
from veo_async.session import Statistics

from .progress import Progress, Row, estimate_left_s, format_duration

#: What is believed of an account: so many creations in so many seconds.
RATE = (20, 10.0)
#: With more jobs than this only those are shown singly that something happens to.
_SHOW_ALL_UP_TO = 12


def read_progress(
    veo: VeoSession,
    jobs: Collection[Job],
    *,
    now: float,
    waiting: int = 0,
    credits: float | None = None,
    budget: float | None = None,
) -> Progress:
    """Where *jobs* stand.

    Args:
        now: the loop's time.
        waiting: jobs that have not been submitted yet.
    """
    stats = veo.statistics()
    counts: Counter[str] = Counter(str(job.state) for job in jobs)
    counts["not_submitted"] += waiting
    running = [job for job in jobs if job.state is JobState.RUNNING]
    etas = {job.key: eta.p50 for job in running if (eta := job.eta) is not None}
    newest = max((job for job in running if job.sent_at), key=lambda job: job.sent_at or 0, default=None)
    return Progress(
        counts=counts,
        slots=stats.max_in_flight,
        paused=stats.pause_reason,
        retry_in_s=None
        if stats.rate_limit.reason is None or stats.pause_reason
        else max(0.0, stats.rate_limit.closed_until - now),
        left_s=estimate_left_s(
            list(etas.values()),
            waiting=waiting + counts["queued"] + counts["sending"],
            new_task_s=etas.get(newest.key) if newest else None,
            per_second=_per_second(stats),
            slots=stats.max_in_flight,
        ),
        credits=credits,
        budget=budget,
        rows=[_row(job, etas) for job in _shown_jobs(jobs)],
    )


def _per_second(stats: Statistics) -> float:
    return stats.rate_limit.limit / RATE[1]


def _shown_jobs(jobs: Collection[Job]) -> list[Job]:
    """All of a few; of many, those in doubt and those that are under way, the oldest first."""
    if len(jobs) <= _SHOW_ALL_UP_TO:
        return list(jobs)
    moving = (JobState.IN_DOUBT, JobState.SENDING, JobState.RUNNING, JobState.READY)
    return sorted((job for job in jobs if job.state in moving), key=lambda job: moving.index(job.state))


def _row(job: Job, etas: dict[str, float]) -> Row:
    match job.outcome:
        case None:
            left_s = etas.get(job.key)
            return Row(job.key, job.state, f"about {format_duration(left_s)} more" if left_s is not None else "")
        case Done(clip=clip):
            return Row(job.key, job.state, " ".join(Path(file).name for file in clip.files))
        case failed:
            return Row(job.key, job.state, str(failed.error))
