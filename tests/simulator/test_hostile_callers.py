"""Whatever a caller sends, the provider answers; it never breaks."""

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
def test_any_json_gets_an_answer(endpoint: Any, body: Any, has_prompt: bool, query: str) -> None:
    """JSON with an integer code, whatever was asked; nothing is charged but for tasks that exist."""
    at = bench(task_ids=["task-1"])
    at.generate()
    at.pass_(60)
    if has_prompt and isinstance(body, dict):
        body = {**body, "prompt": "x"}
    content = json.dumps(body).encode()
    answer = at.raw(endpoint.method, endpoint.path, body=content, query={"taskId": query, "index": query})
    assert isinstance(answer.json()["code"], int)
    assert all(charge.task_id in at.provider.tasks for charge in at.provider.charges)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b"{", b"", b"NaN", b"9" * 5000])
def test_any_bytes_get_an_answer(body: bytes) -> None:
    """No JSON is as good as a wrong one."""
    for endpoint in ENDPOINTS:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = bench().raw(endpoint.method, endpoint.path, body=body, headers=headers)
        assert isinstance(answer.json()["code"], int)


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=-0", "bytes=99999999999999999999-", f"bytes={'9' * 5000}-", "\u0664"]
)
def test_any_range_gets_an_answer(asked: str) -> None:
    """The whole, or 416."""
    at = bench()
    task_id = at.generate()
    at.pass_(60)
    (url,) = at.record(task_id)["data"]["response"]["resultUrls"]
    assert at.download(url, range=asked).status in (200, 416)


def test_a_key_in_another_scheme_is_no_key() -> None:
    """Bearer alone counts, in any case of its letters."""
    at = bench()
    codes = [
        at.raw("GET", "/api/v1/chat/credit", key=None, headers={"authorization": f"{scheme} {KEY}"}).json()["code"]
        for scheme in ("Bearer", "bearer", "Basic", "")
    ]
    assert codes == [200, 200, 401, 401]
