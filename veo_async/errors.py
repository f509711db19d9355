"""Every error this library raises, split by what you can do about it.

::

    VeoError
    ├── UsageError               mend the call: nothing was sent, nothing was paid
    │   ├── InvalidRequest           a field of the request breaks a rule of the provider
    │   │   └── UnsupportedByProvider     this provider's pages know no such field, value or endpoint
    │   ├── InvalidKey               no API key, or one that cannot be a key
    │   ├── InvalidBaseUrl           a base address that must not be given the key
    │   ├── ClientClosed             the client was closed, or belongs to another event loop
    │   ├── KeyReused                the key names a job with another request
    │   ├── QueueFull                the tenant has as many jobs waiting as it may
    │   └── BudgetExceeded           it would cost more than the session may still spend
    ├── SessionEnded             the session is gone, the tasks are not: adopt them by their ids
    │   ├── SessionClosed            it was closed, is not open yet, or belongs to another event loop
    │   └── SessionCrashed           a defect of ours stopped it
    ├── StillRunning             wait on: the time to wait is over, the job goes on
    ├── ApiError                 the provider answered, and the answer is no
    │   ├── TryLater                 wait: nothing was made, the same request may pass later
    │   │   ├── RateLimited              429: too many creations just now
    │   │   ├── Maintenance              455: the provider is being worked on
    │   │   └── NotReady                 an upgrade that is still being made
    │   ├── RequestRejected          change the request: it will be rejected again as it is
    │   │   ├── ContentRefused           the prompt, an image or the picture itself was refused
    │   │   ├── ImageUnreachable         the provider could not fetch an input image
    │   │   ├── FeatureDisabled          505: this feature is switched off
    │   │   ├── NotFound                 no such task, video or endpoint
    │   │   │   └── RecordNotFound            "record is null": just made, or never made
    │   │   └── RecordExpired            older than the 14 days that the provider remembers
    │   ├── AccountError           mend the account, then go on
    │   │   ├── Unauthorized             401: the key is missing, wrong or revoked
    │   │   ├── InsufficientCredits      402: top up
    │   │   ├── KeyLimitReached          433: the key's own spending cap is used up
    │   │   └── Blocked                  403: stopped before the API saw the request
    │   ├── ServerError             look again: 5xx, or a code nobody documented
    │   └── TaskFailed               the task was made and then failed; it is not charged
    │       └── TaskRefused              ... because of its content (also a ContentRefused)
    ├── TransportError           no usable answer arrived
    │   ├── NotSent                  not one byte had left us: safe to send again
    │   ├── ResponseLost               sent, but the answer never came whole
    │   └── MalformedResponse        an answer came that is not of the provider's form
    ├── LedgerError              the ledger stands in the way: nothing is sent without it
    │   ├── LedgerBusy               somebody else has held it locked for too long
    │   ├── LedgerIOError             a write did not come to be: disk full, read-only, I/O error
    │   └── LedgerUnusable           corrupt, foreign, newer than this version, or on a network file system
    ├── InvalidSignature             a callback that the provider has not signed, or not just now
    ├── DeadlineExceeded           it could not be sent in time, so it never was
    ├── SourceFailed             what the job was to go on from came to nothing, so it was never sent
    ├── UploadFailed             an image of the job could not be uploaded, so the job was never sent
    ├── TaskMismatch               the task that was named is not this job's
    ├── JobAbandoned             given up because somebody said so
    ├── DownloadFailed           the clip is made and paid, its file is not on disk yet: fetch it again
    └── ResultsWriteError        what became of a list is not written down: mend the disk and run it again

Each error carries what is known of its story (``task_id``, ``http_status``, ``body_code``, ``bytes_sent``,
``attempts``, ``job_key``, ``endpoint``), a ``remedy`` that stands in its text, and ``retryable``: whether the same
request may be sent again without the risk of paying twice, with some hope of another answer.

Errors pickle and copy; they hold plain values only, never the API key and never an object of the HTTP library.
"""

from typing import Any, ClassVar

import attrs

_MESSAGE_LIMIT = 600


def printable(text: str, limit: int = _MESSAGE_LIMIT) -> str:
    """*text* made safe for a terminal and a log line: control characters escaped, length bounded.

    Servers echo prompts in their messages, and prompts can hold escape sequences. Doing it twice changes nothing,
    which is what lets errors be rebuilt from their arguments when they are unpickled.
    """
    bounded = text[:limit]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in bounded)
    if len(text) <= limit and len(shown) <= limit:
        return shown
    return f"{shown[: limit - 1]}…"


class VeoError(Exception):
    """Root of all our errors: evidence as attributes, the remedy in the text."""

    #: May the same request be sent again without the risk of paying twice, with some hope?
    retryable: bool = False
    #: What the reader can do now; one sentence.
    remedy: str = ""
    #: Which coroutine of the client, or which file, this is about.
    endpoint: str | None = None
    #: The job's key in the ledger.
    job_key: str | None = None
    #: The provider's id of the task, where one is known.
    task_id: str | None = None
    #: The HTTP status of the answer, where one came.
    http_status: int | None = None
    #: The ``code`` inside the answer's body, where there was one.
    body_code: int | None = None
    #: How many bytes of the request's body had left us; None when no request was made.
    bytes_sent: int | None = None
    #: How many creating POSTs the job has seen so far.
    attempts: int | None = None

    _EVIDENCE: ClassVar[tuple[str, ...]] = (
        "endpoint",
        "job_key",
        "task_id",
        "http_status",
        "body_code",
        "bytes_sent",
        "attempts",
    )

    def __init__(self, message: str = "", **evidence: Any) -> None:
        super().__init__(printable(message))
        self.add_evidence(**evidence)

    @property
    def message(self) -> str:
        """The bare message, without evidence and remedy."""
        return str(self.args[0]) if self.args else ""

    def add_evidence(self, **evidence: Any) -> None:
        """Attach what has become known since; None says nothing and is passed over."""
        for name, value in evidence.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} carries no {name!r}")
            if value is not None:
                setattr(self, name, value)

    def __str__(self) -> str:
        known = {name: value for name in self._EVIDENCE if (value := getattr(self, name)) is not None}
        facts = [f"{name} {printable(str(value), 200)}" for name, value in known.items()]
        told = f"{self.message} ({', '.join(facts)})" if facts else self.message
        return f"{told} — {self.remedy}" if self.remedy else told


# --- mend the call ----------------------------------------------------------------------------------------------


class UsageError(VeoError):
    """The call itself is wrong. Nothing was sent and nothing was paid."""

    remedy = "Mend the call; nothing was sent."


class _Repr(str):
    """How a value looked that an error does not keep; shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _plain_or_repr(value: Any) -> Any:
    """*value* where it is plain, else its likeness: a lambda or a session does not pickle and is none of ours."""
    items = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(item, str | int | float | bool | None) for item in items):
        return value
    return _Repr(printable(repr(value), 120))


@attrs.frozen
class Problem:
    """One thing wrong with one field of a request."""

    #: Our name of the option, e.g. ``aspect_ratio``.
    field: str
    #: What was given; how it looked, where that was no plain value or list of them.
    value: Any = attrs.field(converter=_plain_or_repr)
    #: The rule it breaks.
    rule: str
    #: What to write instead.
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}={printable(repr(self.value), 120)}: {self.rule} — {self.remedy}"


class InvalidRequest(UsageError):
    """A request breaks the provider's rules; all its faults are told at once.

    ``problems`` holds every fault; ``field``, ``value`` and ``rule`` are the first one's.
    """

    problems: tuple[Problem, ...] = ()
    remedy = "Nothing was sent. A value newer than this library passes with validate=False."

    @classmethod
    def of(cls, *problems: Problem) -> "InvalidRequest":
        return cls("; ".join(str(fault) for fault in problems), problems=problems)

    @property
    def field(self) -> str | None:
        return self.problems[0].field if self.problems else None

    @property
    def value(self) -> Any:
        return self.problems[0].value if self.problems else None

    @property
    def rule(self) -> str | None:
        return self.problems[0].rule if self.problems else None


class UnsupportedByProvider(InvalidRequest):
    """This provider's pages know no such field or endpoint, so sending it would be a guess with your money."""

    remedy = "Nothing was sent. Leave it out, or use a provider that knows it."


class InvalidKey(UsageError):
    """There is no API key, or what is there cannot be one. The value itself is never quoted."""

    remedy = "Pass api_key=… or set VEO_API_KEY."


class InvalidBaseUrl(UsageError):
    """An address that must not be given the key: plain http, userinfo in it, or no URL at all."""

    remedy = "Use an https:// address; http:// is for loopback, or say allow_insecure_http=True."


class ClientClosed(UsageError):
    """The client was closed, never opened, or is used from another event loop than its own."""

    remedy = "Open one client per event loop and use it inside its `async with` block."


class KeyReused(UsageError):
    """The same key with another request: one of them would be lost."""

    remedy = "Use another key, or the same request; nothing was sent."


class QueueFull(UsageError):
    """A tenant has as many jobs waiting as it may have; this one was not queued."""

    retryable = True
    #: The tenant, and how many of its jobs may wait.
    tenant: str = ""
    limit: int = 0
    remedy = "Let some jobs be sent first, or raise the tenant's max_queued."


class BudgetExceeded(UsageError):
    """The session may not reserve what this would cost; nothing of it was queued.

    Not retryable: what others have reserved comes back only where they come to nothing, and that is no hope to wait on.
    """

    #: What it would cost, with all its steps; None when nobody knows.
    cost: float | None = None
    #: What is reserved already, and the bound.
    reserved: float = 0.0
    budget: float = 0.0
    remedy = "Open a session with a larger budget; where the price is not known, tell it with prices=."


# --- the session, and waiting -----------------------------------------------------------------------------------


class SessionEnded(VeoError):
    """The session is gone. Tasks that were made go on at the provider."""

    remedy = "Open another session; a task is taken in again with adopt(task_id)."


class SessionClosed(SessionEnded):
    """The session was closed, is not open yet, or belongs to another event loop."""


class SessionCrashed(SessionEnded):
    """A defect of ours stopped the session; please report it."""


class StillRunning(VeoError, TimeoutError):
    """The time to wait is over. The job goes on, nothing was cancelled."""

    retryable = True
    remedy = "Wait again, as often as you like: nothing was cancelled."


# --- the provider said no ---------------------------------------------------------------------------------------


class ApiError(VeoError):
    """The provider answered, and the answer is no."""


class TryLater(ApiError):
    """Nothing was made; the same request may pass later."""

    retryable = True
    #: Seconds that the server asked us to wait, within bounds; None when it did not say.
    retry_after: float | None = None
    remedy = "Wait, then send the same request again."


class RateLimited(TryLater):
    """429, as HTTP status or as body code: refused, not queued, not charged."""

    remedy = "Wait for retry_after, or 10 s, and send it again: the request was refused, not queued."


class Maintenance(TryLater):
    """455: the provider is under maintenance."""

    remedy = "Wait some minutes; tasks that run already are not lost."


class NotReady(TryLater):
    """A 1080p or 4K version that is still being made. This is a state, not a failure."""

    remedy = "Ask again in 30 s; the upgrade is being made."


class RequestRejected(ApiError):
    """The request will be rejected again as it is: change it. Nothing was made."""

    remedy = "Change the request; nothing was made."


class ContentRefused(RequestRejected):
    """The content filter refused the prompt, an image or the picture."""

    remedy = "Reword the prompt or change the image; refusals are partly random, so another seed may pass."


class ImageUnreachable(RequestRejected):
    """The provider could not fetch an input image."""

    remedy = "Give a public URL without redirects or log-in, or upload the image first."


class FeatureDisabled(RequestRejected):
    """505: the provider has switched this feature off."""

    remedy = "Use another model or feature; the provider has switched this one off."


class NotFound(RequestRejected):
    """No such task, video or endpoint."""

    remedy = "Check the task id, and that it was made with this account."


class RecordNotFound(NotFound):
    """The provider knows no record of this task: it was made a moment ago, or never.

    Records appear some seconds after their task, so look again for a minute before believing it.
    """

    retryable = True
    remedy = "Look again for a minute: a new task's record appears late."


class RecordExpired(RequestRejected):
    """The record is older than the 14 days that the provider remembers."""

    remedy = "The provider has forgotten this task; generate it anew if you still need it."


class AccountError(ApiError):
    """The account or the key stands in the way; nothing was made."""


class Unauthorized(AccountError):
    """401: the key is missing, wrong or revoked."""

    remedy = "Check the API key and the address it is sent to."


class InsufficientCredits(AccountError):
    """402: the balance does not cover this request."""

    remedy = "Top up the account, then send it again."


class KeyLimitReached(AccountError):
    """433: the key's own hourly, daily or total spending cap is used up."""

    remedy = "Raise the key's spending cap or wait until it renews."


class Blocked(AccountError):
    """403: stopped in front of the API, for the User-Agent or the IP address; the key may be fine."""

    remedy = "Check the key's IP whitelist, and do not hide the User-Agent."


class ServerError(ApiError):
    """A 5xx, a 408, or a code that nobody documented.

    For a read: look again. For a creating call the outcome is unknown, hence not retryable.
    """

    remedy = "A read can be tried again. Do not repeat a creating call before looking for its task."


class TaskFailed(ApiError):
    """The task was made and then failed. By what users report, failed tasks are not charged."""

    #: The provider's own code for the failure: 400, 422, 500, 501, or None.
    reason_code: int | None = None
    remedy = "Generate it again if you like: failed tasks are not charged."


class TaskRefused(TaskFailed, ContentRefused):
    """The task was made and then refused for its content."""

    remedy = "Reword the prompt or change the image; refusals are partly random, so another seed may pass."


# --- no usable answer -------------------------------------------------------------------------------------------


class TransportError(VeoError):
    """No usable answer arrived."""


class NotSent(TransportError):
    """Not one byte of the request had left us: the connection was never made."""

    retryable = True
    bytes_sent: int | None = 0
    remedy = "Safe to send again: the provider never saw it. Check the network and the address."


class ResponseLost(TransportError):
    """The request had left, fully or in part, and its answer never came whole.

    For a creating call the clip may have been bought: look for it before sending another.
    """

    remedy = "A read can be tried again. Do not repeat a creating call before looking for its task."


class MalformedResponse(TransportError):
    """An answer came that is not of the provider's form: HTML, broken or hostile JSON, wrong types, a redirect."""

    #: The beginning of what came instead, made printable.
    excerpt: str = ""
    remedy = "A read can be tried again. Do not repeat a creating call before looking for its task."


# --- the ledger -------------------------------------------------------------------------------------------------


class LedgerError(VeoError):
    """The ledger stands in the way. Nothing is sent that is not written down first, so nothing was."""


class LedgerBusy(LedgerError):
    """Somebody else has held the ledger locked for longer than we wait."""

    retryable = True
    remedy = "See which program has the file open; nothing was sent meanwhile."


class LedgerIOError(LedgerError):
    """A write did not come to be: the disk is full or broken, or the file is read-only or gone."""

    retryable = True
    remedy = "Make room on the disk, or make the file writable; what was written before is safe."


class LedgerUnusable(LedgerError):
    """This file is not opened, and was left as it is: corrupt, foreign, of a newer version, or without true locks."""

    remedy = "Name another file, or bring a copy back; it is never overwritten."


# --- callbacks --------------------------------------------------------------------------------------------------


class InvalidSignature(VeoError):
    """A callback whose signature is missing, wrong or out of date."""

    remedy = (
        "Compare the webhook key with the one at the provider's settings page, and this machine's clock with theirs."
    )


# --- how a job can end by word ----------------------------------------------------------------------------------


class DeadlineExceeded(VeoError):
    """The job could not be sent before its deadline, so it never was."""

    retryable = True
    remedy = "Submit it again with more time; nothing was sent."


class SourceFailed(VeoError):
    """The job whose clip this one was to go on from has come to nothing; this one was never sent."""

    retryable = True
    remedy = "See what became of the other job, and submit both again."


class UploadFailed(VeoError):
    """An image could not be uploaded, so the job that wanted it was never sent and nothing was paid.

    The message holds the upload host's own words.
    """

    retryable = True
    remedy = "Nothing was sent and nothing was paid. Submit it again, or give the image's URL."


class TaskMismatch(VeoError):
    """The task that was named is not this job's, by its record; the job is as it was."""

    remedy = "Compare the task's prompt with the job's, and name another task."


class JobAbandoned(VeoError):
    """The job was given up because somebody said so."""

    remedy = "Submit its request under another key if it is wanted after all."


# --- fetch it again ---------------------------------------------------------------------------------------------


class DownloadFailed(VeoError):
    """The clip is made and paid for, but its file is not on disk yet."""

    retryable = True
    remedy = "Fetch it again; the clip itself is safe with the provider for some days."


class ResultsWriteError(VeoError):
    """What became of a list could not be written down; every job is as the ledger says, and nothing is lost."""

    remedy = "Make room or mend the folder, then give the same command again: nothing is paid for twice."
