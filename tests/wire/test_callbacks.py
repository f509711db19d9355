"""What the provider posts to us, beyond the recorded ones: where the task id stands, and what a failure says."""

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
def test_where_the_task_id_stands(body: dict[str, Any]) -> None:
    """In data before anywhere else, in either spelling, and at the top level of one page's example."""
    callback = read_json("callback", body)
    assert callback.task_id == "t-1"
    assert callback.code == 200
    assert callback.raw == body


@pytest.mark.parametrize("data", [None, {}, [], {"taskId": None}, {"taskId": ""}, {"taskId": 5}, {"info": "t-1"}])
def test_a_callback_that_names_no_task(data: Any) -> None:
    """It points at nothing, so it is refused, with an excerpt for the log."""
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
def test_a_failure(code: int, message: str, kind: type[errors.TaskFailed]) -> None:
    """The envelope's code and message are the reason, unlike in a record."""
    failure = read_json("callback", envelope({"taskId": "t-1"}, code=code, msg=message)).failure
    assert (failure.code, failure.message) == (code, message)
    error = failure.error(task_id="t-1", job_key="row-17")
    assert type(error) is kind
    assert (error.reason_code, error.task_id, error.job_key) == (code, "t-1", "row-17")


def test_a_success_has_no_failure() -> None:
    """Code 200 tells of none."""
    assert read_json("callback", json_of("openapi/callback.success")).failure is None


def test_the_echoed_request_is_not_shown() -> None:
    """It holds the callback URL, and with it the token of the attempt: ``repr`` leaves it out."""
    callback = read_json("callback", json_of("openapi/callback.success"))
    assert isinstance(callback, Callback)
    assert callback.params["callBackUrl"] == "http://your-callback-url.com/complete"
    assert "your-callback-url" not in repr(callback)


@pytest.mark.parametrize("params", [{"promptJson": {"a": 1}}, {"promptJson": '{"a":1}'}, {"paramJson": '{"a":1}'}])
def test_the_echoed_request_in_each_form(params: dict[str, Any]) -> None:
    """JSON string or object, under the name of either page."""
    assert read_json("callback", envelope({"taskId": "t-1", **params})).params == {"a": 1}
