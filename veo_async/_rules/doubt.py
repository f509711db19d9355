"""What became of a creating request: made, provably not made, or in doubt.

The line between *refused* and *in doubt* is the line between sending again and paying twice, so a refusal counts only
from who can promise it: the provider's own envelope with a code that says no, a 429 from anyone (whoever sends it did
not pass the request on), a gate in front of the API, or our own knowledge that not one byte had left. Everything else
is doubt: 5xx of any kind, an accepted answer without a task id, an answer that broke off or cannot be read, a refusal
(a 429 too) that names a task all the same. A `UsageError` is our own no, said before anything was sent.

A job in doubt is bound to a task by evidence only, and the evidence is the record's: it repeats what was asked for,
with the callback URL that holds the attempt's token (`find_proof`).
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from veo_async.errors import (
    AccountError,
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
    NOT_SENT = "unsent"
    #: Refused for the rate; it was not an attempt.
    RATE_LIMITED = "limited"
    #: The whole account has to wait; the job does, too.
    PAUSED = "paused"
    #: Nothing can be sent with this key.
    LOCKED_OUT = "locked-out"
    #: The provider will not make it.
    REFUSED = "refused"
    #: It may have been made and paid.
    IN_DOUBT = "doubt"


def classify_failure(error: VeoError) -> Verdict:
    """What *error*, raised by a creating call, means."""
    match error:
        case NotSent():
            return Verdict.NOT_SENT
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
    """What a record tells of whose task it is."""

    #: It holds the token of one of the job's attempts.
    TOKEN = "token"  # noqa: S105
    #: It holds the job's prompt.
    PROMPT = "prompt"
    #: It does not say what was asked for.
    NONE = "none"
    #: It was asked for something else.
    OTHER = "other"


def find_proof(params: Mapping[str, Any], *, tokens: Collection[str], prompt: str | None) -> Proof:
    """Whether a record with *params* belongs to a job with *tokens* and *prompt*.

    The token is looked for anywhere: the pages show the callback URL escaped in odd ways.
    """
    text = str(params)
    if any(token in text for token in tokens):
        return Proof.TOKEN
    record_prompt = params.get("prompt")
    if not isinstance(record_prompt, str) or prompt is None:
        return Proof.NONE
    return Proof.PROMPT if record_prompt.split() == prompt.split() else Proof.OTHER
