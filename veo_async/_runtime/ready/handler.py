"""READY: the clip exists. The job has finished, unless it has a file or folder to save the clip to.

SAVED: the same, if the clip is requested again: its files may have been changed or moved since.
"""

from veo_async._rules.lifecycle import Event
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Done, Outcome
from veo_async._runtime.recovery import Recovery

from .saving import JobSaver


class ReadyState:
    """The handler of `JobState.READY` and `JobState.SAVED`. A job holds nothing."""

    def __init__(self, saver: JobSaver, recovery: Recovery) -> None:
        self._saver, self._recovery = saver, recovery

    def enter(self, job: LiveJob, event: Event | None, outcome: Outcome | None) -> bool:
        if job.save_to is None or not isinstance(outcome, Done) or event is Event.SAVE:
            return False
        _ = self._recovery.start(job, self._saver.save(job, outcome.clip), f"save:{job.key}")
        return True

    def withdraw(self, job: LiveJob) -> bool:
        return False

    def leave(self, job: LiveJob, event: Event | None) -> None:
        pass
