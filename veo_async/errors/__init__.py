"""All errors that this library raises, grouped by what the caller can do about them.

::

    VeoError
    ├── UsageError               fix the call: nothing was sent or charged
    │   ├── InvalidRequest           a field breaks one of the provider's rules
    │   │   └── UnsupportedByProvider    this provider does not offer that field, value or endpoint
    │   ├── InvalidKey               the API key is missing or malformed
    │   ├── InvalidBaseUrl           the base URL is invalid or not safe to send the key to
    │   ├── ClientClosed             the client was closed, or belongs to another event loop
    │   ├── KeyReused                the key or the task belongs to another job
    │   ├── FileNameTaken            the file to save to belongs to another clip, or is the user's
    │   ├── ClipExpired              the clip of this request was deleted by the provider since
    │   ├── QueueFull                the tenant's queue is full
    │   └── BudgetExceeded           it would cost more than the session may still spend
    ├── SessionEnded             the session has ended; tasks keep running and can be adopted by id
    │   ├── SessionClosed            it was closed, is not open yet, or belongs to another event loop
    │   └── SessionCrashed           an internal error stopped it; please report it
    ├── StillRunning             the wait timed out; the job keeps running
    ├── DeadlineExceeded         the deadline passed before it was sent
    ├── JobOnHold                the provider charges more than the price table says: not sent in this session
    ├── SourceFailed             the source clip failed, so this job was never sent
    ├── UploadFailed             an image could not be uploaded, so this job was never sent
    ├── TaskMismatch             that task belongs to a different request
    ├── JobAbandoned             abandoned on request
    ├── DownloadFailed           the clip exists but could not be downloaded; download it again
    ├── ResultsWriteError        the results of a list could not be written; fix the disk and rerun
    ├── LedgerError              the ledger is unavailable, so nothing is sent
    │   ├── LedgerBusy               another program holds the lock
    │   ├── LedgerIOError            a write failed: disk full, read-only, I/O error
    │   ├── JobUnreadable            one job's row is damaged; other jobs are unaffected
    │   └── LedgerUnusable           corrupt, another program's, too new, or on a network file system
    │       └── LedgerRestored           restored from a backup or copied: jobs could be paid for twice
    ├── ApiError                 the provider returned an error
    │   ├── TryLater                 nothing was created; retry later
    │   │   ├── RateLimited              429: too many requests
    │   │   ├── Maintenance              455: provider maintenance
    │   │   └── NotReady                 the upgrade is still being processed
    │   ├── RequestRejected          the request will be rejected again unless it changes
    │   │   ├── ContentRefused           the prompt, an image or the video was refused
    │   │   ├── ImageUnreachable         the provider could not download an input image
    │   │   ├── FeatureDisabled          505: this feature is switched off
    │   │   ├── NotFound                 the task, video or endpoint does not exist
    │   │   │   └── RecordNotFound           "record is null": just created, or never existed
    │   │   └── RecordExpired            older than the 14 days for which records are kept
    │   ├── AccountError             fix the account, then retry
    │   │   ├── Unauthorized             401: the key is missing, wrong or revoked
    │   │   ├── InsufficientCredits      402: top up
    │   │   ├── KeyLimitReached          433: the key's own spending limit is reached
    │   │   └── Blocked                  403: stopped before the API saw the request
    │   ├── ServerError              5xx or an undocumented code
    │   └── TaskFailed               the task was created and failed; it is not charged
    │       └── TaskRefused              ... because of its content (also a ContentRefused)
    ├── InvalidSignature         the callback's signature is wrong or too old
    └── TransportError           no usable response arrived
        ├── NotSent                  no byte was sent: safe to retry
        ├── ResponseLost             sent, but no complete response arrived
        └── MalformedResponse        the response does not have the provider's format

``error.summary`` is a short phrase for people: "content policy", "not enough credits".
``str(error)`` is the message and the ``remedy``: what happened and what to do. Everything else is evidence: ids,
codes and counts (``task_id``, ``job_key``, ``endpoint``, ``http_status``, ``body_code``, ``bytes_sent``, ``attempts``)
are attributes and appear in ``error.evidence``, ``repr(error)`` and ``error.describe()``. Log ``error.describe()`` and
put it into bug reports. ``retryable`` says whether the same request can be sent again without the risk of a second
charge.

Errors can be pickled and copied. They hold plain values only, never the API key and never an object of the HTTP
library.
"""

from .base import VeoError, as_sentences, capitalized, printable
from .calls import (
    BudgetExceeded,
    ClientClosed,
    ClipExpired,
    FileNameTaken,
    InvalidBaseUrl,
    InvalidKey,
    InvalidRequest,
    KeyReused,
    Problem,
    QueueFull,
    UnsupportedByProvider,
    UsageError,
)
from .jobs import (
    RESUME,
    DeadlineExceeded,
    DownloadFailed,
    JobAbandoned,
    JobOnHold,
    ResultsWriteError,
    SessionClosed,
    SessionCrashed,
    SessionEnded,
    SourceFailed,
    StillRunning,
    TaskMismatch,
    UploadFailed,
)
from .ledger import JobUnreadable, LedgerBusy, LedgerError, LedgerIOError, LedgerRestored, LedgerUnusable
from .provider import (
    AccountError,
    ApiError,
    Blocked,
    ContentRefused,
    FeatureDisabled,
    ImageUnreachable,
    InsufficientCredits,
    InvalidSignature,
    KeyLimitReached,
    Maintenance,
    NotFound,
    NotReady,
    RateLimited,
    RecordExpired,
    RecordNotFound,
    RequestRejected,
    ServerError,
    TaskFailed,
    TaskRefused,
    TryLater,
    Unauthorized,
)
from .transport import MAY_HAVE_BEEN_CHARGED, MalformedResponse, NotSent, ResponseLost, TransportError

__all__ = [
    "MAY_HAVE_BEEN_CHARGED",
    "RESUME",
    "AccountError",
    "ApiError",
    "Blocked",
    "BudgetExceeded",
    "ClientClosed",
    "ClipExpired",
    "ContentRefused",
    "DeadlineExceeded",
    "DownloadFailed",
    "FeatureDisabled",
    "FileNameTaken",
    "ImageUnreachable",
    "InsufficientCredits",
    "InvalidBaseUrl",
    "InvalidKey",
    "InvalidRequest",
    "InvalidSignature",
    "JobAbandoned",
    "JobOnHold",
    "JobUnreadable",
    "KeyLimitReached",
    "KeyReused",
    "LedgerBusy",
    "LedgerError",
    "LedgerIOError",
    "LedgerRestored",
    "LedgerUnusable",
    "Maintenance",
    "MalformedResponse",
    "NotFound",
    "NotReady",
    "NotSent",
    "Problem",
    "QueueFull",
    "RateLimited",
    "RecordExpired",
    "RecordNotFound",
    "RequestRejected",
    "ResponseLost",
    "ResultsWriteError",
    "ServerError",
    "SessionClosed",
    "SessionCrashed",
    "SessionEnded",
    "SourceFailed",
    "StillRunning",
    "TaskFailed",
    "TaskMismatch",
    "TaskRefused",
    "TransportError",
    "TryLater",
    "Unauthorized",
    "UnsupportedByProvider",
    "UploadFailed",
    "UsageError",
    "VeoError",
    "as_sentences",
    "capitalized",
    "printable",
]

for _error in [value for value in vars().values() if isinstance(value, type)]:
    _error.__module__ = __name__  # tracebacks and pickles name veo_async.errors, not the module inside
