"""Saving the clip of a job.

A job with a target has finished only when its files are complete: its waiters wait for the files, too. The saver
handles a full disk, an expired link or a broken connection. When it gives up, the waiters get the error and the job
stays ``ready``: the next session on the ledger tries again, and nothing is charged again.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from veo_async._ports import Scalar
from veo_async._rules.lifecycle import Event, JobState
from veo_async._runtime.job.events import JobEvent, ResolutionDiffers
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Clip, Done, Failed
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._wire.converter import to_dict
from veo_async.errors import LedgerError, VeoError

from .resolution import requested_resolution, wrong_sizes

logger = logger_for(__name__)

#: Saves the videos of a clip to a file or folder and returns the clip with its files.
Save = Callable[[Clip, str], Awaitable[Clip]]


def sidecar_metadata(clip: Clip) -> dict[str, Any]:
    """Return the content of the sidecar file of a clip."""
    record = clip.record
    facts = {
        "key": clip.key,
        "task_id": clip.task_id,
        "request": to_dict(clip.request) if clip.request else None,
        "seeds": list(record.seeds),
        "credits": clip.credits_consumed,
        "created_at": record.created_at.isoformat() if record.created_at else None,
        "completed_at": record.completed_at.isoformat() if record.completed_at else None,
        "urls": list(clip.urls),
    }
    return {name: value for name, value in facts.items() if value is not None}


class JobSaver:
    """Saves the clips of jobs with a target.

    Args:
        save: saves one clip; raises a `VeoError` when it gives up.
        notify: announces an event of a job.
    """

    def __init__(self, transitions: Transitions, save: Save, notify: Callable[[LiveJob, JobEvent], None]) -> None:
        self._transitions, self._save, self._notify = transitions, save, notify

    async def save(self, job: LiveJob, clip: Clip) -> None:
        """Save *clip* to the target of *job*, and finish the job.

        Existing files are only checked, so this also checks the files of a job that was saved before.
        """
        assert job.save_to is not None  # noqa: S101  # only jobs with a target get here
        try:
            saved = await self._save(clip, job.save_to)
        except VeoError as error:
            error.add_evidence(job_key=job.key, task_id=job.task_id)
            logger.warning("could not save the clip of job %s: %s", job.key, error, extra=job.log_extra("save"))
            self._transitions.set_outcome(job, Failed(job.key, error, clip))
            return
        done = Done(saved)
        if job.state is JobState.SAVED:
            self._transitions.set_outcome(job, done)
            return
        for width, height in wrong_sizes(saved):
            self._notify(job, ResolutionDiffers(job.key, requested_resolution(saved) or "", width, height))
        changes: dict[str, Scalar] = {"save_to": job.save_to}
        try:
            await self._transitions.apply(job, Event.SAVE, done, changes=changes, evidence={"files": len(saved.files)})
        except LedgerError:
            return  # the session closes; the next one finds the files
        if job.outcome is None:
            self._transitions.set_outcome(job, done)  # another session owns the job, but the files exist
