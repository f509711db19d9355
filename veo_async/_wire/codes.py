"""The table from codes to errors, for HTTP statuses and body codes alike.

Most errors arrive as HTTP 200 with the code in the body, some as that HTTP status, so both use this table. The provider
uses 400 and 422 for many different things, and 404 for two; for these the message decides (`_PATTERNS_OF`). The
patterns are loose, because each message exists in several wordings.
"""

import re

from veo_async.errors import (
    ApiError,
    Blocked,
    ContentRefused,
    FeatureDisabled,
    ImageUnreachable,
    InsufficientCredits,
    KeyLimitReached,
    Maintenance,
    NotFound,
    NotReady,
    RateLimited,
    RecordExpired,
    RecordNotFound,
    RequestRejected,
    ServerError,
    Unauthorized,
)

SUCCESS = 200

#: The error for each code. All other codes are a `ServerError`.
ERRORS: dict[int, type[ApiError]] = {
    400: RequestRejected,
    401: Unauthorized,
    402: InsufficientCredits,
    403: Blocked,
    404: NotFound,
    405: RequestRejected,
    408: ServerError,
    413: RequestRejected,
    422: RequestRejected,
    429: RateLimited,
    433: KeyLimitReached,
    451: ImageUnreachable,
    455: Maintenance,
    500: ServerError,
    501: ServerError,
    505: FeatureDisabled,
}

#: The codes of a failed task, in ``errorCode``, in a callback, and sometimes in a record's own envelope.
TASK_FAILURE_CODES = frozenset({400, 422, 451, 500, 501})

_REFUSAL = re.compile(
    r"flagged|content polic|violat|unsafe|prominent people|minor upload|rejected by (flow|google)|safety"
    r"|(?<!case.)sensitive",
    re.IGNORECASE,
)
_NOT_YET = re.compile(
    r"(?<!while )processing|not ready|check back|shortly|record status is not success|record result data", re.IGNORECASE
)

_NO_SOURCE = re.compile(r"record status is not success|record result data", re.IGNORECASE)
_NO_UPGRADE = re.compile(r"version of this video is unavailable|try a different video", re.IGNORECASE)

_NO_RECORD = (re.compile(r"record\s*(info)? is null|task not found", re.IGNORECASE), RecordNotFound)
#: The error for a message that comes with an ambiguous code; the first match decides.
_MESSAGE_PATTERNS: tuple[tuple[re.Pattern[str], type[ApiError]], ...] = (
    _NO_RECORD,
    (re.compile(r"within 14 days", re.IGNORECASE), RecordExpired),
    (re.compile(r"fetch[^.]{0,20}image|image fetch", re.IGNORECASE), ImageUnreachable),
    (_REFUSAL, ContentRefused),
)
#: What the message of each ambiguous code can say. A 404 is a path that does not exist or, at recordInfo, a task. For a
#: poll these differ: a missing record may only be late, while a missing path says nothing about the task. For a
#: creating request they do not: in the provider's envelope and without a task id, both say that nothing was created. A
#: 404 without the envelope can come from any server in between, so it leaves the job in doubt (`_rules.doubt`).
_PATTERNS_OF = {400: _MESSAGE_PATTERNS, 404: (_NO_RECORD,), 422: _MESSAGE_PATTERNS}
#: "Not ready" comes as 400 or as 422; the documentation only says "a non-200 code".
_NOT_READY_ERRORS = (RequestRejected, ServerError)


def is_refusal(message: str) -> bool:
    """Return True if *message* says that the content was refused."""
    return _REFUSAL.search(message) is not None


def is_not_ready(message: str) -> bool:
    """Return True if *message* says that an upgrade or its source clip is still being processed."""
    return _NOT_YET.search(message) is not None


def is_source_missing(message: str) -> bool:
    """Return True if *message* says that the source clip of an upgrade does not exist."""
    return _NO_SOURCE.search(message) is not None


def is_upgrade_failure(code: int | None, message: str) -> bool:
    """Return True if this error says that an upgrade, which had started, has failed.

    An upgrade has no record with a reason, so the codes with which tasks fail are its record. A 500 counts only if the
    message says so: without one the server has a problem, and the upgrade may still be running.
    """
    if code == 500:
        return _NO_UPGRADE.search(message) is not None or is_refusal(message)
    return code in TASK_FAILURE_CODES


def error_for(code: int, message: str, *, may_be_not_ready: bool) -> type[ApiError]:
    """Return the error class for *code* and *message*.

    Args:
        may_be_not_ready: the endpoint reports "not ready" as an error. Record-info and the upgrades do; the
            documentation of generate lists such a message too, by mistake.
    """
    listed = ERRORS.get(code, ServerError)
    if may_be_not_ready and listed in _NOT_READY_ERRORS and is_not_ready(message):
        return NotReady
    return next((error for pattern, error in _PATTERNS_OF.get(code, ()) if pattern.search(message)), listed)


#: What a 500 of createTask says if nothing was created; any other 500 leaves that open.
_EXPLAINED_500: tuple[tuple[re.Pattern[str], type[ApiError]], ...] = (
    (re.compile(r"credits? (is |are )?insufficient|insufficient credits?", re.IGNORECASE), InsufficientCredits),
    # Only the name of a field and nothing else: "Server exception, a retry is required" is another matter.
    (re.compile(r"^\W*((the|this) )?[\w.]+\W* is required\W*$", re.IGNORECASE), RequestRejected),
    (
        re.compile(r"not within the range of allowed options|model name .{0,99}not supported", re.IGNORECASE),
        RequestRejected,
    ),
)


def rejection_in_500(message: str) -> type[ApiError] | None:
    """Return the error that the message of a 500 of createTask states; None if it states none."""
    return next((error for pattern, error in _EXPLAINED_500 if pattern.search(message)), None)


def effective_code(http_status: int, body_code: int) -> int:
    """Return the code that counts if the HTTP status and the body code disagree: the one that rules out less.

    A rejection guarantees that nothing was created. If either code means a server error, there is no such guarantee.
    Between two rejections, the body code is closer to the cause.
    """
    is_http_error = http_status >= 400
    if is_http_error and ERRORS.get(http_status, ServerError) is ServerError:
        return http_status if ERRORS.get(body_code, ServerError) is not ServerError else body_code
    return body_code
