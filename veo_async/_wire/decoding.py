"""The one way from an HTTP answer to a value or an error.

1. Open the envelope. Without one the HTTP status alone decides, and the error carries no body code: only the
   provider itself can promise that it made nothing.
2. Code 200 in the body is success, whatever the HTTP status says: a task id in hand is never thrown away.
3. Any other code may still carry the result (`Endpoint.read_error_body`): a failed task in the guise of a server
   error, a finished 4K video in the guise of a 422.
4. Else `codes` names the error; where HTTP and body disagree, the one counts that promises less.

Whatever comes in, out comes a value of the endpoint or a `VeoError`, never anything else.
"""

from typing import Any, TypeVar

from veo_async.errors import ApiError, Maintenance, MalformedResponse, ServerError, TryLater, VeoError

from . import codes
from .endpoints import Endpoint
from .envelope import Envelope, HttpResponse, excerpt, parse_envelope
from .fields import ACCEPTED, read_fields
from .retry_after import retry_after_s

T = TypeVar("T")

#: What a gate in front of the API writes when it dislikes a client, in an answer that looks like a refused key.
_FIREWALL_MARK = b"error code: 1010"


def decode_response(endpoint: Endpoint[T], answer: HttpResponse, *, task_id: str | None = None) -> T:
    """What *answer* says.

    Args:
        task_id: the task that was asked about, to stand in the error.

    Raises:
        ApiError: the provider says no.
        MalformedResponse: it is not of the provider's form.
    """
    try:
        return _read(endpoint, answer)
    except VeoError as error:
        error.add_evidence(endpoint=endpoint.name, http_status=answer.status)
        error.add_evidence(task_id=error.task_id or task_id)
        if _leaves_in_doubt(error):
            error.retryable = not endpoint.is_charged
        raise


def _leaves_in_doubt(error: VeoError) -> bool:
    """Whether *error* leaves open what became of a creating call; a 455 of a mere gateway does so too."""
    is_promise = isinstance(error, Maintenance) and error.body_code is not None
    return isinstance(error, MalformedResponse | ServerError | Maintenance) and not is_promise


def _read(endpoint: Endpoint[T], answer: HttpResponse) -> T:
    try:
        envelope = parse_envelope(answer.body)
    except MalformedResponse as malformed:
        raise _error_without_envelope(answer, malformed) from None
    try:
        if envelope.code == codes.SUCCESS:
            return endpoint.read(envelope)
        value = endpoint.read_error_body(envelope)
    except VeoError as error:
        error.add_evidence(body_code=envelope.code)
        raise
    if value is not None:
        return value
    raise _refusal(endpoint, answer, envelope)


def _refusal(endpoint: Endpoint[Any], answer: HttpResponse, envelope: Envelope) -> ApiError:
    code = codes.effective_code(answer.status, envelope.code)
    kind = codes.error_for(code, envelope.message, may_be_not_ready=endpoint.may_be_not_ready)
    error = kind(envelope.message or f"code {envelope.code}", body_code=envelope.code)
    # A refusal that names a task all the same is a contradiction worth keeping: the id is money.
    error.add_evidence(task_id=read_fields(ACCEPTED, envelope.data).get("task_id"))
    return _with_retry_after(error, answer)


def _error_without_envelope(answer: HttpResponse, malformed: MalformedResponse) -> VeoError:
    if 300 <= answer.status < 400:
        return MalformedResponse("a redirect; it was not followed", excerpt=malformed.excerpt)
    if answer.status < 400:
        return malformed
    kind = codes.ERRORS[403] if _FIREWALL_MARK in answer.body else codes.ERRORS.get(answer.status, ServerError)
    return _with_retry_after(kind(f"HTTP {answer.status} without an envelope: {excerpt(answer.body)!r}"), answer)


def _with_retry_after(error: ApiError, answer: HttpResponse) -> ApiError:
    if isinstance(error, TryLater):
        error.add_evidence(retry_after=retry_after_s(answer))
    return error
