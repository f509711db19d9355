"""Errors of one HTTP request whose response is missing or unusable."""

from typing import ClassVar

from .base import VeoError

#: The remedy for a creating request whose outcome is unknown.
MAY_HAVE_BEEN_CHARGED = (
    "This request may have been charged. Do not repeat it: the job is in doubt until job.resolve(), job.resubmit() "
    "or job.abandon()."
)


class TransportError(VeoError):
    """No usable response arrived."""

    summary = "no usable response"


class NotSent(TransportError):
    """No byte of the request was sent: the connection was never made."""

    summary = "the provider could not be reached"
    retryable = True
    bytes_sent: int | None = 0
    remedy = "Check the network and the base URL, then retry: the request never reached the provider."


class ResponseLost(TransportError):
    """The request was sent, fully or in part, but no complete response arrived.

    A creating request may have been charged: its job is in doubt.
    """

    summary = "the response was lost"


class MalformedResponse(TransportError):
    """The response does not have the provider's format: HTML, broken or hostile JSON, wrong types, or a redirect."""

    summary = "the response was not readable"
    #: The beginning of the response, made printable.
    excerpt: str = ""

    _EVIDENCE: ClassVar[tuple[str, ...]] = (*VeoError._EVIDENCE, "excerpt")
