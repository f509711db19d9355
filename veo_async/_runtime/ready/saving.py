"""From a clip that is ready to files that are whole: the last stretch of a job's way.

A job that is to be saved has ended when its files are there, not before: whoever waits for it waits for them. What
stands in the way of the files (a full disk, a link that has expired, a broken connection) is the saver's business; when
it gives up, whoever waits is told, and the job stays ``ready``: the next session on the ledger tries again, and nothing
is paid anew.
"""

import os
from collections.abc import Awaitable, Callable
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from veo_async._ports import Scalar
from veo_async._rules.lifecycle import Event
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Clip, Done, Failed
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._wire.converter import to_dict
from veo_async.errors import LedgerError, VeoError

logger = logger_for(__name__)

#: Saves a clip's videos to a file or into a folder, and says where they are.
Save = Callable[[Clip, Path], Awaitable[tuple[Path, ...]]]


def absolute_target(path: str | PathLike[str] | None) -> str | None:
    """*path* in full: a later run may begin in another folder."""
    return None if path is None else os.path.abspath(path)


def sidecar_metadata(clip: Clip) -> dict[str, Any]:
    """What stands in the small JSON beside a clip's files."""
    record = clip.record
    facts = {
        "key": clip.key,
        "task_id": clip.task_id,
        "request": to_dict(clip.request) if clip.request else None,
        "seeds": list(record.seeds),
        "credits": record.raw.get("creditsConsumed"),
        "created_at": record.created_at.isoformat() if record.created_at else None,
        "completed_at": record.completed_at.isoformat() if record.completed_at else None,
        "urls": list(clip.urls),
    }
    return {name: value for name, value in facts.items() if value is not None}


class JobSaver:
    """Saves the clips of jobs that want it.

    Args:
        save: does it; raises a `VeoError` when it gives up.
    """

    def __init__(self, transitions: Transitions, save: Save) -> None:
        self._transitions, self._save = transitions, save

    async def save(self, job: LiveJob, clip: Clip) -> None:
        """Save *entry*'s clip and bring the job to its end."""
        assert job.save_to is not None  # noqa: S101  # else nobody wants it
        extra = {"action": "save", "job_key": job.key, "task_id": job.task_id}
        try:
            files = await self._save(clip, Path(job.save_to))
        except VeoError as error:
            error.add_evidence(job_key=job.key, task_id=job.task_id)
            logger.warning("the clip of job %s is not saved: %s", job.key, error, extra=extra)
            self._transitions.end(job, Failed(job.key, error))
            return
        done = Done(attrs.evolve(clip, files=files))
        changes: dict[str, Scalar] = {"save_to": job.save_to}
        try:
            await self._transitions.apply(job, Event.SAVE, done, changes=changes, evidence={"files": len(files)})
        except LedgerError:
            return  # the session ends; the next finds the files there
        if job.outcome is None:
            self._transitions.end(job, done)  # another session drives it; the files are there all the same
