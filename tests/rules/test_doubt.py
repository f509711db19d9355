"""The outcome of a creating request: every way in which it can fail, starting from the bytes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_async import errors
from veo_async._rules.doubt import Proof, Verdict, classify_failure, find_proof
from veo_async._wire.decoding import decode_response
from veo_async._wire.endpoints import CREATE_TASK, EXTEND, GENERATE, Endpoint
from veo_async._wire.envelope import HttpResponse

V = Verdict


def error_of(body: Any, status: int = 200, endpoint: Endpoint[Any] = GENERATE) -> errors.VeoError:
    """Return the error that this response to a creating request raises."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(errors.VeoError) as caught:
        decode_response(endpoint, HttpResponse(status=status, headers={}, body=content))
    return caught.value


def envelope(code: int, msg: str = "no", data: Any = None) -> dict[str, Any]:
    return {"code": code, "msg": msg, "data": data}


HTML = b"<html><body>hello</body></html>"


@pytest.mark.parametrize(
    ("body", "status", "verdict"),
    [
        # refused by the provider's own envelope, with any HTTP status
        *((envelope(code), 200, V.REFUSED) for code in (400, 404, 405, 413, 422, 451, 505)),
        *((envelope(code), code, V.REFUSED) for code in (400, 404, 422, 505)),
        (envelope(400, "content policy violation"), 200, V.REFUSED),
        (envelope(401), 200, V.LOCKED_OUT),
        (envelope(401), 401, V.LOCKED_OUT),
        (envelope(402), 200, V.PAUSED),
        (envelope(402), 402, V.PAUSED),
        (envelope(433), 200, V.PAUSED),
        (envelope(455), 200, V.PAUSED),
        (envelope(455), 455, V.PAUSED),
        # 429 from any server
        (envelope(429), 200, V.RATE_LIMITED),
        (envelope(429), 429, V.RATE_LIMITED),
        (HTML, 429, V.RATE_LIMITED),
        (b"", 429, V.RATE_LIMITED),
        # a firewall in front of the API
        (b"error code: 1010", 403, V.PAUSED),
        (HTML, 403, V.PAUSED),
        (envelope(403), 200, V.PAUSED),
        # in doubt: 5xx with any body
        *((HTML, status, V.IN_DOUBT) for status in (500, 502, 503, 504, 520, 524, 408)),
        *((envelope(code), 200, V.IN_DOUBT) for code in (500, 501, 599, 0)),
        # ... HTTP status and body disagree: the one that guarantees less applies
        (envelope(429), 500, V.IN_DOUBT),
        (envelope(422), 502, V.IN_DOUBT),
        (envelope(500), 400, V.IN_DOUBT),
        # ... accepted without a task id
        *((envelope(200, "success", data), 200, V.IN_DOUBT) for data in (None, {}, {"taskId": ""}, {"taskId": 7}, [])),
        # ... unreadable
        (b"", 200, V.IN_DOUBT),
        (HTML, 200, V.IN_DOUBT),
        (b'{"code":200,"msg":"succ', 200, V.IN_DOUBT),
        (b"\xff\xfe", 200, V.IN_DOUBT),
        (b'{"code":NaN}', 200, V.IN_DOUBT),
        (b"[]", 200, V.IN_DOUBT),
        # ... a refusal that only a proxy can have sent
        *((HTML, status, V.IN_DOUBT) for status in (400, 401, 402, 404, 405, 422, 455, 505)),
        *((b"", status, V.IN_DOUBT) for status in (301, 302, 307, 308)),
        # ... a refusal that names a task
        (envelope(422, "no", {"taskId": "t"}), 200, V.IN_DOUBT),
        (envelope(402, "no", {"taskId": "t"}), 200, V.IN_DOUBT),
        (envelope(429, "no", {"taskId": "t"}), 200, V.IN_DOUBT),
    ],
)
def test_response_is_classified(body: Any, status: int, verdict: Verdict) -> None:
    """From status and body to the verdict about the job."""
    assert classify_failure(error_of(body, status)) is verdict


@pytest.mark.parametrize("endpoint", [GENERATE, EXTEND, CREATE_TASK], ids=lambda endpoint: str(endpoint.name))
@pytest.mark.parametrize(
    ("body", "status", "verdict"),
    [
        # the provider's envelope, whatever does not exist: the path, the model, the source clip
        (envelope(404, "No handler for this path"), 404, V.REFUSED),
        (envelope(404, "No handler for this path"), 200, V.REFUSED),
        (envelope(404, "Task not found"), 200, V.REFUSED),
        (envelope(404, "record is null."), 404, V.REFUSED),
        (envelope("404", ""), 200, V.REFUSED),
        (envelope(422, "no"), 404, V.REFUSED),
        # in doubt: a 404 of any other server
        (HTML, 404, V.IN_DOUBT),
        (b"", 404, V.IN_DOUBT),
        ({"status": 404, "error": "Not Found", "path": "/api/v1/jobs/createTask"}, 404, V.IN_DOUBT),
        ({"message": "no Route matched with those values"}, 404, V.IN_DOUBT),
        ({"code": None, "msg": "Task not found"}, 404, V.IN_DOUBT),
        # ... codes that contradict each other
        (envelope(500, "Server exception"), 404, V.IN_DOUBT),
        (envelope(404, "Task not found"), 502, V.IN_DOUBT),
        (envelope(200, "success", {}), 404, V.IN_DOUBT),
        # ... or a task in it
        (envelope(404, "Task not found", {"taskId": "t"}), 404, V.IN_DOUBT),
        (b'<html>{"taskId":"t"}', 404, V.IN_DOUBT),
    ],
)
def test_404_refuses_only_in_the_providers_envelope_and_without_a_task(
    body: Any, status: int, verdict: Verdict, endpoint: Endpoint[Any]
) -> None:
    """The same for each creating endpoint of both routes."""
    assert classify_failure(error_of(body, status, endpoint)) is verdict


def test_task_id_in_a_404_is_accepted_with_code_200() -> None:
    """A task id is never thrown away."""
    body = json.dumps(envelope(200, "success", {"taskId": "t"})).encode()
    assert decode_response(CREATE_TASK, HttpResponse(status=404, headers={}, body=body)).task_id == "t"


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        # not one byte was sent: refused connection, DNS, TLS, full pool
        (errors.NotSent("refused"), V.NOT_SENT),
        # resets, hangs, dead keep-alive, broken bodies, not HTTP
        (errors.ResponseLost("reset", bytes_sent=0), V.IN_DOUBT),
        (errors.ResponseLost("reset", bytes_sent=551), V.IN_DOUBT),
        (errors.ResponseLost("cut", bytes_sent=None), V.IN_DOUBT),
        (errors.MalformedResponse("not HTTP"), V.IN_DOUBT),
        # our own refusal, before anything was sent
        (errors.InvalidKey("none"), V.LOCKED_OUT),
        (errors.ClientClosed("closed"), V.CLIENT_CLOSED),
        (errors.InvalidRequest("seeds"), V.REFUSED),
        # a state that only other endpoints have
        (errors.NotReady("processing", body_code=400), V.REFUSED),
        # the provider's refusal needs the provider's envelope
        (errors.RequestRejected("no"), V.IN_DOUBT),
        (errors.Unauthorized("no"), V.IN_DOUBT),
        (errors.TaskFailed("odd", body_code=500), V.IN_DOUBT),
        (errors.VeoError("anything"), V.IN_DOUBT),
    ],
)
def test_error_without_response_is_classified(error: errors.VeoError, verdict: Verdict) -> None:
    """Errors that are not raised from a response."""
    assert classify_failure(error) is verdict


def test_unproven_errors_leave_the_job_in_doubt() -> None:
    """Without an envelope only errors that prove that nothing was created do not leave the job in doubt."""
    proofs = (errors.NotSent, errors.RateLimited, errors.Blocked, errors.UsageError)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.VeoError)]
    assert len(kinds) > 25
    for kind in kinds:
        assert (classify_failure(kind("?")) is V.IN_DOUBT) is not issubclass(kind, proofs), kind


@pytest.mark.parametrize(
    ("params", "proof"),
    [
        ({"callBackUrl": "https://bot.example/veo/cb/tok1", "prompt": "another"}, Proof.TOKEN),
        ({"callBackUrl": "\\https://bot.example/veo/cb/tok2\\"}, Proof.TOKEN),
        ({"prompt": "A dog"}, Proof.PROMPT),
        ({"prompt": " A  dog\n"}, Proof.PROMPT),
        ({"prompt": "A cat"}, Proof.OTHER),
        ({"prompt": "A cat", "callBackUrl": "https://bot.example/veo/cb/tok3"}, Proof.OTHER),
        ({"prompt": 7}, Proof.NONE),
        ({}, Proof.NONE),
    ],
)
def test_row_41_what_a_record_proves(params: dict[str, object], proof: Proof) -> None:
    """The token beats the prompt, which a translation may have changed; without either nothing is proved."""
    assert find_proof(params, tokens=["tok1", "tok2"], prompt="A dog") is proof


def test_adopted_job_without_a_prompt_is_not_proved_by_one() -> None:
    """Only the id of an adopted task is known."""
    assert find_proof({"prompt": "A dog"}, tokens=[], prompt=None) is Proof.NONE


# --- evidence of a task wins over every code --------------------------------------------------------------------

inner = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=5), items, max_size=3),
    max_leaves=5,
)
named = st.sampled_from([{"taskId": "t-1"}, {"task_id": "t-1"}, {"taskId": 17}, {"taskId": "a b"}])
around = st.recursive(
    named,
    lambda item: (
        st.tuples(item, inner).map(list)
        | st.builds(lambda value, other: {"info": value, "other": other}, item, inner)
        | item.map(json.dumps)
    ),
    max_leaves=3,
)
envelopes = st.fixed_dictionaries(
    {"data": around},
    optional={"code": st.sampled_from([200, 401, 402, 422, 429, 455, 500, "200", "429", None, True]), "msg": inner},
)
statuses = st.sampled_from([200, 302, 400, 401, 402, 403, 404, 422, 429, 433, 455, 500, 503])


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(envelopes, statuses, st.integers(0, 3), st.booleans())
def test_response_that_names_a_task_never_leads_to_a_second_request(
    body: dict[str, Any], status: int, cut: int, escaped: bool
) -> None:
    """Wherever the id is, and even if the end of the body is missing: accepted, or in doubt."""
    content = json.dumps(body, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    response = HttpResponse(status=status, body=content[: len(content) - cut] if cut < 3 else content)
    outcome: Any
    try:
        outcome = decode_response(GENERATE, response).task_id
    except errors.VeoError as error:
        outcome = classify_failure(error)
    assert outcome in ("t-1", V.IN_DOUBT)
