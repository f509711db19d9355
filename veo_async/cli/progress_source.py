"""A `Progress` from a session and its jobs: everything that `progress` shows, read off without waiting."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from veo_async import VeoSession
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.handle import Job
from veo_async.events import Done
from veo_async.session import Statistics

from .progress import Progress, Row, estimate_left_s, told_s

#: What is believed of an account: so many creations in so many seconds.
RATE = (20, 10.0)
#: With more jobs than this only those are shown singly that something happens to.
_FEW = 12


def progress_of(
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
    told = veo.statistics()
    counts: Counter[str] = Counter(str(job.state) for job in jobs)
    counts["waiting"] += waiting
    running = [job for job in jobs if job.state is JobState.RUNNING]
    etas = {job.key: eta.p50 for job in running if (eta := job.eta) is not None}
    youngest = max((job for job in running if job.sent_at), key=lambda job: job.sent_at or 0, default=None)
    return Progress(
        counts=counts,
        slots=told.max_in_flight,
        paused=told.paused,
        opens_in_s=None if told.gate.reason is None or told.paused else max(0.0, told.gate.closed_until - now),
        left_s=estimate_left_s(
            list(etas.values()),
            waiting=waiting + counts["queued"] + counts["sending"],
            fresh_s=etas.get(youngest.key) if youngest else None,
            per_second=_per_second(told),
            slots=told.max_in_flight,
        ),
        credits=credits,
        budget=budget,
        rows=[_row(job, etas) for job in _of_interest(jobs)],
    )


def _per_second(told: Statistics) -> float:
    return told.gate.limit / RATE[1]


def _of_interest(jobs: Collection[Job]) -> list[Job]:
    """All of a few; of many, those in doubt and those that are under way, the oldest first."""
    if len(jobs) <= _FEW:
        return list(jobs)
    moving = (JobState.IN_DOUBT, JobState.SENDING, JobState.RUNNING, JobState.READY)
    return sorted((job for job in jobs if job.state in moving), key=lambda job: moving.index(job.state))


def _row(job: Job, etas: dict[str, float]) -> Row:
    match job.outcome:
        case None:
            left_s = etas.get(job.key)
            return Row(job.key, job.state, f"about {told_s(left_s)} more" if left_s is not None else "")
        case Done(clip=clip):
            return Row(job.key, job.state, " ".join(Path(file).name for file in clip.files))
        case failed:
            return Row(job.key, job.state, str(failed.error))
