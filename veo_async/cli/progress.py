"""The progress of a run as values and sentences: plain functions that need neither a session nor a terminal.

The remaining time is the later of two bounds: the end of the running task that takes longest, and the end of the last
queued job, if jobs leave the queue no faster than the rate limit and the slots allow and the last of them takes as long
as a task that starts now.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from veo_async.batch.costs import ModelOnHold

from .formatting import format_count, format_credits, format_number

#: The order in which states are listed: what is achieved first, what went wrong last.
_ORDER = (
    *("saved", "ready", "running", "sending", "queued", "not_submitted", "on_hold"),
    *("in_doubt", "refused", "failed", "expired", "abandoned"),
)
#: A job in one of these states no longer changes on its own. A clip that is ready has still to be saved.
FINISHED = frozenset({"saved", "on_hold", "in_doubt", "refused", "failed", "expired", "abandoned"})
_RESUMES = "submission resumes automatically"
_WAIT_TEXTS = {
    "waiting-for-source": "Waiting for its source clip.",
    "waiting-for-upload": "Uploading its images.",
}
_PAUSE_TEXTS = {
    "insufficient-credits": f"out of credits. Top up the account; {_RESUMES}.",
    "min-balance": f"the next job would leave less than the minimum balance. Top up the account; {_RESUMES}.",
    "key-limit": f"this API key's spending limit is reached. Raise it; {_RESUMES}.",
    "blocked": "a firewall in front of the API blocks this client. Check the key's IP allowlist and the User-Agent.",
    "maintenance": f"the provider is under maintenance; {_RESUMES}.",
    "repeated-errors": f"several requests in a row failed; {_RESUMES}.",
    "route-gone": f"the veo route responds with 404. Another clip is tried after two minutes; {_RESUMES}.",
    "network": "the provider is unreachable. Check the network with veo-async doctor.",
    "ledger-unavailable": f"the ledger cannot be written. Free disk space; {_RESUMES}.",
    "unauthorized": "the API key was rejected. Check it with veo-async doctor.",
}


class HasState(Protocol):
    """A job, or its row on the ledger."""

    @property
    def state(self) -> str: ...


@attrs.frozen
class Row:
    """One job on the board."""

    key: str
    state: str
    detail: str = ""
    prompt: str = ""
    #: Jobs that are sent before it; 0 if it was sent, or is the next.
    ahead: int = 0


@attrs.frozen(kw_only=True)
class Progress:
    """A run at one moment."""

    #: The number of jobs in each state; ``not_submitted`` counts the rows of a list that have not become jobs yet.
    counts: Mapping[str, int]
    slots: int = 0
    #: Why submission is paused; None if it is not, or if only the rate limit delays it.
    pause_reason: str | None = None
    #: Unsent jobs that are on hold after an overcharge.
    on_hold: Sequence[ModelOnHold] = ()
    #: The route of new requests, if it has changed, and the tasks that still run on the one before.
    changed_route: str | None = None
    on_old_route: int = 0
    #: Seconds until the rate limit lets a request through again, after a 429.
    retry_in_s: float | None = None
    #: Seconds since the command began to wait; None if they are not counted.
    elapsed_s: float | None = None
    #: Seconds until everything has finished; None if that cannot be estimated.
    left_s: float | None = None
    #: Credits that finished jobs have cost, and credits that the others may cost; None if they are not known.
    spent: float | None = None
    reserved: float = 0.0
    budget: float | None = None
    #: The jobs to list, the most interesting first.
    rows: Sequence[Row] = ()

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        return sum(number for state, number in self.counts.items() if state in FINISHED)


def estimate_left_s(
    running_s: Sequence[float], *, waiting: int, new_task_s: float | None, per_second: float, slots: int
) -> float | None:
    """Return the median number of seconds until everything has finished, or None if it cannot be estimated.

    Args:
        running_s: the remaining seconds of each running task.
        waiting: jobs that are still to be sent.
        new_task_s: how long a task takes that starts now; None if unknown.
        per_second: the creations per second that the account allows.
        slots: the number of tasks that may run concurrently.
    """
    longest_s = max(running_s, default=0.0)
    if not waiting:
        return longest_s
    if new_task_s is None or per_second <= 0:
        return None
    pace = min(per_second, slots / new_task_s) if new_task_s > 0 else per_second
    return max(longest_s, waiting / pace + new_task_s)


def pause_text(progress: Progress) -> str | None:
    """Return why nothing is sent at the moment, as a sentence; None if submission is not paused."""
    if progress.pause_reason is not None:
        return reason_text(progress.pause_reason)
    limit = rate_limit_text(progress)
    return None if limit is None else f"{limit}. No clip fails because of this."


def hold_text(on_hold: Sequence[ModelOnHold]) -> str | None:
    """Return which jobs are on hold after an overcharge, with both prices, as a sentence; None if none are."""
    if not on_hold:
        return None
    models = [f"{format_count(item.jobs, 'job')} of {item.model} ({_prices_of(item)})" for item in on_hold]
    return f"On hold: {', '.join(models)}."


def _prices_of(item: ModelOnHold) -> str:
    return f"the provider charges {format_credits(item.consumed)}, the price table says {format_number(item.expected)}"


def route_text(progress: Progress) -> str | None:
    """Return which route new clips take now, as a sentence; None if it has not changed."""
    if progress.changed_route is None:
        return None
    text = f"The veo route is gone (404): new clips are made on the {progress.changed_route} route."
    if not progress.on_old_route:
        return text
    return f"{text} Still polled on veo: {format_count(progress.on_old_route, 'clip')}."


def rate_limit_text(progress: Progress) -> str | None:
    """Return until when the rate limit stops the next clip; None if it does not."""
    if progress.retry_in_s is None or progress.pause_reason is not None:
        return None
    when = f"next clip in {math.ceil(progress.retry_in_s)} s" if progress.retry_in_s > 0 else "trying again now"
    return f"Rate limited: {when}"


def reason_text(reason: str) -> str:
    """Return what the *reason* of a pause means, and what ends it, as a sentence."""
    return _WAIT_TEXTS.get(reason) or f"Paused: {_PAUSE_TEXTS.get(reason, f'{reason}; {_RESUMES}.')}"


def uncapitalized(sentence: str) -> str:
    """Return *sentence* as the continuation of another one."""
    return sentence[0].lower() + sentence[1:]


def state_text(state: str) -> str:
    """Return the name of a *state* as people write it."""
    return state.replace("_", " ")


def changes(before: Progress | None, after: Progress) -> list[str]:
    """Return the lines to print where there is no board: submission paused or resumed, or another job in doubt."""
    lines = []
    if (route := route_text(after)) is not None and (before is None or before.changed_route is None):
        lines.append(route)
    was, now = None if before is None else _pause_key(before), _pause_key(after)
    if was != now:
        lines.append(pause_text(after) or "Submission resumed.")
    if (on_hold := hold_text(after.on_hold)) is not None and (before is None or not before.on_hold):
        lines.append(on_hold)
    in_doubt = after.counts.get("in_doubt", 0)
    if in_doubt > (0 if before is None else before.counts.get("in_doubt", 0)):
        lines.append(
            f"{format_count(in_doubt, 'job')} in doubt: a response was lost. The request is not resent, because it may "
            "have been charged."
        )
    return lines


def _pause_key(progress: Progress) -> str | None:
    return progress.pause_reason or ("rate-limit" if progress.retry_in_s is not None else None)


def counts_of(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the states that occur and their numbers, in the order in which they are listed."""
    known = [(state, counts[state]) for state in _ORDER if counts.get(state)]
    return known + sorted((state, number) for state, number in counts.items() if number and state not in _ORDER)


def counts_by_state(jobs: Iterable[HasState]) -> dict[str, int]:
    """Return how many of *jobs* are in each state, in the order in which states are listed."""
    return dict(counts_of(Counter(str(job.state) for job in jobs)))


def counts_text(counts: Mapping[str, int]) -> str:
    """Return *counts* as a list: ``9 saved, 1 refused``."""
    return ", ".join(f"{number:,} {state_text(state)}" for state, number in counts_of(counts))
