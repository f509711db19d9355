"""What the log says about a job. At INFO four lines tell its story, everything else is at DEBUG::

    job dog: queued
    job dog: sent, task 3f1c…
    job dog: finished after 74 s
    job dog: saved to /home/anna/clips/dog.mp4

The last line of a job without a clip says why, for example ``job dog: refused: content policy``; of a job in doubt it
is a warning. Prompts and URLs are not logged.
"""

import logging

from veo_async._base.numbers import format_duration
from veo_async._rules.lifecycle import Event

from .live_job import LiveJob
from .outcome import Done, InDoubt, Outcome


def action_of(event: Event) -> str:
    """Return the ``action`` of the record about *event*."""
    return "in-doubt" if event is Event.LOSE else event.value


def log_line(job: LiveJob, event: Event, outcome: Outcome | None, now: float) -> tuple[int, str]:
    """Return the level and the text for *event*, which has just happened to *job*."""
    if outcome is not None and not isinstance(outcome, Done):
        level = logging.WARNING if isinstance(outcome, InDoubt) else logging.INFO  # the user must decide
        return level, f"{job.state.replace('_', ' ')}: {outcome.reason}"
    match event:
        case Event.ACCEPT:
            return logging.INFO, f"sent, task {job.task_id}"
        case Event.BIND:
            return logging.INFO, f"matched, task {job.task_id}"
        case Event.RESUBMIT:
            return logging.INFO, "resubmitted, may be charged twice"
        case Event.COMPLETE:
            took = "" if job.sent_at is None else f" after {format_duration(now - job.sent_at)}"
            return logging.INFO, f"finished{took}"
        case Event.SAVE if isinstance(outcome, Done):
            return logging.INFO, f"saved to {', '.join(map(str, outcome.clip.files))}"
        case _:
            return logging.DEBUG, event.value
