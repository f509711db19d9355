"""Each endpoint with each documented code, over HTTP and in the body: the resulting error."""

from typing import Any

import pytest

from veo_async import errors
from veo_async._wire import Failure, HttpResponse, decode_response, endpoint_named
from veo_async._wire.endpoints import ENDPOINTS

from .error_table import ANYWHERE, CODES, DOCUMENTED, SENTENCES, STATES, WITH_STATES, Row, as_markdown
from .recordings import envelope, read_body, read_json

#: Written by hand: requests to these can cost credits.
COSTS = {"generate", "extend", "get-1080p-video", "get-4k-video", "create-task"}
BY_CODE = {row.code: row for row in CODES}
CASES = [(endpoint, BY_CODE[code]) for endpoint, codes in DOCUMENTED.items() for code in (*codes, *ANYWHERE)]


def error_of(endpoint: str, value: Any, *, status: int, headers: dict[str, str] | None = None) -> errors.ApiError:
    """Return the `ApiError` that the response raises."""
    with pytest.raises(errors.ApiError) as caught:
        read_json(endpoint, value, status=status, headers=headers)
    return caught.value


def check_retryable(error: errors.ApiError, row: Row, endpoint: str) -> None:
    """Check the flag against the column of the table."""
    assert error.retryable is {"yes": True, "no": False, "reads only": endpoint not in COSTS}[row.again]


def test_every_endpoint_matches_its_documentation() -> None:
    """Path, charge and codes of every endpoint are the documented ones, and no endpoint is missing."""
    assert {endpoint.name: endpoint.codes for endpoint in ENDPOINTS} == DOCUMENTED
    assert {endpoint.name for endpoint in ENDPOINTS if endpoint.is_charged} == COSTS
    assert {endpoint.name: (endpoint.method, endpoint.path, endpoint.host) for endpoint in ENDPOINTS} == {
        "generate": ("POST", "/api/v1/veo/generate", "api"),
        "extend": ("POST", "/api/v1/veo/extend", "api"),
        "record-info": ("GET", "/api/v1/veo/record-info", "api"),
        "get-1080p-video": ("GET", "/api/v1/veo/get-1080p-video", "api"),
        "get-4k-video": ("POST", "/api/v1/veo/get-4k-video", "api"),
        "create-task": ("POST", "/api/v1/jobs/createTask", "api"),
        "job-record": ("GET", "/api/v1/jobs/recordInfo", "api"),
        "credit": ("GET", "/api/v1/chat/credit", "api"),
        "download-url": ("POST", "/api/v1/common/download-url", "api"),
        "models": ("GET", "/api/v1/models", "api"),
        "model-price": ("GET", "/api/v1/models/{model}/price", "api"),
        "model-success-rate": ("GET", "/api/v1/models/{model}/success-rate", "api"),
        "model-schema": ("GET", "/api/v1/models/{model}/schema", "api"),
        "file-url-upload": ("POST", "/api/file-url-upload", "upload"),
        "file-base64-upload": ("POST", "/api/file-base64-upload", "upload"),
        "file-stream-upload": ("POST", "/api/file-stream-upload", "upload"),
    }


def test_unknown_endpoint_is_a_key_error() -> None:
    """Names are never guessed."""
    with pytest.raises(KeyError):
        endpoint_named("cancel")


@pytest.mark.parametrize(("endpoint", "row"), CASES)
def test_code_in_the_body_gives_its_error(endpoint: str, row: Row) -> None:
    """Most errors arrive as HTTP 200 with the code in the body."""
    error = error_of(endpoint, envelope(None, code=row.code, msg="no"), status=200)
    assert type(error) is row.error
    assert (error.endpoint, error.http_status, error.body_code, error.message) == (endpoint, 200, row.code, "no")
    check_retryable(error, row, endpoint)


@pytest.mark.parametrize(("endpoint", "row"), CASES)
def test_code_as_http_status_gives_its_error(endpoint: str, row: Row) -> None:
    """The same code can be the HTTP status, with the envelope."""
    error = error_of(endpoint, envelope(None, code=row.code, msg="no"), status=row.code)
    assert type(error) is row.error
    assert (error.endpoint, error.http_status, error.body_code) == (endpoint, row.code, row.code)
    check_retryable(error, row, endpoint)


@pytest.mark.parametrize("body", [b"", b"<html><body>no</body></html>", b'{"error":"no"}', b"[]"])
@pytest.mark.parametrize(("endpoint", "row"), CASES)
def test_http_status_without_an_envelope_gives_its_error(endpoint: str, row: Row, body: bytes) -> None:
    """A gateway responded: the status decides, and there is no body code to rely on."""
    with pytest.raises(errors.ApiError) as caught:
        read_body(endpoint, body, status=row.code)
    assert type(caught.value) is row.error
    assert (caught.value.http_status, caught.value.body_code) == (row.code, None)
    if row.error is errors.Maintenance:  # only the provider itself can state that it created nothing
        assert caught.value.retryable is (endpoint not in COSTS)
    else:
        check_retryable(caught.value, row, endpoint)


@pytest.mark.parametrize("status", [200, 400, 422])
@pytest.mark.parametrize("row", SENTENCES, ids=lambda row: f"{row.code}-{row.sentence}")
@pytest.mark.parametrize("endpoint", sorted(DOCUMENTED))
def test_message_decides_for_ambiguous_codes(endpoint: str, row: Row, status: int) -> None:
    """For 400 and 422 the message decides, regardless of upper and lower case."""
    for message in (row.sentence, str(row.sentence).upper()):
        error = error_of(endpoint, envelope(None, code=row.code, msg=message), status=status)
        assert type(error) is row.error
        check_retryable(error, row, endpoint)


@pytest.mark.parametrize("row", STATES, ids=lambda row: f"{row.code}-{row.sentence}")
@pytest.mark.parametrize("endpoint", sorted(DOCUMENTED))
def test_not_ready_is_limited_to_some_endpoints(endpoint: str, row: Row) -> None:
    """Only endpoints that report progress as errors can be "not ready"."""
    error = error_of(endpoint, envelope(None, code=row.code, msg=row.sentence), status=row.code)
    assert (type(error) is errors.NotReady) is (endpoint in WITH_STATES)
    if endpoint in WITH_STATES:
        check_retryable(error, row, endpoint)


@pytest.mark.parametrize("code", [0, -1, 199, 201, 418, 430, 502, 503, 520, 599, 10**20])
@pytest.mark.parametrize("endpoint", sorted(DOCUMENTED))
def test_undocumented_codes_are_server_errors(endpoint: str, code: int) -> None:
    """A read may be repeated; a creating request may not, because it may have been charged."""
    error = error_of(endpoint, envelope(None, code=code, msg="?"), status=200)
    assert type(error) is errors.ServerError
    assert error.body_code == code
    assert error.retryable is (endpoint not in COSTS)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, 429, errors.ServerError),
        (502, 401, errors.ServerError),
        (408, 422, errors.ServerError),
        (599, 455, errors.ServerError),
        (418, 402, errors.ServerError),
        (429, 500, errors.ServerError),
        (404, 501, errors.ServerError),
        (400, 999, errors.ServerError),
        (400, 402, errors.InsufficientCredits),
        (429, 401, errors.Unauthorized),
        (401, 429, errors.RateLimited),
        (302, 402, errors.InsufficientCredits),
    ],
)
def test_status_and_body_disagree_and_the_less_certain_counts(
    status: int, code: int, kind: type[errors.ApiError]
) -> None:
    """The code that rules out less counts; between two rejections the body's."""
    error = error_of("generate", envelope(None, code=code, msg="no"), status=status)
    assert type(error) is kind
    assert (error.http_status, error.body_code) == (status, code)


@pytest.mark.parametrize("status", [200, 201, 302, 404, 500, 503])
def test_task_id_is_accepted_with_any_http_status(status: int) -> None:
    """Code 200 with a task id is a success, regardless of the HTTP status."""
    assert read_json("generate", envelope({"taskId": "t-1"}), status=status).task_id == "t-1"


@pytest.mark.parametrize("code", [400, 402, 429, 500])
def test_task_id_in_a_rejection_is_kept(code: int) -> None:
    """The id is kept as evidence, because that task may be charged."""
    assert error_of("generate", envelope({"taskId": "t-1"}, code=code), status=200).task_id == "t-1"


def test_error_has_the_requested_task_id() -> None:
    """Without a task id in the response, the error has the requested one."""

    def named(body: bytes) -> str | None:
        with pytest.raises(errors.VeoError) as caught:
            decode_response(endpoint_named("get-4k-video"), HttpResponse(status=200, body=body), task_id="requested")
        return caught.value.task_id

    assert named(b"not json") == "requested"
    assert named(b'{"code":422,"msg":"no"}') == "requested"
    assert named(b'{"code":422,"msg":"no","data":{"taskId":"other"}}') == "other"


def test_retry_after_reaches_the_errors_that_say_later() -> None:
    """By body code as well as by status; no other error has it."""
    headers = {"retry-after": "7"}
    for status, code in ((200, 429), (429, 429), (200, 455)):
        error = error_of("generate", envelope(None, code=code), status=status, headers=headers)
        assert isinstance(error, errors.TryLater)
        assert error.retry_after == 7.0
    with pytest.raises(errors.RateLimited) as caught:
        read_body("generate", b"<html>", status=429, headers=headers)
    assert caught.value.retry_after == 7.0
    assert error_of("generate", envelope(None, code=429), status=200).retry_after is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("message", [None, "", 5, ["no"], {"why": "no"}])
def test_error_without_a_usable_message_shows_the_code(message: Any) -> None:
    """It never shows the word None."""
    error = error_of("generate", envelope(None, code=402, msg=message), status=200)
    assert error.message == "code 402"
    assert "None" not in str(error)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"<html><title>Access denied</title></html>", 403), (b"error code: 1010", 403), (b"error code: 1010", 401)],
)
def test_firewall_is_distinguished_from_an_invalid_key(body: bytes, status: int) -> None:
    """The remedy names the User-Agent."""
    with pytest.raises(errors.Blocked) as caught:
        read_body("generate", body, status=status)
    assert "User-Agent" in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 399])
@pytest.mark.parametrize("endpoint", ["generate", "record-info"])
def test_redirect_is_malformed(endpoint: str, status: int) -> None:
    """Following it could send a charged request twice, or the key elsewhere."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_body(endpoint, b"<html>moved</html>", status=status)
    assert "an unexpected redirect (not followed)" in caught.value.message
    assert caught.value.excerpt == "<html>moved</html>"
    assert caught.value.retryable is (endpoint not in COSTS)


def test_markdown_table_has_every_code_and_error() -> None:
    """Every code appears once, and every error that a message can cause."""
    lines = as_markdown().splitlines()
    assert lines[0] == "| code | error | try again? | what to do |"
    assert all(line.count("|") == 5 for line in lines)
    codes = [line.split("|")[1].strip() for line in lines[2:]]
    assert codes[: len(CODES)] == [str(row.code) for row in CODES]
    assert len(set(codes)) == len(codes)
    for row in (*CODES, *SENTENCES, *STATES):
        assert f"`{row.error.__name__}`" in as_markdown()


INCONCLUSIVE = [
    (500, b"<html>"),
    (455, b"<html>"),
    (302, b""),
    (200, b"not json"),
    (200, b'{"code":500,"msg":"broken"}'),
    (200, b'{"code":599,"msg":"?"}'),
    (200, b'{"code":200,"msg":"success","data":[]}'),
]


@pytest.mark.parametrize(("status", "body"), INCONCLUSIVE)
@pytest.mark.parametrize("endpoint", sorted(DOCUMENTED))
def test_inconclusive_response_of_a_creating_request_may_have_been_charged(
    endpoint: str, status: int, body: bytes
) -> None:
    """The text says so and names the three methods that resolve it; a read is simply retried."""
    with pytest.raises(errors.VeoError) as caught:
        read_body(endpoint, body, status=status)
    text = str(caught.value)
    assert caught.value.retryable is (endpoint not in COSTS)
    assert ("may have been charged" in text) is (endpoint in COSTS)
    named = [f"job.{method}()" in text for method in ("resolve", "resubmit", "abandon")]
    assert named == [endpoint in COSTS] * 3
    assert ("etry" in text) is (endpoint not in COSTS)


def test_conclusive_rejection_keeps_its_own_remedy() -> None:
    """A 402 created nothing, so nothing may have been charged."""
    error = error_of("generate", envelope(None, code=402, msg="no"), status=200)
    assert str(error) == "no. Top up the account, then retry."


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"<html>"), (404, b""), (400, b" <!doctype"), (301, b""), (200, b"<html>")]
)
@pytest.mark.parametrize("endpoint", ["record-info", "generate", "file-stream-upload"])
def test_response_of_another_server_asks_for_the_base_url(endpoint: str, status: int, body: bytes) -> None:
    """It does not come from the API. The question names the variable and the address, and never quotes the page."""
    response = HttpResponse(status=status, body=body)
    with pytest.raises(errors.VeoError) as caught:
        decode_response(endpoint_named(endpoint), response, base_url="https://other.example")
    variable = "KIE_UPLOAD_BASE_URL" if endpoint == "file-stream-upload" else "KIE_BASE_URL"
    assert f"is {variable} (https://other.example) right?" in caught.value.message
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("status", [403, 429, 500, 502])
def test_page_of_a_gateway_is_not_quoted(status: int) -> None:
    """The address is right; the provider's gateway has failed."""
    with pytest.raises(errors.VeoError, match=f"HTTP {status} with a web page instead of JSON") as caught:
        read_body("record-info", b"<html>Bad gateway</html>", status=status)
    assert "<" not in str(caught.value)
    assert "BASE_URL" not in str(caught.value)


def test_unauthorized_names_the_variable_and_the_address() -> None:
    """A key of one provider was perhaps sent to another."""
    response = HttpResponse(status=401, body=b"<html>")
    with pytest.raises(errors.Unauthorized) as caught:
        decode_response(endpoint_named("credit"), response, base_url="https://api.example")
    assert "KIE_API_KEY" in str(caught.value)
    assert "https://api.example" in str(caught.value)


def test_failed_task_has_its_reason_as_evidence() -> None:
    """The provider's words are needed for a bug report; a failure without words has none."""
    error = Failure(code=501, message="Audio\x00 generation failed").error(task_id="t")
    assert error.evidence == {"task_id": "t", "reason_code": 501, "reason": "Audio\\x00 generation failed"}
    assert Failure(code=None, message="").error().evidence == {}
