"""Reads a `Progress` from a session and its jobs, without waiting."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from veo_async import VeoSession
from veo_async.batch.costs import models_on_hold
from veo_async.events import Done, OnHold
from veo_async.progress import Progress as JobProgress
from veo_async.session import Statistics
from veo_async.types import Job, JobState

from .formatting import format_duration
from .progress import Progress, Row, estimate_left_s

#: The documented rate limit of an account: creations, and the seconds in which they may be made.
RATE = (20, 10.0)
#: With more jobs than this, only those that are in progress or in doubt get a row.
_SHOW_ALL_UP_TO = 12


def read_progress(
    veo: VeoSession,
    jobs: Collection[Job],
    *,
    now: float,
    not_submitted: int = 0,
    spent: float | None = None,
    reserved: float = 0.0,
    budget: float | None = None,
) -> Progress:
    """Return the progress of *jobs*.

    Args:
        now: the event loop's time.
        not_submitted: rows that are not submitted yet.
        spent: credits that the jobs have cost.
        reserved: credits that those which have not finished may cost.
    """
    stats = veo.statistics()
    counts: Counter[str] = Counter("on_hold" if isinstance(job.outcome, OnHold) else str(job.state) for job in jobs)
    counts["not_submitted"] += not_submitted
    to_send = not_submitted + counts["queued"] + counts["sending"]
    running = [job for job in jobs if job.state is JobState.RUNNING]
    etas = {job.key: eta.p50 for job in running if (eta := job.eta) is not None}
    newest = max((job for job in running if job.sent_at), key=lambda job: job.sent_at or 0, default=None)
    return Progress(
        counts=counts,
        slots=stats.max_in_flight,
        pause_reason=stats.pause_reason,
        on_hold=models_on_hold(jobs),
        changed_route=stats.route if stats.is_route_changed else None,
        on_old_route=sum(job.route != stats.route for job in running) if stats.is_route_changed else 0,
        retry_in_s=_retry_in_s(stats, now),
        left_s=estimate_left_s(
            list(etas.values()),
            waiting=to_send,
            new_task_s=etas.get(newest.key) if newest else None,
            per_second=_per_second(stats),
            slots=stats.max_in_flight,
        ),
        spent=spent,
        reserved=reserved,
        budget=budget,
        rows=[_row(job, etas) for job in _shown_jobs(jobs)],
    )


def read_job_progress(veo: VeoSession, job: JobProgress, *, now: float) -> Progress:
    """Return the progress of a single *job*, and until when the rate limit delays it."""
    return Progress(
        counts={str(job.state): 1},
        pause_reason=job.pause_reason,
        retry_in_s=_retry_in_s(veo.statistics(), now),
        elapsed_s=job.elapsed_s,
        left_s=job.eta.p50 if job.eta is not None else None,
        rows=[Row(job.key, job.state, ahead=job.queue_position or 0)],
    )


def _retry_in_s(stats: Statistics, now: float) -> float | None:
    if stats.rate_limit.reason is None or stats.pause_reason:
        return None
    return max(0.0, stats.rate_limit.closed_until - now)


def _per_second(stats: Statistics) -> float:
    return stats.rate_limit.limit / RATE[1]


def _shown_jobs(jobs: Collection[Job]) -> list[Job]:
    """Return all of a few jobs; of many, those in doubt and then those in progress, the oldest first."""
    if len(jobs) <= _SHOW_ALL_UP_TO:
        return list(jobs)
    shown = (JobState.IN_DOUBT, JobState.SENDING, JobState.RUNNING, JobState.READY)
    return sorted((job for job in jobs if job.state in shown), key=lambda job: shown.index(job.state))


def _row(job: Job, etas: dict[str, float]) -> Row:
    match job.outcome:
        case None:
            left_s = etas.get(job.key)
            waits = "waiting for its callback" if job.state is JobState.IN_DOUBT else ""
            detail = f"about {format_duration(left_s)} left" if left_s is not None else waits
        case Done(clip=clip):
            detail = " ".join(Path(file).name for file in clip.files)
        case failed:
            detail = failed.sentence
    return Row(job.key, job.state, detail, prompt=job.prompt or "")
