"""The outcomes of a job, as values for ``match``."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final

import attrs

from veo_async._wire import AnyRequest, Record, RouteName
from veo_async.errors import JobOnHold, VeoError, as_sentences

#: How long the provider keeps videos and records.
KEPT_FOR: Final = timedelta(days=14)
_END_THE_DOUBT: Final = (
    "It may have been charged and is not sent again automatically. If the provider's logs show its task, call "
    "job.resolve(task_id=…); if not, job.resubmit() or job.abandon()."
)


@attrs.frozen
class HistoryItem:
    """One task in the history of a clip.

    Attributes:
        kind: ``generate``, ``extend`` or ``upgrade``; ``adopted`` for a task created outside this session.
        task_id: the provider's task id.
        key: the key of its job.
        prompt: its prompt; empty for an upgrade and an adopted task.
        model: its model; empty like the prompt.
    """

    kind: str
    task_id: str
    key: str
    prompt: str = ""
    model: str = ""


@attrs.frozen(kw_only=True)
class Clip:
    """A finished clip and its origin.

    Attributes:
        key: the key of its job.
        task_id: the provider's task id.
        urls: the URLs of its videos; of an extension the whole video if its record has it, else the continuation
            alone, as documented for the jobs route. They are never taken from a callback. They expire: save them soon.
        request: the request; None for a task created outside this session.
        record: the provider's record, complete.
        files: the verified files on disk; empty until the clip was saved.
        history: all tasks that led to it, from the first to its own: generated, extended, upgraded.
        route: the route that created its task; upgrades and extensions take the same one.
        sizes: the width and height of each of its files in pixels; None where they are not known.
    """

    key: str
    task_id: str
    urls: tuple[str, ...]
    request: AnyRequest | None
    record: Record = attrs.field(repr=False)
    files: tuple[Path, ...] = ()
    history: tuple[HistoryItem, ...] = attrs.field(default=(), repr=False)
    sizes: tuple[tuple[int, int] | None, ...] = attrs.field(default=(), repr=False)
    route: RouteName = "veo"

    @property
    def url(self) -> str:
        """The URL of its first video."""
        return self.urls[0]

    @property
    def file(self) -> Path | None:
        """The file of its first video; None until the clip was saved."""
        return self.files[0] if self.files else None

    @property
    def height(self) -> int | None:
        """The height of its first file in pixels; None until the clip was saved, or if it is not known."""
        return self.sizes[0][1] if self.sizes and self.sizes[0] else None

    @property
    def first_prompt(self) -> str:
        """The prompt that its history began with: of an upgrade, that of its source. Files are named after it."""
        return next((item.prompt for item in self.history if item.prompt), "")

    def __str__(self) -> str:
        return f"{self.key}: {', '.join(map(str, self.files or self.urls))}"

    def _repr_html_(self) -> str:
        """Return a player for each video, for notebooks."""
        from .html import clip_html  # only notebooks need it

        return clip_html(self)

    @property
    def credits_consumed(self) -> float | None:
        """What its task cost according to the provider's record; None if the record does not say."""
        return self.record.credits_consumed

    @property
    def created_at(self) -> datetime | None:
        """When the provider created the task."""
        return self.record.created_at

    @property
    def completed_at(self) -> datetime | None:
        """When the provider completed the task: the age of the clip. The same request again returns this clip."""
        return self.record.completed_at

    @property
    def expires_at(self) -> datetime | None:
        """When the provider deletes its videos; None if unknown. Single links may end earlier: saving renews them."""
        completed_at = self.completed_at or self.created_at
        return None if completed_at is None else completed_at + KEPT_FOR


@attrs.frozen
class Done:
    """The clip is ready.

    Attributes:
        clip: the finished clip.
    """

    #: What to call it in a list or a count.
    kind: ClassVar[str] = "done"

    clip: Clip

    @property
    def key(self) -> str:
        """The key of its job."""
        return self.clip.key

    def __str__(self) -> str:
        return f"{self.kind}: {self.clip}"

    def _repr_html_(self) -> str:
        """Return the clip, for notebooks."""
        return self.clip._repr_html_()


@attrs.frozen
class _WithoutClip:
    """What the outcomes of a job without a saved clip have in common."""

    #: What to call it in a list or a count.
    kind: ClassVar[str]

    key: str
    error: VeoError

    @property
    def reason(self) -> str:
        """Why, as a short phrase for people."""
        return self.error.summary

    @property
    def remedy(self) -> str:
        """What to do: one or two sentences."""
        return self.error.advice or self.error.remedy

    @property
    def detail(self) -> str:
        """The provider's words, the codes and the ids, for logs, bug reports and the provider's support."""
        return self.error.describe()

    @property
    def log_url(self) -> str | None:
        """The provider's page with the account's tasks; None if it has none, or if no task can belong to the job."""
        return self.error.log_url

    @property
    def sentence(self) -> str:
        """The `reason` and the `remedy`."""
        return as_sentences(self.reason, self.remedy)

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}: {self.sentence}"

    def _repr_html_(self) -> str:
        """Return the sentence with the details folded away, for notebooks."""
        from .html import without_clip_html  # only notebooks need it

        return without_clip_html(str(self), self.detail, getattr(self, "clip", None))


@attrs.frozen
class Refused(_WithoutClip):
    """The request was refused: nothing was charged, and the same request would be refused again.

    Attributes:
        key: the key of the job.
        error: the error, with its evidence as attributes.
    """

    kind: ClassVar[str] = "refused"

    @property
    def remedy(self) -> str:
        """What to do: one or two sentences."""
        return super().remedy or "Change the request: nothing was charged."


@attrs.frozen
class Failed(_WithoutClip):
    """The job failed, before or after its task was created.

    Attributes:
        key: the key of the job.
        error: the error, with its evidence as attributes.
        clip: the clip, if there is one and only saving it failed.
    """

    kind: ClassVar[str] = "failed"

    clip: Clip | None = attrs.field(default=None, repr=False)

    @property
    def reason(self) -> str:
        """Why, as a short phrase for people."""
        return self.error.summary if self.clip is None else "the clip was generated, but not saved"

    @property
    def remedy(self) -> str:
        """What to do: one or two sentences."""
        return super().remedy or "See outcome.detail for what happened."


@attrs.frozen(kw_only=True)
class Evidence:
    """What is known about a request whose response was lost.

    Attributes:
        attempts: requests that may have been charged, including this one.
        sent_at: when the request was sent.
        token: the token in the callback URL, if there is one, and so in the provider's record.
        awaits_callback: whether a callback that names the task may still arrive.
        claimed_task_ids: the first tasks that callbacks named, but whose records do not prove it.
    """

    attempts: int
    sent_at: datetime | None
    token: str | None
    awaits_callback: bool
    claimed_task_ids: tuple[str, ...] = ()


@attrs.frozen
class InDoubt(_WithoutClip):
    """The request was sent and its response lost: it may have been charged. It is never resent automatically.

    Continue with ``job.resolve(task_id=…)``, ``job.resubmit()`` or ``job.abandon()``.

    Attributes:
        key: the key of the job.
        error: the error, with its evidence as attributes.
        evidence: what is known about the request.
    """

    kind: ClassVar[str] = "in doubt"

    evidence: Evidence | None = None

    @property
    def remedy(self) -> str:
        """What to do: one or two sentences."""
        return _END_THE_DOUBT


@attrs.frozen
class OnHold(_WithoutClip):
    """The job was not sent, because the provider charges more for its model than the price table says.

    Nothing was charged. The job stays queued, and the next session sends it; ``job.abandon()`` ends it.

    Attributes:
        key: the key of the job.
        error: the error, with the model and both prices.
    """

    kind: ClassVar[str] = "on hold"

    error: JobOnHold

    @property
    def reason(self) -> str:
        """Why, with both prices."""
        return self.error.message


Outcome = Done | Refused | Failed | InDoubt | OnHold
