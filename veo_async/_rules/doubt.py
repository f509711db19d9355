"""What became of a creating request: made, provably not made, or in doubt.

The line between *refused* and *in doubt* is the line between sending again and paying twice, so a refusal counts only
from who can promise it: the provider's own envelope with a code that says no, a 429 from anyone (whoever sends it did
not pass the request on), a gate in front of the API, or our own knowledge that not one byte had left. Everything else
is doubt: 5xx of any kind, an accepted answer without a task id, an answer that broke off or cannot be read, a refusal
(a 429 too) that names a task all the same. A `UsageError` is our own no, said before anything was sent.
"""

from enum import StrEnum

from veo_async.errors import (
    AccountProblem,
    Blocked,
    InsufficientCredits,
    InvalidKey,
    KeyLimitReached,
    Maintenance,
    NotReady,
    NotSent,
    RateLimited,
    RequestRejected,
    UsageError,
    VeoError,
)


class Verdict(StrEnum):
    """What a failed creating attempt means for its job."""

    #: Not one byte had left: as if it had never been tried.
    UNSENT = "unsent"
    #: Refused for the rate; it was not an attempt.
    LIMITED = "limited"
    #: The whole account has to wait; the job does, too.
    PAUSED = "paused"
    #: Nothing can be sent with this key.
    LOCKED_OUT = "locked-out"
    #: The provider will not make it.
    REFUSED = "refused"
    #: It may have been made and paid.
    DOUBT = "doubt"


def verdict_on(error: VeoError) -> Verdict:
    """What *error*, raised by a creating call, means."""
    match error:
        case NotSent():
            return Verdict.UNSENT
        case InvalidKey():
            return Verdict.LOCKED_OUT
        case UsageError():
            return Verdict.REFUSED
    if error.task_id is not None:
        return Verdict.DOUBT
    match error:
        case RateLimited():
            return Verdict.LIMITED
        case Blocked():
            return Verdict.PAUSED
    if error.body_code is None:
        return Verdict.DOUBT
    match error:
        case Maintenance() | InsufficientCredits() | KeyLimitReached():
            return Verdict.PAUSED
        case AccountProblem():
            return Verdict.LOCKED_OUT
        case RequestRejected() | NotReady():
            return Verdict.REFUSED
        case _:
            return Verdict.DOUBT
