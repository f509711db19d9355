"""How a job ends, as values made for ``match``."""

from datetime import datetime
from pathlib import Path

import attrs

from veo_async._wire import AnyRequest, Record
from veo_async.errors import VeoError


@attrs.frozen
class HistoryItem:
    """One step on the way to a clip."""

    #: ``generate``, ``extend``, ``upgrade``; ``adopted`` for what was made elsewhere.
    kind: str
    task_id: str
    #: The key of the job that made it.
    key: str


@attrs.frozen(kw_only=True)
class Clip:
    """A finished video, and what it came from."""

    #: The key of its job.
    key: str
    task_id: str
    #: Where the videos are; of an extension the whole in one piece, if there is one. The links expire: save them soon.
    urls: tuple[str, ...]
    #: What was asked for; None for a task that was made elsewhere.
    request: AnyRequest | None
    #: The provider's record, with everything it said.
    record: Record = attrs.field(repr=False)
    #: Where its videos are on disk, verified; empty as long as nobody had them saved.
    files: tuple[Path, ...] = ()

    #: How it came to be, from the first task to its own: what was extended and what was taken to another size.
    history: tuple[HistoryItem, ...] = ()

    @property
    def created_at(self) -> datetime | None:
        return self.record.created_at

    @property
    def completed_at(self) -> datetime | None:
        return self.record.completed_at


@attrs.frozen
class Done:
    """The clip is ready."""

    clip: Clip

    @property
    def key(self) -> str:
        return self.clip.key


@attrs.frozen
class Refused:
    """The provider would not make it: nothing is charged, and it would refuse again as it is."""

    key: str
    reason: str
    error: VeoError


@attrs.frozen
class Failed:
    """It broke, before or after it was made."""

    key: str
    error: VeoError


@attrs.frozen(kw_only=True)
class Evidence:
    """What is known of a request whose answer was lost."""

    #: Creating requests that may have been paid for, this one included.
    attempts: int
    sent_at: datetime | None
    #: It stands in the callback URL, where there is one, and so in the provider's record.
    token: str | None
    #: A callback may still come that names the task.
    awaits_callback: bool
    #: Tasks that somebody named, and whose records did not prove it.
    claimed_task_ids: tuple[str, ...] = ()


@attrs.frozen
class InDoubt:
    """It was sent and no clear answer came: it may be paid for. It is never sent again by itself.

    ``job.resolve(task_id=…)``, ``job.resubmit()`` or ``job.abandon()`` end the doubt.
    """

    key: str
    error: VeoError
    evidence: Evidence | None = None


Outcome = Done | Refused | Failed | InDoubt
