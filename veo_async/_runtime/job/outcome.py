"""The outcomes of a job, as values for ``match``."""

from datetime import datetime
from pathlib import Path

import attrs

from veo_async._wire import AnyRequest, Record
from veo_async.errors import VeoError


@attrs.frozen
class HistoryItem:
    """One task in the history of a clip."""

    #: ``generate``, ``extend`` or ``upgrade``; ``adopted`` for a task created outside this session.
    kind: str
    task_id: str
    #: The key of its job.
    key: str


@attrs.frozen(kw_only=True)
class Clip:
    """A finished clip and its origin."""

    #: The key of its job.
    key: str
    task_id: str
    #: The URLs of its videos; of an extension the whole video, if the provider has one. They expire: save them soon.
    urls: tuple[str, ...]
    #: The request; None for a task created outside this session.
    request: AnyRequest | None
    #: The provider's record, complete.
    record: Record = attrs.field(repr=False)
    #: The verified files on disk; empty until the clip was saved.
    files: tuple[Path, ...] = ()
    #: All tasks that led to it, from the first to its own: generated, extended, upgraded.
    history: tuple[HistoryItem, ...] = ()

    @property
    def created_at(self) -> datetime | None:
        """When the provider created the task."""
        return self.record.created_at

    @property
    def completed_at(self) -> datetime | None:
        """When the provider completed the task."""
        return self.record.completed_at


@attrs.frozen
class Done:
    """The clip is ready."""

    clip: Clip

    @property
    def key(self) -> str:
        """The key of its job."""
        return self.clip.key


@attrs.frozen
class Refused:
    """The request was refused: nothing was charged, and the same request would be refused again."""

    key: str
    reason: str
    error: VeoError


@attrs.frozen
class Failed:
    """The job failed, before or after its task was created."""

    key: str
    error: VeoError


@attrs.frozen(kw_only=True)
class Evidence:
    """What is known about a request whose response was lost."""

    #: Requests that may have been charged, including this one.
    attempts: int
    sent_at: datetime | None
    #: The token in the callback URL, if there is one, and so in the provider's record.
    token: str | None
    #: Whether a callback that names the task may still arrive.
    awaits_callback: bool
    #: Tasks that callbacks named, but whose records do not prove it.
    claimed_task_ids: tuple[str, ...] = ()


@attrs.frozen
class InDoubt:
    """The request was sent and its response lost: it may have been charged. It is never resent automatically.

    Continue with ``job.resolve(task_id=…)``, ``job.resubmit()`` or ``job.abandon()``.
    """

    key: str
    error: VeoError
    evidence: Evidence | None = None


Outcome = Done | Refused | Failed | InDoubt
