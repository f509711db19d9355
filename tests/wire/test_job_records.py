"""Records and callbacks of the jobs route, in every form; code 500 of create-task."""

import json
from typing import Any

import pytest

from veo_async import errors
from veo_async._rules.doubt import Proof, find_proof
from veo_async._wire import Record, TaskState

from .recordings import envelope, read_json

URL, BASE, INPUT = "https://files.example/a.mp4", "https://files.example/base.mp4", "https://files.example/in.png"
OPTIONS = {"prompt": "a red kite", "model": "veo3_fast", "image_urls": [INPUT]}
TOKEN_URL = "https://me.example/veo/cb/abc"
FLAT, NESTED = {"resultUrls": [URL]}, {"data": {"result_urls": [URL], "origin_urls": [BASE]}}

#: The echoed request in all forms: ``param`` and its ``input`` as an object or as JSON in a string.
PARAMS = [
    {name: outer({"callBackUrl": TOKEN_URL, "model": "veo-3-1", "input": inner(OPTIONS)})}
    for name in ("param", "paramJson")
    for outer in (json.dumps, dict)
    for inner in (json.dumps, dict)
]


def record(state: str | None = "waiting", **more: Any) -> Record:
    """Return the record with this state word, parsed."""
    found = read_json("job-record", envelope({"taskId": "t-1", "model": "veo-3-1", "state": state, **more}))
    assert isinstance(found, Record)
    return found


@pytest.mark.parametrize(
    ("word", "flag", "state"),
    [
        ("waiting", None, TaskState.GENERATING),
        ("queuing", None, TaskState.GENERATING),
        ("generating", None, TaskState.GENERATING),
        ("success", None, TaskState.SUCCEEDED),
        ("fail", None, TaskState.FAILED),
        ("waiting", 0, TaskState.GENERATING),
        ("success", 1, TaskState.SUCCEEDED),
        ("success", 0, TaskState.SUCCEEDED),
        ("fail", 3, TaskState.FAILED),
        ("archiving", None, TaskState.UNKNOWN),
        ("archiving", 0, TaskState.GENERATING),
        ("archiving", 1, TaskState.SUCCEEDED),
        (None, 0, TaskState.GENERATING),
        (None, 1, TaskState.SUCCEEDED),
        (None, None, TaskState.UNKNOWN),
    ],
)
def test_state_is_read_from_the_word_or_else_the_flag(word: str | None, flag: int | None, state: TaskState) -> None:
    """Acceptance 2: an unknown word without a flag is an unknown state, which is polled again."""
    assert record(word, successFlag=flag).state is state


@pytest.mark.parametrize("params", PARAMS)
def test_echoed_request_in_any_form_proves_the_job(params: dict[str, Any]) -> None:
    """Acceptance 2: the callback URL and the prompt are found; input images are never a result."""
    found = record("success", **params)
    assert found.params["prompt"] == "a red kite"
    assert find_proof(found.params, tokens={"abc"}, prompt=None) is Proof.TOKEN
    assert find_proof(found.params, tokens=(), prompt="a red kite") is Proof.PROMPT
    assert (found.urls, found.image_urls) == ((), ())


@pytest.mark.parametrize("param", ["", "not JSON", "[]", "5", [], 5])
def test_unusable_echo_is_empty(param: Any) -> None:
    assert record(param=param).params == {}


@pytest.mark.parametrize("empty", ["", "not JSON", "{}", {}, [], 5])
def test_unusable_echo_does_not_hide_the_other_one(empty: Any) -> None:
    """``param`` and ``paramJson`` have the same text; either can be empty."""
    echo = json.dumps({"callBackUrl": TOKEN_URL})
    for fields in ({"param": echo, "paramJson": empty}, {"param": empty, "paramJson": echo}):
        assert record(**fields).params == {"callBackUrl": TOKEN_URL}
        assert read_json("callback", envelope({"taskId": "t-1", **fields})).params == {"callBackUrl": TOKEN_URL}


@pytest.mark.parametrize("result", [FLAT, NESTED, {"resultUrl": URL}, {"result_urls": [URL]}, {"data": FLAT}])
@pytest.mark.parametrize("names", [("response",), ("resultJson",), ("response", "resultJson")])
@pytest.mark.parametrize("write", [dict, json.dumps])
def test_result_is_found_in_each_place(result: dict[str, Any], names: tuple[str, ...], write: Any) -> None:
    """Acceptance 3: ``response``, ``resultJson`` or both, as an object or a string; directly or in ``data``."""
    fields = dict.fromkeys(names, write(result))
    assert record("success", **fields).urls == (URL,)
    callback = read_json("callback", envelope({"taskId": "t-1", "state": "success", **fields}))
    assert callback.urls == (URL,)


@pytest.mark.parametrize("place", ["response", "resultJson"])
@pytest.mark.parametrize("nest", [lambda urls: urls, lambda urls: {"data": urls}])
def test_base_video_is_never_the_result(place: str, nest: Any) -> None:
    """Acceptance 3: without the requested resolution the task has no video, although it succeeded."""
    found = record("success", **{place: nest({"origin_urls": [BASE]})})
    assert (found.state, found.urls, found.origin_urls) == (TaskState.SUCCEEDED, (), (BASE,))


@pytest.mark.parametrize("result", [None, "", "not JSON", "[]", "null", '"text"', "{}", '{"data": 5}', {}, 5, []])
def test_success_with_an_unusable_result_has_no_video(result: Any) -> None:
    """Acceptance 3: an unusable result contains no video."""
    assert record("success", resultJson=result, response=result).urls == ()


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("422", "The clip is too dark", (422, "The clip is too dark")),
        (500, "internal", (500, "internal")),
        ("NSFW_CONTENT", "flagged as unsafe", (None, "flagged as unsafe")),
        ("NSFW_CONTENT", None, (None, "NSFW_CONTENT")),
        ("422", None, (422, "")),
        (None, None, (None, "")),
    ],
)
def test_failed_record_has_the_code_and_the_message(code: Any, message: Any, expected: tuple[int | None, str]) -> None:
    """Acceptance 4: a code that is a word is the reason if there is no other."""
    failure = record("fail", successFlag=3, failCode=code, failMsg=message).failure
    assert failure is not None
    assert (failure.code, failure.message) == expected
    assert failure.is_refusal is ("flagged" in failure.message)


@pytest.mark.parametrize("state", ["waiting", "success", "fail"])
def test_record_has_the_model_and_the_credits(state: str) -> None:
    found = record(state, creditsConsumed=63.0)
    assert (found.model, found.credits_consumed) == ("veo-3-1", 63.0)


@pytest.mark.parametrize(
    "body",
    [
        envelope(None, code=422, msg="recordInfo is null"),
        envelope(None, code=404, msg="Task not found"),
        envelope(None, code=200),
    ],
)
def test_unknown_id_is_a_missing_record(body: dict[str, Any]) -> None:
    with pytest.raises(errors.RecordNotFound):
        read_json("job-record", body)


@pytest.mark.parametrize("endpoint", ["job-record", "record-info", "create-task", "generate"])
@pytest.mark.parametrize(
    "message",
    [
        "No handler for this path",
        "Not found: this endpoint was closed for safety reasons",
        "Record info: only within 14 days",
        "Image fetch endpoint not found",
        "",
    ],
)
def test_other_404_is_no_missing_record(endpoint: str, message: str) -> None:
    """It says that the path does not exist, and nothing about the task, its content or its age."""
    with pytest.raises(errors.NotFound) as caught:
        read_json(endpoint, envelope(None, code=404, msg=message))
    assert type(caught.value) is errors.NotFound


# --- callbacks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", PARAMS)
def test_unified_callback_has_the_result_and_the_echoed_request(params: dict[str, Any]) -> None:
    data = {"taskId": "t-1", "model": "veo-3-1", "state": "success", "resultJson": json.dumps(FLAT), **params}
    callback = read_json("callback", envelope({**data, "creditsConsumed": 60}, msg="Playground task completed."))
    assert (callback.task_id, callback.urls, callback.credits_consumed) == ("t-1", (URL,), 60.0)
    assert callback.params["prompt"] == "a red kite"
    assert callback.failure is None


def test_info_callback_has_the_whole_video() -> None:
    """The extension page promises it here only."""
    info = {"resultUrls": [URL], "fullResultUrls": [BASE]}
    callback = read_json("callback", envelope({"taskId": "t-1", "info": info}))
    assert (callback.urls, callback.full_urls, callback.failure) == ((URL,), (BASE,), None)


def test_callback_of_2025_has_its_credits() -> None:
    data = {"taskId": "t-1", "state": "success", "resultJson": json.dumps(NESTED), "consumeCredits": 60}
    callback = read_json("callback", envelope({**data, "remainedCredits": 940}))
    assert (callback.urls, callback.origin_urls, callback.credits_consumed) == ((URL,), (BASE,), 60.0)


@pytest.mark.parametrize(
    ("envelope_code", "fail_code", "code"),
    [(501, "422", 422), (501, None, 501), (501, "NSFW", 501), (200, "422", 422), (200, None, 501), (501, "200", 501)],
)
def test_failed_callback_has_the_tasks_own_code_and_message(envelope_code: int, fail_code: Any, code: int) -> None:
    """Acceptance 4: the envelope has the same code and message for every failure."""
    data = {"taskId": "t-1", "state": "fail", "resultJson": None, "failCode": fail_code, "failMsg": "flagged"}
    failure = read_json("callback", envelope(data, code=envelope_code, msg="Playground task failed.")).failure
    assert (failure.code, failure.message, failure.is_refusal) == (code, "flagged", True)


# --- code 500 of create-task ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        "aspect_ratio is required",
        "This field is required.",
        "This aspect_ratio is not within the range of allowed options",
        "The model name 'veo3' is not supported",
    ],
)
def test_known_sentence_of_a_500_is_a_rejection(message: str) -> None:
    """Acceptance 5: the request was refused, and nothing was charged."""
    with pytest.raises(errors.RequestRejected) as caught:
        read_json("create-task", envelope(None, code=500, msg=message))
    assert not caught.value.retryable
    assert caught.value.task_id is None


@pytest.mark.parametrize("message", ["Credits insufficient", "Your credits are insufficient: please top up"])
def test_500_about_credits_is_an_empty_account(message: str) -> None:
    """Acceptance 5: so submission pauses until there are enough."""
    with pytest.raises(errors.InsufficientCredits):
        read_json("create-task", envelope(None, code=500, msg=message))


@pytest.mark.parametrize(
    "message",
    ["Server exception, please try again later", "", "Server exception, a retry is required", "flagged"],
)
def test_other_500_leaves_open_whether_a_task_was_created(message: str) -> None:
    """Acceptance 5: the job is in doubt."""
    with pytest.raises(errors.ServerError) as caught:
        read_json("create-task", envelope(None, code=500, msg=message))
    assert caught.value.remedy == errors.MAY_HAVE_BEEN_CHARGED


def test_known_sentence_with_http_500_leaves_it_open() -> None:
    """A proxy or a crash can have caused that status."""
    with pytest.raises(errors.ServerError):
        read_json("create-task", envelope(None, code=500, msg="prompt is required"), status=500)


def test_known_sentence_with_a_task_id_leaves_it_open() -> None:
    """That task may exist."""
    with pytest.raises(errors.RequestRejected) as caught:
        read_json("create-task", envelope({"taskId": "t-9"}, code=500, msg="prompt is required"))
    assert (caught.value.task_id, caught.value.remedy) == ("t-9", errors.MAY_HAVE_BEEN_CHARGED)


@pytest.mark.parametrize("endpoint", ["generate", "extend", "get-4k-video"])
def test_500_of_other_endpoints_is_not_read_by_its_sentence(endpoint: str) -> None:
    with pytest.raises(errors.ServerError):
        read_json(endpoint, envelope(None, code=500, msg="prompt is required"))
