"""What the jobs of a list have cost and may still cost. That is on the ledger, so every run reports the same."""

from collections.abc import Iterable, Sequence

import attrs

from veo_async.pricing import total
from veo_async.types import Job, JobState, OnHold

#: A job in one of these states may still cost something; what it costs is not certain yet.
_RESERVED = frozenset({JobState.QUEUED, JobState.SENDING, JobState.RUNNING, JobState.IN_DOUBT})


@attrs.frozen(kw_only=True)
class ModelOnHold:
    """The jobs of one model that are on hold after an overcharge."""

    model: str
    jobs: int
    #: The price in the table, and what the provider charged for a job of this model.
    expected: float
    consumed: float


def spent_by(jobs: Iterable[Job]) -> float:
    """Return the credits that finished jobs have cost."""
    return sum(job.credits or 0.0 for job in jobs if job.state not in _RESERVED)


def reserved_by(jobs: Iterable[Job]) -> float:
    """Return the credits that other jobs may cost."""
    return sum(job.credits or 0.0 for job in jobs if job.state in _RESERVED)


def models_on_hold(jobs: Iterable[Job]) -> list[ModelOnHold]:
    """Return which of *jobs* are on hold, by model."""
    found: dict[str, ModelOnHold] = {}
    for error in [job.outcome.error for job in jobs if isinstance(job.outcome, OnHold)]:
        others = found[error.model].jobs if error.model in found else 0
        found[error.model] = ModelOnHold(
            model=error.model, jobs=others + 1, expected=error.expected, consumed=error.consumed
        )
    return list(found.values())


def charged_jobs(chain: Iterable[Job]) -> list[Job]:
    """Return the jobs of a row that are not on hold: the others are neither sent nor charged."""
    return [job for job in chain if not isinstance(job.outcome, OnHold)]


def cost_of(chain: Iterable[Job]) -> float | None:
    """Return what the jobs of a row have cost or may cost; None if a price is unknown."""
    return total(job.credits for job in chain)


def consumed_by(chain: Sequence[Job]) -> float | None:
    """Return what the tasks of a row have cost according to the provider; None if a record did not say it."""
    return None if is_free(chain) else total(job.credits_consumed for job in chain)


def is_free(chain: Iterable[Job]) -> bool:
    """Whether no job of a row was charged or may have been."""
    return all(job.was_not_charged and not job.credits for job in chain)
