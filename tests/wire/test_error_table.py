"""Each endpoint and each documented code, over HTTP and in the body: the error that comes out."""

from typing import Any

import pytest

from veo_async import errors
from veo_async._wire import HttpResponse, decode_response, endpoint_named
from veo_async._wire.endpoints import ENDPOINTS

from .error_table import ANYWHERE, CODES, DOCUMENTED, SENTENCES, STATES, WITH_STATES, Row, as_markdown
from .recordings import envelope, read_body, read_json

#: Written by hand, as the classes are: a call of these can cost credits.
COSTS = {"generate", "extend", "get-1080p-video", "get-4k-video"}
BY_CODE = {row.code: row for row in CODES}
CASES = [(endpoint, BY_CODE[code]) for endpoint, codes in DOCUMENTED.items() for code in (*codes, *ANYWHERE)]


def error_of(endpoint: str, value: Any, *, status: int, headers: dict[str, str] | None = None) -> errors.ApiError:
    """What the answer raises, which must be an answer of the provider's."""
    with pytest.raises(errors.ApiError) as caught:
        read_json(endpoint, value, status=status, headers=headers)
    return caught.value


def check_try_again(error: errors.ApiError, row: Row, endpoint: str) -> None:
    """The flag agrees with the column of the table."""
    assert error.retryable is {"yes": True, "no": False, "reads only": endpoint not in COSTS}[row.again]


def test_every_endpoint_lists_its_documented_codes() -> None:
    """Path, cost and code list of every endpoint are the pages', and no endpoint is left out."""
    assert {endpoint.name: endpoint.codes for endpoint in ENDPOINTS} == DOCUMENTED
    assert {endpoint.name for endpoint in ENDPOINTS if endpoint.is_charged} == COSTS
    assert {endpoint.name: (endpoint.method, endpoint.path, endpoint.host) for endpoint in ENDPOINTS} == {
        "generate": ("POST", "/api/v1/veo/generate", "api"),
        "extend": ("POST", "/api/v1/veo/extend", "api"),
        "record-info": ("GET", "/api/v1/veo/record-info", "api"),
        "get-1080p-video": ("GET", "/api/v1/veo/get-1080p-video", "api"),
        "get-4k-video": ("POST", "/api/v1/veo/get-4k-video", "api"),
        "credit": ("GET", "/api/v1/chat/credit", "api"),
        "download-url": ("POST", "/api/v1/common/download-url", "api"),
        "file-url-upload": ("POST", "/api/file-url-upload", "upload"),
        "file-base64-upload": ("POST", "/api/file-base64-upload", "upload"),
        "file-stream-upload": ("POST", "/api/file-stream-upload", "upload"),
    }


def test_an_endpoint_that_does_not_exist() -> None:
    """There is no guessing at names."""
    with pytest.raises(KeyError):
        endpoint_named("cancel")


@pytest.mark.parametrize(("endpoint", "row"), CASES)
def test_in_the_body(endpoint: str, row: Row) -> None:
    """HTTP 200 with the code in the body, which is how most errors arrive."""
    error = error_of(endpoint, envelope(None, code=row.code, msg="no"), status=200)
    assert type(error) is row.error
    assert (error.endpoint, error.http_status, error.body_code, error.message) == (endpoint, 200, row.code, "no")
    check_try_again(error, row, endpoint)


@pytest.mark.parametrize(("endpoint", "row"), CASES)
def test_over_http(endpoint: str, row: Row) -> None:
    """The same code as HTTP status, with the envelope."""
    error = error_of(endpoint, envelope(None, code=row.code, msg="no"), status=row.code)
    assert type(error) is row.error
    assert (error.endpoint, error.http_status, error.body_code) == (endpoint, row.code, row.code)
    check_try_again(error, row, endpoint)


@pytest.mark.parametrize("body", [b"", b"<html><body>no</body></html>", b'{"error":"no"}', b"[]"])
@pytest.mark.parametrize(("endpoint", "row"), CASES)
def test_over_http_without_an_envelope(endpoint: str, row: Row, body: bytes) -> None:
    """Something in front of the provider answered: the status decides, and there is no body code to rely on."""
    with pytest.raises(errors.ApiError) as caught:
        read_body(endpoint, body, status=row.code)
    assert type(caught.value) is row.error
    assert (caught.value.http_status, caught.value.body_code) == (row.code, None)
    if row.error is errors.Maintenance:  # only the provider itself can promise that it made nothing
        assert caught.value.retryable is (endpoint not in COSTS)
    else:
        check_try_again(caught.value, row, endpoint)


@pytest.mark.parametrize("status", [200, 400, 422])
@pytest.mark.parametrize("row", SENTENCES, ids=lambda row: f"{row.code}-{row.sentence}")
@pytest.mark.parametrize("endpoint", sorted(DOCUMENTED))
def test_sentences(endpoint: str, row: Row, status: int) -> None:
    """Where 400 and 422 have many meanings, the wording decides; upper and lower case do not matter."""
    for message in (row.sentence, str(row.sentence).upper()):
        error = error_of(endpoint, envelope(None, code=row.code, msg=message), status=status)
        assert type(error) is row.error
        check_try_again(error, row, endpoint)


@pytest.mark.parametrize("row", STATES, ids=lambda row: f"{row.code}-{row.sentence}")
@pytest.mark.parametrize("endpoint", sorted(DOCUMENTED))
def test_states(endpoint: str, row: Row) -> None:
    """'Not yet' is heard from the endpoints that have states, and from no other."""
    error = error_of(endpoint, envelope(None, code=row.code, msg=row.sentence), status=row.code)
    assert (type(error) is errors.NotReady) is (endpoint in WITH_STATES)
    if endpoint in WITH_STATES:
        check_try_again(error, row, endpoint)


@pytest.mark.parametrize("code", [0, -1, 199, 201, 418, 430, 502, 503, 520, 599, 10**20])
@pytest.mark.parametrize("endpoint", sorted(DOCUMENTED))
def test_codes_that_nobody_documented(endpoint: str, code: int) -> None:
    """An unknown code promises nothing: a read may be repeated, a call that costs may not."""
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
def test_where_status_and_body_disagree(status: int, code: int, kind: type[errors.ApiError]) -> None:
    """The one that promises less counts; between two promises the body's is nearer to the cause."""
    error = error_of("generate", envelope(None, code=code, msg="no"), status=status)
    assert type(error) is kind
    assert (error.http_status, error.body_code) == (status, code)


@pytest.mark.parametrize("status", [200, 201, 302, 404, 500, 503])
def test_a_task_id_in_hand_is_never_thrown_away(status: int) -> None:
    """Code 200 with a task id is accepted, whatever the HTTP status says."""
    assert read_json("generate", envelope({"taskId": "t-1"}), status=status).task_id == "t-1"


@pytest.mark.parametrize("code", [400, 402, 429, 500])
def test_a_refusal_that_names_a_task(code: int) -> None:
    """The id in a refusal is kept as evidence: it may be worth money."""
    assert error_of("generate", envelope({"taskId": "t-1"}, code=code), status=200).task_id == "t-1"


def test_the_task_that_was_asked_about() -> None:
    """An answer that names no task is about the one that was asked about; an id in the answer is nearer."""

    def named(body: bytes) -> str | None:
        with pytest.raises(errors.VeoError) as caught:
            decode_response(endpoint_named("get-4k-video"), HttpResponse(status=200, body=body), task_id="asked")
        return caught.value.task_id

    assert named(b"not json") == "asked"
    assert named(b'{"code":422,"msg":"no"}') == "asked"
    assert named(b'{"code":422,"msg":"no","data":{"taskId":"told"}}') == "told"


def test_the_wish_to_wait() -> None:
    """``Retry-After`` reaches the errors that say 'later', by body code as well as by status; no other."""
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
def test_an_error_without_a_usable_message(message: Any) -> None:
    """It says the code instead, and never the word None."""
    error = error_of("generate", envelope(None, code=402, msg=message), status=200)
    assert error.message == "code 402"
    assert "None" not in str(error)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"<html><title>Access denied</title></html>", 403), (b"error code: 1010", 403), (b"error code: 1010", 401)],
)
def test_blocked_in_front_of_the_api(body: bytes, status: int) -> None:
    """A gate that dislikes the client is told from a bad key, and the remedy names the User-Agent."""
    with pytest.raises(errors.Blocked) as caught:
        read_body("generate", body, status=status)
    assert "User-Agent" in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 399])
@pytest.mark.parametrize("endpoint", ["generate", "record-info"])
def test_redirects(endpoint: str, status: int) -> None:
    """A redirect is malformed: following it would send a paid request twice, or the key elsewhere."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_body(endpoint, b"<html>moved</html>", status=status)
    assert caught.value.message == "a redirect; it was not followed"
    assert caught.value.excerpt == "<html>moved</html>"
    assert caught.value.retryable is (endpoint not in COSTS)


def test_markdown() -> None:
    """The table for the README holds every code once and every class that a sentence can give."""
    lines = as_markdown().splitlines()
    assert lines[0] == "| code | error | try again? | what to do |"
    assert all(line.count("|") == 5 for line in lines)
    codes = [line.split("|")[1].strip() for line in lines[2:]]
    assert codes[: len(CODES)] == [str(row.code) for row in CODES]
    assert len(set(codes)) == len(codes)
    for row in (*CODES, *SENTENCES, *STATES):
        assert f"`{row.error.__name__}`" in as_markdown()
