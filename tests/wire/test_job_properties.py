"""Property tests of the jobs route: any record and any callback becomes our value or a `MalformedResponse`.

The three kinds of videos have hosts of their own: inputs, base videos and results. So a URL that ends up in the wrong
place shows where it came from.
"""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veo_async import errors
from veo_async._rules.doubt import Proof, find_proof
from veo_async._rules.polling.poll_result import PollHistory, Succeeded, interpret
from veo_async._wire import Callback, Record, TaskState, record_from_raw

from .recordings import envelope, read_body, read_json

hundreds = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,  # the same code gives the same run, so every failure can be reproduced
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

RESULT, BASE, INPUT = "https://result.example/", "https://base.example/", "https://input.example/"
RESULT_NAMES = ("resultUrls", "result_urls", "resultUrl", "fullResultUrls")
BASE_NAMES = ("originUrls", "origin_urls")
STATES = ("waiting", "queuing", "generating", "success", "fail", "archiving", "SUCCESS", "")

numbers = (
    st.integers(-(10**30), 10**30)
    | st.floats()  # NaN and infinities included, which are not JSON
    | st.sampled_from([0, 1, 2, 3, 200, 422, 500, 501, 1e308, -1, 10**24])
)
texts = st.text(st.characters(), max_size=8)  # lone surrogates included: JSON can escape them


def nested(value: Any, levels: int) -> Any:
    """Return *value* inside *levels* lists."""
    for _ in range(levels):
        value = [value]
    return value


def as_text(value: Any) -> str:
    return json.dumps(value)


def urls_of(host: str) -> st.SearchStrategy[Any]:
    """Return the shapes in which URLs come: a list, one URL, a list in a string, and what is none of these."""
    some = st.lists(st.sampled_from([f"{host}a.mp4", f"{host}b.mp4?x=1,2", f" {host}c"]), max_size=2)
    return some | some.map(as_text) | some.map(",".join) | some.map(str) | some.map(lambda found: {"url": found})


def with_strings_in_strings(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return *values* as they are, and as JSON in a string, once and twice."""
    return values | values.map(as_text) | values.map(as_text).map(as_text)


def objects(leaves: st.SearchStrategy[Any], names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Return JSON of any structure whose objects have *names* and others, made of *leaves*."""
    keys = st.sampled_from([*names, "data", "input", "info", "x"])
    return st.recursive(
        leaves,
        lambda inner: (
            with_strings_in_strings(st.dictionaries(keys, inner, max_size=4))
            | st.lists(inner, max_size=3)
            | st.builds(nested, inner, st.sampled_from([1, 5, 40]))
        ),
        max_leaves=6,
    )


junk = st.none() | st.booleans() | numbers | texts
#: An echoed request. Whatever its fields are called, their URLs are inputs.
echoes = with_strings_in_strings(
    objects(junk | urls_of(INPUT), ("prompt", "image_urls", "callBackUrl", *RESULT_NAMES, "state", "response"))
)
#: The fields of a result: each name has URLs of its own host.
result_fields = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(RESULT_NAMES, urls_of(RESULT) | st.lists(junk, max_size=2)),
        **dict.fromkeys(BASE_NAMES, urls_of(BASE) | st.none()),
    },
)
results = with_strings_in_strings(
    result_fields
    | st.builds(lambda outer, inner: {**outer, "data": inner}, result_fields, with_strings_in_strings(result_fields))
    | st.builds(nested, result_fields, st.sampled_from([1, 40]))
)
no_results = st.builds(lambda value: value, junk)  # one alternative to results, instead of one for each kind of junk
records = st.fixed_dictionaries(
    {"taskId": st.just("t-1")},
    optional={
        "param": echoes,
        "paramJson": echoes,
        "promptJson": echoes,
        "resultJson": results | no_results,
        "response": results | no_results,
        "info": results | no_results,
        "state": st.sampled_from(STATES) | junk,
        "successFlag": numbers | numbers.map(str) | junk,
        "failCode": numbers | numbers.map(str) | st.sampled_from(["NSFW", "200", "", "٣"]) | junk,
        "failMsg": junk | st.lists(junk, max_size=2),
        "creditsConsumed": numbers | numbers.map(str) | junk,
        "consumeCredits": numbers | junk,
        "costTime": junk,
        "createTime": numbers | numbers.map(str) | junk,
        "completeTime": numbers | junk,
        "model": junk,
    },
)


def read_or_malformed(endpoint: str, data: Any, code: Any = 200) -> Any:
    """Return the value, or the `MalformedResponse`; any other exception fails the test."""
    try:
        return read_body(endpoint, as_text(envelope(data, code=code)).encode())
    except errors.MalformedResponse as malformed:
        return malformed


def check_urls(found: Record | Callback) -> None:
    """Check that results are results: none comes from the echoed request or is a base video."""
    assert all(url.startswith(RESULT) for url in (*found.urls, *found.full_urls))
    assert all(url.startswith(BASE) for url in found.origin_urls)
    assert found.image_urls == ()


@hundreds
@given(records)
def test_any_record_is_read_or_malformed_and_its_videos_are_results(data: dict[str, Any]) -> None:
    """Wrong types, strings in strings, deep nesting, huge numbers and NaN."""
    found = read_or_malformed("job-record", data)
    if isinstance(found, errors.MalformedResponse):
        assert str(found).isprintable()
        return
    assert isinstance(found, Record)
    check_urls(found)
    assert isinstance(found.state, TaskState)
    assert isinstance(find_proof(found.params, tokens={"abc"}, prompt="a dog"), Proof)
    assert found.credits_consumed is None or isinstance(found.credits_consumed, float)
    assert (found.failure is not None) is (found.state is TaskState.FAILED)
    if found.failure is not None:
        assert str(found.failure.error()).isprintable()


@hundreds
@given(records)
def test_any_record_is_the_same_after_it_was_stored(data: dict[str, Any]) -> None:
    """The ledger keeps ``raw`` as JSON."""
    found = read_or_malformed("job-record", data)
    if isinstance(found, Record):
        stored = record_from_raw(json.loads(json.dumps(found.raw)))
        assert (stored, stored.params) == (found, found.params)
        assert copy.deepcopy(found) == found


@hundreds
@given(records, st.sampled_from(["success", None]), st.sampled_from([1, "1"]))
def test_success_is_ready_only_with_a_video(data: dict[str, Any], word: str | None, flag: Any) -> None:
    """Whatever else the record contains, and however often it is polled."""
    found = read_or_malformed("job-record", {**data, "state": word, "successFlag": flag})
    if isinstance(found, Record):
        assert found.state is TaskState.SUCCEEDED
        history = PollHistory(started_at=0.0)
        meanings = [interpret(history, found, now) for now in (60.0, 70.0, 1000.0)]
        assert all(isinstance(meaning, Succeeded) is bool(found.urls) for meaning in meanings)


@hundreds
@given(records, st.sampled_from([200, 501, "200", 422]))
def test_any_callback_is_read_or_malformed_and_its_videos_are_results(data: dict[str, Any], code: Any) -> None:
    """Anything that is posted to us from the internet."""
    found = read_or_malformed("callback", data, code)
    if isinstance(found, errors.MalformedResponse):
        assert str(found).isprintable()
        return
    assert isinstance(found, Callback)
    assert found.task_id == "t-1"
    check_urls(found)
    assert isinstance(found.params, dict)
    assert (found.failure is None) is (found.code == 200)
    if found.failure is not None:
        assert str(found.failure.error()).isprintable()


@pytest.mark.parametrize("endpoint", ["job-record", "callback"])
@pytest.mark.parametrize("name", ["param", "resultJson", "response", "state", "failCode", "creditsConsumed"])
@pytest.mark.parametrize("value", [b"NaN", b"1e999", b"-Infinity", b"1" * 400, b"[" * 50 + b"]" * 50])
def test_number_that_is_not_json_and_deep_nesting_make_the_response_malformed(
    endpoint: str, name: str, value: bytes
) -> None:
    """In any field: a response that no correct provider sends says nothing about the task."""
    body = b'{"code":200,"msg":"","data":{"taskId":"t-1","%s":%s}}' % (name.encode(), value)
    with pytest.raises(errors.MalformedResponse):
        read_body(endpoint, body)


@pytest.mark.parametrize("value", ["NaN", "1e999", "1" * 400, "[" * 50 + "]" * 50, '{"a":1,"a":2}', '{"resultUrls":'])
@pytest.mark.parametrize("name", ["param", "paramJson", "resultJson"])
def test_text_that_is_not_json_is_empty_and_the_record_is_read(name: str, value: str) -> None:
    """Such a detail does not cost the user the clip."""
    data = {"taskId": "t-1", "state": "success", "response": {"resultUrls": [f"{RESULT}a.mp4"]}, name: value}
    found = read_json("job-record", envelope(data))
    assert (found.urls, found.params) == ((f"{RESULT}a.mp4",), {})
