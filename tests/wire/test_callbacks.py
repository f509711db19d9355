"""Callbacks beyond the recorded ones: where the task id is, and what a failure contains."""

from typing import Any

import pytest

from veo_async import errors
from veo_async._wire import Callback

from .recordings import envelope, json_of, read_json


@pytest.mark.parametrize(
    "body",
    [
        envelope({"taskId": "t-1"}),
        envelope({"task_id": "t-1"}),
        envelope({"info": {"taskId": "t-1"}}),
        {"code": 200, "taskId": "t-1"},
        {"code": 200, "task_id": "t-1", "data": None},
        {"code": 200, "taskId": "t-1", "data": []},
        {"code": 200, "taskId": "t-1", "data": {"task_id": "t-1", "callbackType": "task_completed"}},
        {"code": 200, "taskId": "outer", "data": {"taskId": "t-1"}},
        {"code": "200", "data": {"taskId": "t-1"}},
    ],
)
def test_task_id_is_found_in_every_documented_place(body: dict[str, Any]) -> None:
    """Data comes first, in either spelling; one documented example has the id at the top level."""
    callback = read_json("callback", body)
    assert callback.task_id == "t-1"
    assert callback.code == 200
    assert callback.raw == body


@pytest.mark.parametrize("data", [None, {}, [], {"taskId": None}, {"taskId": ""}, {"taskId": 5}, {"info": "t-1"}])
def test_callback_without_a_task_id_is_malformed(data: Any) -> None:
    """It refers to nothing, so it is rejected, with an excerpt for the log."""
    with pytest.raises(errors.MalformedResponse) as caught:
        read_json("callback", envelope(data))
    assert caught.value.endpoint == "callback"
    assert '"code": 200' in caught.value.excerpt


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (400, "Your prompt was flagged by Website as violating content policies.", errors.TaskRefused),
        (400, "public error unsafe image upload.", errors.TaskRefused),
        (422, "Your request was rejected by Flow(x). You may consider ...", errors.TaskRefused),
        (500, "Internal Error, Please try again later.", errors.TaskFailed),
        (501, "Failed - Video generation task failed", errors.TaskFailed),
        (599, "", errors.TaskFailed),
    ],
)
def test_failure_has_the_code_and_message_of_the_envelope(
    code: int, message: str, kind: type[errors.TaskFailed]
) -> None:
    """Unlike in a record, the envelope's code and message are the reason."""
    failure = read_json("callback", envelope({"taskId": "t-1"}, code=code, msg=message)).failure
    assert (failure.code, failure.message) == (code, message)
    error = failure.error(task_id="t-1", job_key="row-17")
    assert type(error) is kind
    assert (error.reason_code, error.task_id, error.job_key) == (code, "t-1", "row-17")


def test_success_has_no_failure() -> None:
    """Code 200 is not a failure."""
    assert read_json("callback", json_of("openapi/callback.success")).failure is None


def test_repr_hides_the_echoed_request() -> None:
    """It contains the callback URL with the attempt's token, so ``repr`` omits it."""
    callback = read_json("callback", json_of("openapi/callback.success"))
    assert isinstance(callback, Callback)
    assert callback.params["callBackUrl"] == "http://your-callback-url.com/complete"
    assert "your-callback-url" not in repr(callback)


@pytest.mark.parametrize("params", [{"promptJson": {"a": 1}}, {"promptJson": '{"a":1}'}, {"paramJson": '{"a":1}'}])
def test_echoed_request_is_read_in_every_form(params: dict[str, Any]) -> None:
    """A JSON string or an object, under either documented name."""
    assert read_json("callback", envelope({"taskId": "t-1", **params})).params == {"a": 1}
