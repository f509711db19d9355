"""Which code means which error: one table for HTTP statuses and body codes alike.

Most errors arrive as HTTP 200 with the code in the body, some as that HTTP status, so both are looked up here. The
provider uses 400 and 422 for many different things; for these its sentences decide (`_MESSAGE_PATTERNS`). The sentences
are matched loosely, because each exists in several wordings.
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

#: Code, as HTTP status or in the body, to error. What is not listed is a `ServerError`.
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

#: The codes of a failed task, in ``errorCode``, in a callback, and now and then in a record's own envelope.
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

#: What a sentence makes of a code that has many meanings, the first match deciding.
_MESSAGE_PATTERNS: tuple[tuple[re.Pattern[str], type[ApiError]], ...] = (
    (re.compile(r"record\s*(info)? is null", re.IGNORECASE), RecordNotFound),
    (re.compile(r"within 14 days", re.IGNORECASE), RecordExpired),
    (re.compile(r"fetch[^.]{0,20}image|image fetch", re.IGNORECASE), ImageUnreachable),
    (_REFUSAL, ContentRefused),
)
_AMBIGUOUS = frozenset({400, 422})
#: "Not yet" comes as 400 or as 422, and the pages promise no more than "a non-200 code".
_NOT_READY_ERRORS = (RequestRejected, ServerError)


def is_refusal(message: str) -> bool:
    """Whether *message* says that the content was refused."""
    return _REFUSAL.search(message) is not None


def is_not_ready(message: str) -> bool:
    """Whether *message* says that an upgrade, or what it is made from, is still being made."""
    return _NOT_YET.search(message) is not None


def is_source_missing(message: str) -> bool:
    """Whether *message* says that what an upgrade is to be made from is not there."""
    return _NO_SOURCE.search(message) is not None


def is_upgrade_unavailable(message: str) -> bool:
    """Whether *message* says that an upgrade cannot be made, ever."""
    return _NO_UPGRADE.search(message) is not None


def error_for(code: int, message: str, *, may_be_not_ready: bool) -> type[ApiError]:
    """The error that *code* and *message* mean.

    Args:
        may_be_not_ready: the endpoint answers "not yet" in the guise of an error (record-info and the upgrades do; the
            generate page lists such a sentence too, by a slip).
    """
    listed = ERRORS.get(code, ServerError)
    if may_be_not_ready and listed in _NOT_READY_ERRORS and is_not_ready(message):
        return NotReady
    if code in _AMBIGUOUS:
        for pattern, error in _MESSAGE_PATTERNS:
            if pattern.search(message):
                return error
    return listed


def effective_code(http_status: int, body_code: int) -> int:
    """Which of two codes counts when both say no and they disagree: the one that promises less.

    A refusal is a promise that nothing was made. Where either side tells of something broken, that promise is void.
    Between two refusals the body is nearer to the cause.
    """
    is_http_error = http_status >= 400
    if is_http_error and ERRORS.get(http_status, ServerError) is ServerError:
        return http_status if ERRORS.get(body_code, ServerError) is not ServerError else body_code
    return body_code
