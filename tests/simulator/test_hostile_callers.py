"""The provider returns a valid response to every request."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veo_async._wire.endpoints import ENDPOINTS

from .support import KEY, bench

_WORDS = (
    *("prompt", "model", "imageUrls", "aspect_ratio", "aspectRatio", "seeds", "duration", "resolution", "watermark"),
    *("generationType", "callBackUrl", "enableTranslation", "taskId", "index", "url"),
    *("base64Data", "uploadPath", "fileName", "fileUrl"),
)
_NAMES = st.sampled_from(_WORDS)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["task-1", "veo3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_BODIES = st.dictionaries(_NAMES, _VALUES, max_size=8) | _VALUES


@settings(max_examples=300, deadline=None)
@given(endpoint=st.sampled_from(ENDPOINTS), body=_BODIES, has_prompt=st.booleans(), query=st.text(max_size=8))
def test_any_json_gets_a_response(endpoint: Any, body: Any, has_prompt: bool, query: str) -> None:
    """The response has an integer code, and only existing tasks are charged."""
    sim = bench(task_ids=["task-1"])
    sim.generate()
    sim.advance(60)
    if has_prompt and isinstance(body, dict):
        body = {**body, "prompt": "x", "model": "veo3_fast"}
    content = json.dumps(body).encode()
    response = sim.send(endpoint.method, endpoint.path, body=content, query={"taskId": query, "index": query})
    assert isinstance(response.json()["code"], int)
    assert all(charge.task_id in sim.provider.tasks for charge in sim.provider.charges)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b"{", b"", b"NaN", b"9" * 5000])
def test_any_bytes_get_a_response(body: bytes) -> None:
    """Invalid JSON is handled like an invalid request."""
    for endpoint in ENDPOINTS:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        response = bench().send(endpoint.method, endpoint.path, body=body, headers=headers)
        assert isinstance(response.json()["code"], int)


@pytest.mark.parametrize(
    "range_header", ["bytes=5-2", "bytes=-0", "bytes=99999999999999999999-", f"bytes={'9' * 5000}-", "\u0664"]
)
def test_any_range_gets_a_response(range_header: str) -> None:
    """The response is the whole file or 416."""
    sim = bench()
    task_id = sim.generate()
    sim.advance(60)
    (url,) = sim.record(task_id)["data"]["response"]["resultUrls"]
    assert sim.download(url, range=range_header).status in (200, 416)


def test_only_bearer_keys_are_accepted() -> None:
    """The scheme's case does not matter."""
    sim = bench()
    codes = [
        sim.send("GET", "/api/v1/chat/credit", key=None, headers={"authorization": f"{scheme} {KEY}"}).json()["code"]
        for scheme in ("Bearer", "bearer", "Basic", "")
    ]
    assert codes == [200, 200, 401, 401]
