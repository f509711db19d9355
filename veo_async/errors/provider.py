"""Errors that the provider returns, and callbacks that are not the provider's."""

from typing import ClassVar

from .base import VeoError

_REWORD = "Reword the prompt, change the image, or try another seed."


class ApiError(VeoError):
    """The provider returned an error."""

    summary = "the provider returned an error"


class TryLater(ApiError):
    """Nothing was created; the same request may succeed later."""

    summary = "the provider is busy"
    retryable = True
    #: Seconds to wait, as the server requested, within bounds; None if it requested nothing.
    retry_after: float | None = None
    remedy = "Retry later."

    _EVIDENCE: ClassVar[tuple[str, ...]] = (*VeoError._EVIDENCE, "retry_after")


class RateLimited(TryLater):
    """429, as the HTTP status or in the body: the request was rejected, not queued and not charged."""

    summary = "too many requests"
    remedy = "Retry after `retry_after` seconds (10 s if unset); a session does this itself."


class Maintenance(TryLater):
    """455: the provider is under maintenance."""

    summary = "the provider is under maintenance"
    remedy = "Retry in a few minutes; running tasks are not affected."


class NotReady(TryLater):
    """The 1080p or 4K version is still being processed. This is a state, not a failure."""

    summary = "the upgrade is still being processed"
    remedy = "Try again in 30 s."


class RequestRejected(ApiError):
    """The request will be rejected again unless it changes. Nothing was created."""

    summary = "the provider rejected the request"
    remedy = "Change the request; nothing was created."


class ContentRefused(RequestRejected):
    """The content filter refused the prompt, an image or the video."""

    summary = "content policy"
    remedy = _REWORD


class ImageUnreachable(RequestRejected):
    """The provider could not download an input image."""

    summary = "the provider could not load an image"
    remedy = "Use a public URL without redirects or login, or pass the file so that it is uploaded."


class FeatureDisabled(RequestRejected):
    """505: the provider has switched this feature off."""

    summary = "the feature is switched off"
    remedy = "Use another model or feature."


class NotFound(RequestRejected):
    """The task, video or endpoint does not exist."""

    summary = "the task or video does not exist"
    remedy = "Check the task id and that it belongs to this account."


class RecordNotFound(NotFound):
    """The provider has no record of this task: it was just created, or never existed.

    Records appear some seconds after their task, so retry for a minute before concluding that there is none.
    """

    summary = "the provider has no record of the task"
    retryable = True
    remedy = "Retry for about a minute: records of new tasks appear with a delay."


class RecordExpired(RequestRejected):
    """The record is older than the 14 days for which the provider keeps records."""

    summary = "the record has expired"
    remedy = "The record is gone for good; generate the clip again if you still need it."


class AccountError(ApiError):
    """The account or the API key must be fixed first; nothing was created."""

    summary = "a problem with the account"


class Unauthorized(AccountError):
    """401: the API key is missing, wrong or revoked."""

    summary = "the API key was rejected"
    remedy = "Check the API key in KIE_API_KEY (or api_key=) and the address in KIE_BASE_URL (or base_url=)."


class InsufficientCredits(AccountError):
    """402: the balance does not cover this request."""

    summary = "not enough credits"
    remedy = "Top up the account, then retry."


class KeyLimitReached(AccountError):
    """433: the key's own hourly, daily or total spending limit is reached."""

    summary = "the spending limit of the key is reached"
    remedy = "Raise this key's spending limit or wait until it resets."


class Blocked(AccountError):
    """403: a firewall stopped the request because of its User-Agent or IP address; the key may be valid."""

    summary = "a firewall blocked the request"
    remedy = "Check the key's IP allowlist and that no proxy strips the User-Agent header."


class ServerError(ApiError):
    """A 5xx, a 408, or an undocumented code.

    A read can be retried. A creating request may have been charged, so it is not retryable then.
    """

    summary = "the provider had a server error"


class TaskFailed(ApiError):
    """The task was created and failed. Users report that failed tasks are not charged."""

    summary = "the provider failed"
    #: The provider's code for the failure: 400, 422, 500, 501, or None.
    reason_code: int | None = None
    #: The provider's words for the failure; empty if there are none.
    reason: str = ""
    remedy = "Failed tasks are not charged; submit it again."

    _EVIDENCE: ClassVar[tuple[str, ...]] = (*VeoError._EVIDENCE, "reason_code", "reason")


class TaskRefused(TaskFailed, ContentRefused):
    """The task was created and refused because of its content."""

    summary = "content policy"
    remedy = _REWORD


class InvalidSignature(VeoError):
    """A callback's signature is missing, wrong or too old."""

    summary = "the signature of the callback is wrong"
    remedy = (
        "Check that the webhook secret matches the provider's settings page and that this machine's clock is right."
    )
