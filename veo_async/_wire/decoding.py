"""Decode an HTTP response into a value or an error.

1. Parse the envelope. Without one, the HTTP status alone decides, and the error has no body code: only the provider
   itself can state that it created nothing.
2. Code 200 in the body is success, regardless of the HTTP status: a task id is never thrown away.
3. Any other code may still come with the result (`Endpoint.read_error_body`): a failed task as a server error, a
   finished 4K video as a 422.
4. Otherwise `codes` chooses the error. If the HTTP status and the body disagree, the one that rules out less counts.
5. Whatever the codes say, an error that names a task says so: that task may exist and be charged.

The outcome is always a value of the endpoint or a `VeoError`, regardless of the input.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from veo_async.errors import (
    MAY_HAVE_BEEN_CHARGED,
    ApiError,
    Maintenance,
    MalformedResponse,
    NotReady,
    RequestRejected,
    ServerError,
    TryLater,
    Unauthorized,
    VeoError,
    printable,
)

from . import codes
from .endpoints import Endpoint
from .envelope import Envelope, HttpResponse, parse_envelope
from .responses import Record
from .retry_after import retry_after_s
from .task_ids import mentioned_task_ids

T = TypeVar("T")

#: What a firewall in front of the API writes into a response that resembles one for an invalid key.
_FIREWALL_MARK = b"error code: 1010"
_TITLE = re.compile(rb"<title>([^<]{1,200})", re.IGNORECASE)
_IF_REPEATED = "Retry; if it happens again, check KIE_BASE_URL."
_IF_RIGHT = "Correct it, or retry if it is."


def decode_response(
    endpoint: Endpoint[T], response: HttpResponse, *, task_id: str | None = None, base_url: str | None = None
) -> T:
    """Return the value in *response*.

    Args:
        task_id: the task that the request was about. A record of another task is malformed.
        base_url: where the request went, for the errors that make one ask.

    Raises:
        ApiError: the provider returned an error.
        MalformedResponse: the response does not have the provider's format.
    """
    try:
        value = _read(endpoint, response, base_url)
        if isinstance(value, Record) and task_id is not None and value.task_id not in (None, task_id):
            raise MalformedResponse(f"the record belongs to another task, {printable(value.task_id or '', 100)}")
        return value
    except VeoError as error:
        named = next(_new_task_ids(response, task_id), None) if endpoint.is_charged else None
        error.add_evidence(endpoint=endpoint.name, http_status=response.status, task_id=named or task_id)
        if _is_inconclusive(error) or (named is not None and not isinstance(error, NotReady)):
            error.retryable = not endpoint.is_charged
            error.remedy = MAY_HAVE_BEEN_CHARGED if endpoint.is_charged else error.remedy or "Retry."
        elif isinstance(error, Unauthorized) and base_url is not None:
            error.remedy = f"Check the API key in KIE_API_KEY (or api_key=); it was sent to {base_url}."
        raise


def _new_task_ids(response: HttpResponse, task_id: str | None) -> Iterator[str]:
    """Yield the tasks that a failed creating request may have created: all that its response names, but its own.

    A rejection that names a task is a contradiction. The id is kept, because that task may be charged.
    """
    return (found for found in mentioned_task_ids(response.body) if found != task_id)


def _is_inconclusive(error: VeoError) -> bool:
    """Whether a creating request may have succeeded despite *error*. This includes a 455 of a mere gateway."""
    is_provider_maintenance = isinstance(error, Maintenance) and error.body_code is not None
    return isinstance(error, MalformedResponse | ServerError | Maintenance) and not is_provider_maintenance


def _read(endpoint: Endpoint[T], response: HttpResponse, base_url: str | None) -> T:
    try:
        envelope = parse_envelope(response.body)
    except MalformedResponse as malformed:
        variable = "KIE_UPLOAD_BASE_URL" if endpoint.host == "upload" else "KIE_BASE_URL"
        question = f"is {variable}{f' ({base_url})' if base_url else ''} right?"
        raise _error_without_envelope(response, malformed, question) from None
    try:
        if envelope.code == codes.SUCCESS:
            return endpoint.read(envelope)
        value = endpoint.read_error_body(envelope)
    except VeoError as error:
        error.add_evidence(body_code=envelope.code)
        raise
    if value is not None:
        return value
    raise _error_in_envelope(endpoint, response, envelope)


#: What to do about a rejection whose class does not say what is wrong; `str` of the error has the provider's words.
_READ_DETAILS = "Change the request: the details say what the provider rejected. Nothing was created."


def _error_in_envelope(endpoint: Endpoint[Any], response: HttpResponse, envelope: Envelope) -> ApiError:
    code = codes.effective_code(response.status, envelope.code)
    kind = codes.error_for(code, envelope.message, may_be_not_ready=endpoint.may_be_not_ready)
    if endpoint.explains_500 and response.status < 400 and code == 500:
        kind = codes.rejection_in_500(envelope.message) or kind
    error = kind(envelope.message or f"code {envelope.code}", body_code=envelope.code)
    if kind is RequestRejected:  # only the provider's words say what is wrong
        error.add_evidence(advice=_READ_DETAILS)
    return _with_retry_after(error, response)


def _error_without_envelope(response: HttpResponse, malformed: MalformedResponse, question: str) -> VeoError:
    """Return the error for a response that is hardly the API's.

    Args:
        question: what to check if the response comes from another server.
    """
    status, content = response.status, _describe_body(response.body, malformed.excerpt)
    if 300 <= status < 400:
        redirect = f"HTTP {status}, an unexpected redirect (not followed): {question}"
        return MalformedResponse(redirect, excerpt=malformed.excerpt, remedy=_IF_RIGHT)
    if status < 400:
        malformed.remedy = _IF_REPEATED
        if not _is_page(response.body):
            return malformed
        return MalformedResponse(f"{content}: {question}", excerpt=malformed.excerpt, remedy=_IF_RIGHT)
    kind = codes.ERRORS[403] if _FIREWALL_MARK in response.body else codes.ERRORS.get(status, ServerError)
    if issubclass(kind, RequestRejected):
        return kind(f"HTTP {status} with {content}: {question}", remedy=_IF_RIGHT)
    return _with_retry_after(kind(f"HTTP {status} with {content}"), response)


def _is_page(body: bytes) -> bool:
    return body.lstrip().startswith(b"<")


def _describe_body(body: bytes, shown: str) -> str:
    """Return what *body* is instead of JSON, in a few words; of a web page only its title."""
    if not _is_page(body):
        return f"an unexpected body: {shown!r}" if body else "an empty body"
    title = _TITLE.search(body)
    named = f" ({printable(title[1].decode('utf-8', 'replace').strip(), 80)})" if title else ""
    return f"a web page{named} instead of JSON"


def _with_retry_after(error: ApiError, response: HttpResponse) -> ApiError:
    if isinstance(error, TryLater):
        error.add_evidence(retry_after=retry_after_s(response))
    return error
