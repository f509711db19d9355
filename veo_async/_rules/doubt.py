"""The outcome of a creating request that failed: no task was created, or the job is in doubt.

Confusing *refused* with *in doubt* would mean sending again and paying twice. So a refusal counts only if its source
can guarantee it: the provider's own envelope with a rejecting code, a 429 from any server (a server that sends it did
not pass the request on), a firewall in front of the API, or our own knowledge that not one byte was sent. Everything
else leaves the job in doubt: any 5xx, an accepting response without a task id, a truncated or unreadable response, and
a refusal (a 429 too) that names a task. A `UsageError` is our own refusal, raised before anything was sent.

A job in doubt is bound to a task by evidence only: the task's record repeats the request, including the callback URL
with the attempt's token (`find_proof`).
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from veo_async.errors import (
    AccountError,
    Blocked,
    ClientClosed,
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

    #: Not one byte was sent: as if the attempt had never been made.
    NOT_SENT = "not-sent"
    #: Refused by the rate limit; does not count as an attempt.
    RATE_LIMITED = "rate-limited"
    #: The whole account has to wait, and so does the job.
    PAUSED = "paused"
    #: Our own HTTP client is closed: nothing was sent, and nothing more can be.
    CLIENT_CLOSED = "client-closed"
    #: Nothing can be sent with this API key.
    LOCKED_OUT = "locked-out"
    #: The provider will not create this clip.
    REFUSED = "refused"
    #: The task may have been created and charged.
    IN_DOUBT = "in-doubt"


def classify_failure(error: VeoError) -> Verdict:
    """Return what *error*, raised by a creating request, means for the job."""
    match error:
        case NotSent():
            return Verdict.NOT_SENT
        case ClientClosed():
            return Verdict.CLIENT_CLOSED
        case InvalidKey():
            return Verdict.LOCKED_OUT
        case UsageError():
            return Verdict.REFUSED
    if error.task_id is not None:
        return Verdict.IN_DOUBT
    match error:
        case RateLimited():
            return Verdict.RATE_LIMITED
        case Blocked():
            return Verdict.PAUSED
    if error.body_code is None:
        return Verdict.IN_DOUBT
    match error:
        case Maintenance() | InsufficientCredits() | KeyLimitReached():
            return Verdict.PAUSED
        case AccountError():
            return Verdict.LOCKED_OUT
        case RequestRejected() | NotReady():
            return Verdict.REFUSED
        case _:
            return Verdict.IN_DOUBT


class Proof(StrEnum):
    """What a record proves about the job that its task belongs to."""

    #: It contains the token of one of the job's attempts.
    TOKEN = "token"  # noqa: S105  # the name of a proof, not a secret
    #: It contains the job's prompt.
    PROMPT = "prompt"
    #: It does not contain the request.
    NONE = "none"
    #: It contains another request.
    OTHER = "other"


def find_proof(params: Mapping[str, Any], *, tokens: Collection[str], prompt: str | None) -> Proof:
    """Return what a record with *params* proves about a job with *tokens* and *prompt*.

    The token may be anywhere in *params*: the provider's documentation shows the callback URL escaped in unusual ways.
    """
    text = str(params)
    if any(token in text for token in tokens):
        return Proof.TOKEN
    record_prompt = params.get("prompt")
    if not isinstance(record_prompt, str) or prompt is None:
        return Proof.NONE
    return Proof.PROMPT if record_prompt.split() == prompt.split() else Proof.OTHER
