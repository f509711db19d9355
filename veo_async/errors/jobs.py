"""Errors of a session and of its jobs."""

from typing import ClassVar

from .base import VeoError

#: For jobs of a session that has ended.
RESUME = "Open a new session; with a ledger it resumes its jobs, without one use adopt(task_id)."


class SessionEnded(VeoError):
    """The session has ended. Tasks keep running at the provider and can be adopted by id."""

    summary = "the session has ended"


class SessionClosed(SessionEnded):
    """The session is closed, is not open yet, or belongs to another event loop."""

    summary = "the session is closed"


class SessionCrashed(SessionEnded):
    """An internal error stopped the session; please report it."""

    summary = "an internal error stopped the session"
    remedy = RESUME

    def _render_traceback_(self) -> list[str]:
        """Return the whole traceback with its cause, which belongs into a bug report."""
        from .notebook import render_in_full

        return render_in_full(self)


class StillRunning(VeoError, TimeoutError):
    """The wait timed out. The job keeps running and nothing was cancelled."""

    summary = "still running"
    retryable = True
    remedy = "The job continues; call wait() again."


class DeadlineExceeded(VeoError):
    """The job was never sent, because its deadline passed first."""

    summary = "not sent in time"
    retryable = True
    remedy = "Submit it again with a longer send_within=."


class JobOnHold(VeoError):
    """The job is not sent in this session, because the provider charges more for its model than the price table says.

    It stays queued, and nothing was charged.
    """

    summary = "on hold after an overcharge"
    #: The model that costs more: of a follow-up that waits for its source clip, the source's.
    model: str = ""
    #: Its price in the table, and what the provider charged for it, in credits.
    expected: float = 0.0
    consumed: float = 0.0
    remedy = (
        "It stays queued, and the next session sends it: open that without stop_on_overcharge to accept the price, or "
        "abandon the job."
    )

    _EVIDENCE: ClassVar[tuple[str, ...]] = (*VeoError._EVIDENCE, "model", "expected", "consumed")


class SourceFailed(VeoError):
    """The job was never sent, because the job that makes its source clip failed."""

    summary = "the source clip failed"
    retryable = True
    remedy = "Check why the source job failed, then submit both again."


class UploadFailed(VeoError):
    """The job was never sent and not charged, because one of its images could not be uploaded.

    The message quotes the upload host.
    """

    summary = "an image could not be uploaded"
    retryable = True
    remedy = "Submit it again, or pass a public URL instead of the file."


class TaskMismatch(VeoError):
    """The task belongs to a different request, according to its record; the job is unchanged."""

    summary = "the task belongs to another request"
    remedy = "Check the task id: its prompt differs from the job's."


class JobAbandoned(VeoError):
    """The job was abandoned on request."""

    summary = "abandoned on request"
    remedy = "To generate it after all, submit it under a new key."


class DownloadFailed(VeoError):
    """The clip exists and is charged, but could not be downloaded."""

    summary = "the download failed"
    retryable = True
    remedy = "Save it again; the provider keeps the clip for some days."


class ResultsWriteError(VeoError):
    """The results of a list could not be written; the ledger has the state of every job."""

    summary = "the results could not be written"
    remedy = (
        "Free disk space or fix the folder's permissions, then run the same command again; "
        "you will not be charged twice."
    )
