"""How the receiver responds to callbacks, in which order it decides, and what a callback may cost (rows 43 to 45)."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._wire import sign_callback
from veo_async.errors import LedgerBusy, SessionClosed
from veo_async.types import RouteName
from veo_async.webhooks import Receiver
from veo_async.webhooks.receiver import (
    MAX_BODY_BYTES,
    MAX_CONCURRENT_WRITES,
    READ_TIMEOUT_S,
    WRITE_TIMEOUT_S,
)

pytestmark = pytest.mark.veo_virtual_time

TOKEN = "t" * 26
AT = 1769670760.0


#: What callbacks contain besides the task id, on each route.
FIELDS: dict[str, dict[str, Any]] = {
    "veo": {"info": {"resultUrls": ["https://a.example/1.mp4"]}},
    "jobs": {"model": "veo-3-1", "state": "success", "param": "{}", "resultJson": '{"resultUrls":[]}', "failMsg": None},
}


def body_of(task_id: str, **fields: Any) -> bytes:
    return json.dumps({"code": 200, "msg": "ok", "data": {"taskId": task_id, **fields}}).encode()


def is_valid_token(token: str) -> bool:
    return len(token) == len(TOKEN) and token.startswith("t")


class RecordingReceiver:
    """A receiver, and a record of the hints that it stored and the bodies that it read."""

    def __init__(self, *keys: str, hint: Any = None) -> None:
        self.hints: list[tuple[str, str]] = []
        self.reads = 0
        self.receiver = Receiver(
            is_valid_token=is_valid_token, hint=hint or self.store, signing_keys=keys, now=lambda: AT
        )

    async def store(self, token: str, task_id: str) -> bool:
        self.hints.append((token, task_id))
        return True

    async def post(
        self, body: bytes = body_of("t-1"), *, method: str = "POST", path: str = f"/veo/cb/{TOKEN}", **headers: str
    ) -> int:
        async def read(max_bytes: int) -> bytes | None:
            self.reads += 1
            return body if len(body) <= max_bytes else None

        dashed = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.receiver.respond(method, path, dashed, read)


async def test_hint_is_stored_before_the_200(route: RouteName) -> None:
    """A valid callback is stored and counted."""
    recording = RecordingReceiver()
    assert await recording.post(body_of("t-1", **FIELDS[route])) == 200
    assert recording.hints == [(TOKEN, "t-1")]
    assert recording.receiver.statistics.responses == {200: 1}


@pytest.mark.parametrize("path", [f"/{TOKEN}", f"/veo/cb/{TOKEN}", f"/hooks/veo/cb/{TOKEN}"])
async def test_only_the_last_part_of_the_path_counts(path: str) -> None:
    """The receiver can be mounted at any path, also behind a proxy."""
    assert await RecordingReceiver().post(path=path) == 200


@pytest.mark.parametrize(
    ("status", "request_arguments"),
    [
        (405, {"method": "GET"}),
        (404, {"path": "/veo/cb/" + "x" * 26}),
        (404, {"path": "/veo/cb/"}),
        (415, {"content_encoding": "gzip"}),
        (413, {"content_length": str(MAX_BODY_BYTES + 1)}),
        (413, {"content_length": "-5"}),
        (413, {"content_length": "9" * 400}),
    ],
)
async def test_unwanted_request_is_rejected_before_its_body_is_read(
    status: int, request_arguments: dict[str, Any]
) -> None:
    """Neither the body nor the ledger is read."""
    recording = RecordingReceiver()
    assert await recording.post(**request_arguments) == status
    assert recording.reads == 0
    assert recording.hints == []


async def test_body_larger_than_announced_is_rejected() -> None:
    """The size limit counts the received bytes, whatever ``Content-Length`` says."""
    recording = RecordingReceiver()
    assert await recording.post(b" " * (MAX_BODY_BYTES + 1), content_length="10") == 413
    assert await recording.post(body_of("t-1").ljust(MAX_BODY_BYTES), content_length=str(MAX_BODY_BYTES)) == 200


async def test_body_that_does_not_arrive_times_out() -> None:
    """The response is a 408 after five seconds of virtual time."""

    async def never(_: int) -> bytes:
        await asyncio.sleep(1e6)
        return b""

    started_at = asyncio.get_running_loop().time()
    assert await RecordingReceiver().receiver.respond("POST", TOKEN, {}, never) == 408
    assert asyncio.get_running_loop().time() - started_at == pytest.approx(READ_TIMEOUT_S)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"code": 200}', b'{"data": {"taskId": ""}}', b"\xff\xfe", b"[" * 60_000, b"5" * 9000],
)
async def test_invalid_body_is_rejected(body: bytes) -> None:
    """A body that is not a callback of the provider gets a 400."""
    recording = RecordingReceiver()
    assert await recording.post(body) == 400
    assert recording.hints == []


async def test_with_a_secret_only_signed_callbacks_are_accepted(route: RouteName) -> None:
    """Missing signatures and those of another secret or task get a 401."""
    recording, body = RecordingReceiver("new", "old"), body_of("t-1", **FIELDS[route])
    signed = {"x_webhook_timestamp": str(int(AT))}
    assert await recording.post(body) == 401
    assert await recording.post(body, **signed, x_webhook_signature=sign_callback("t-1", int(AT), "none")) == 401
    assert await recording.post(body, **signed, x_webhook_signature=sign_callback("t-2", int(AT), "old")) == 401
    assert recording.hints == []
    assert await recording.post(body, **signed, x_webhook_signature=sign_callback("t-1", int(AT), "old")) == 200


async def test_hundred_concurrent_copies_of_a_callback_are_one_write() -> None:
    """All of them get a 200."""
    recording = RecordingReceiver()
    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(recording.post()) for _ in range(100)]
    assert {post.result() for post in posts} == {200}
    assert len(recording.hints) == 1
    assert not recording.receiver._writes


async def test_every_task_of_a_token_is_stored() -> None:
    """Before the records are read none is known to be true; the ledger bounds their number."""
    recording = RecordingReceiver()
    assert {await recording.post(body_of(f"t-{n}")) for n in range(1000)} == {200}
    assert len(recording.hints) == 1000


async def test_hint_that_cannot_be_stored_gets_a_503() -> None:
    """After a 503 the provider repeats the callback; after a 200 it would not."""

    async def busy(token: str, task_id: str) -> bool:
        raise LedgerBusy("locked")

    async def hangs(token: str, task_id: str) -> bool:
        await asyncio.sleep(1e6)
        return True

    assert await RecordingReceiver(hint=busy).post() == 503
    started_at = asyncio.get_running_loop().time()
    recording = RecordingReceiver(hint=hangs)
    assert await recording.post() == 503
    assert asyncio.get_running_loop().time() - started_at == pytest.approx(WRITE_TIMEOUT_S)
    await asyncio.sleep(0)
    assert not recording.receiver._writes


async def test_too_many_concurrent_writes_get_a_503() -> None:
    """The number of waiting callbacks is limited, so memory is too."""
    released = asyncio.Event()

    async def waits(token: str, task_id: str) -> bool:
        await released.wait()
        return True

    recording = RecordingReceiver(hint=waits)
    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(recording.post(path=f"/t{n:025d}")) for n in range(MAX_CONCURRENT_WRITES + 10)]
        await asyncio.sleep(0.1)
        released.set()
    assert sorted(post.result() for post in posts) == [200] * MAX_CONCURRENT_WRITES + [503] * 10


async def test_valid_token_of_no_attempt_gets_a_404() -> None:
    """The ledger has pruned the attempt, or the token belongs to another ledger with the same secret."""

    async def unknown(token: str, task_id: str) -> bool:
        return False

    assert await RecordingReceiver(hint=unknown).post() == 404


async def test_session_that_is_not_open_gets_a_503() -> None:
    """The provider repeats the callback, and the session may be open then."""

    def closed(_: str) -> bool:
        raise SessionClosed("not open")

    receiver = Receiver(is_valid_token=closed, hint=RecordingReceiver().store, now=lambda: AT)

    async def read(_: int) -> bytes:
        return body_of("t-1")

    assert await receiver.respond("POST", TOKEN, {}, read) == 503


@given(
    method=st.sampled_from(["POST", "GET", "PUT"]),
    path=st.text() | st.just(TOKEN),
    headers=st.dictionaries(st.sampled_from(["content-length", "content-encoding", "x-webhook-signature"]), st.text()),
    body=st.binary(max_size=100) | st.just(body_of("t-1")),
)
def test_every_request_gets_a_documented_status(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    """No request raises an exception, and only a complete callback is stored."""

    async def read(_: int) -> bytes:
        return body

    recording = RecordingReceiver()
    status = asyncio.run(recording.receiver.respond(method, path, headers, read))
    assert status in (200, 400, 404, 405, 413, 415)
    assert (recording.hints == [(TOKEN, "t-1")]) == (status == 200)
