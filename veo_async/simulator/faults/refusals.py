"""Faults that replace the response with an error, a page or a redirect."""

from typing import Literal, Unpack

from veo_async.simulator.provider.http_headers import retry_after_headers
from veo_async.simulator.provider.messages import ErrorResponse, SimResponse

from .table import Fault, FaultContext, When, fault_kind

_RATE_MESSAGE = "Your call frequency is too high. Please try again later."


def _error(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    headers = retry_after_headers(fault.retry_after, fault.retry_after_as, context.wall_time)
    message = fault.message or f"code {fault.code}"
    return ErrorResponse(fault.code, message, headers=tuple(headers)).to_response(fault.form)


def _html(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    text = "Access denied | error code: 1010" if fault.variant == "1010" else f"{fault.code} from the gateway"
    body = f"<!DOCTYPE html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>\n"
    return SimResponse(status=fault.code, headers=(("Content-Type", "text/html; charset=UTF-8"),), body=body.encode())


def _redirect(fault: Fault, response: SimResponse, context: FaultContext) -> SimResponse:
    return SimResponse(status=fault.code, headers=(("Location", fault.location),))


@fault_kind(response=_error)
def refuse(
    code: int,
    message: str = "",
    *,
    form: Literal["body", "http"] = "body",
    accepted: bool = False,
    retry_after: float | str | tuple[str, ...] | None = None,
    retry_after_as: Literal["seconds", "date"] = "seconds",
    **when: Unpack[When],
) -> Fault:
    """Respond with an error code, in the body of an HTTP 200 or as HTTP status.

    Args:
        accepted: True creates and charges the task nevertheless.
        retry_after: Seconds for ``Retry-After``, or the header's text, or the texts of several such headers.
    """
    return Fault(
        kind="refuse",
        code=code,
        message=message,
        form=form,
        accepted=accepted,
        retry_after=retry_after,
        retry_after_as=retry_after_as,
        **when,
    )


@fault_kind(response=_error)
def rate_limited(
    *,
    retry_after: float | str | tuple[str, ...] | None = None,
    retry_after_as: Literal["seconds", "date"] = "seconds",
    form: Literal["body", "http"] = "body",
    **when: Unpack[When],
) -> Fault:
    """Respond with code 429.

    Args:
        retry_after: Seconds for ``Retry-After``, or the header's text, or the texts of several such headers.
    """
    return Fault(
        kind="rate-limited",
        code=429,
        message=_RATE_MESSAGE,
        form=form,
        accepted=False,
        retry_after=retry_after,
        retry_after_as=retry_after_as,
        **when,
    )


@fault_kind(response=_error)
def unknown_code(code: int = 599, *, form: Literal["body", "http"] = "body", **when: Unpack[When]) -> Fault:
    """Respond with an undocumented error code."""
    return Fault(kind="unknown-code", code=code, message="Something new", form=form, accepted=False, **when)


@fault_kind(response=_html)
def html_page(status: int = 200, *, variant: str = "", accepted: bool = True, **when: Unpack[When]) -> Fault:
    """Respond with an HTML page instead of JSON or a video."""
    return Fault(kind="html-page", code=status, variant=variant, accepted=accepted, **when)


@fault_kind(response=_html)
def blocked_1010(**when: Unpack[When]) -> Fault:
    """Respond like the firewall in front of the API: HTTP 403 with ``error code: 1010``."""
    return Fault(kind="blocked-1010", code=403, variant="1010", accepted=False, **when)


@fault_kind(response=_redirect)
def redirect(status: int = 302, location: str = "https://elsewhere.invalid/", **when: Unpack[When]) -> Fault:
    """Redirect to another host."""
    return Fault(kind="redirect", code=status, location=location, accepted=False, **when)
