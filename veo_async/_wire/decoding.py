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

from collections.abc import Iterator
from typing import Any, TypeVar

from veo_async.errors import (
    MAY_HAVE_BEEN_CHARGED,
    ApiError,
    Maintenance,
    MalformedResponse,
    NotReady,
    ServerError,
    TryLater,
    VeoError,
    printable,
)

from . import codes
from .endpoints import Endpoint
from .envelope import Envelope, HttpResponse, excerpt, parse_envelope
from .responses import Record
from .retry_after import retry_after_s
from .task_ids import mentioned_task_ids

T = TypeVar("T")

#: What a firewall in front of the API writes into a response that resembles one for an invalid key.
_FIREWALL_MARK = b"error code: 1010"
_CHECK_BASE_URL = "Retry; if it happens again, check the base URL."


def decode_response(endpoint: Endpoint[T], response: HttpResponse, *, task_id: str | None = None) -> T:
    """Return the value in *response*.

    Args:
        task_id: the task that the request was about. A record of another task is malformed.

    Raises:
        ApiError: the provider returned an error.
        MalformedResponse: the response does not have the provider's format.
    """
    try:
        value = _read(endpoint, response)
        if isinstance(value, Record) and task_id is not None and value.task_id not in (None, task_id):
            raise MalformedResponse(f"the record belongs to another task, {printable(value.task_id or '', 100)}")
        return value
    except VeoError as error:
        named = next(_new_task_ids(response, task_id), None) if endpoint.is_charged else None
        error.add_evidence(endpoint=endpoint.name, http_status=response.status, task_id=named or task_id)
        if _is_inconclusive(error) or (named is not None and not isinstance(error, NotReady)):
            error.retryable = not endpoint.is_charged
            error.remedy = MAY_HAVE_BEEN_CHARGED if endpoint.is_charged else error.remedy or "Retry."
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


def _read(endpoint: Endpoint[T], response: HttpResponse) -> T:
    try:
        envelope = parse_envelope(response.body)
    except MalformedResponse as malformed:
        raise _error_without_envelope(response, malformed) from None
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


def _error_in_envelope(endpoint: Endpoint[Any], response: HttpResponse, envelope: Envelope) -> ApiError:
    code = codes.effective_code(response.status, envelope.code)
    kind = codes.error_for(code, envelope.message, may_be_not_ready=endpoint.may_be_not_ready)
    error = kind(envelope.message or f"code {envelope.code}", body_code=envelope.code)
    return _with_retry_after(error, response)


def _error_without_envelope(response: HttpResponse, malformed: MalformedResponse) -> VeoError:
    malformed.add_evidence(remedy=_CHECK_BASE_URL)
    if 300 <= response.status < 400:
        redirect = "unexpected redirect (not followed)"
        return MalformedResponse(redirect, excerpt=malformed.excerpt, remedy=_CHECK_BASE_URL)
    if response.status < 400:
        return malformed
    kind = codes.ERRORS[403] if _FIREWALL_MARK in response.body else codes.ERRORS.get(response.status, ServerError)
    error = kind(f"HTTP {response.status} with an unexpected body: {excerpt(response.body)!r}")
    if response.status == 404:
        error.remedy = _CHECK_BASE_URL
    return _with_retry_after(error, response)


def _with_retry_after(error: ApiError, response: HttpResponse) -> ApiError:
    if isinstance(error, TryLater):
        error.add_evidence(retry_after=retry_after_s(response))
    return error
