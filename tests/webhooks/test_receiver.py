"""What is answered to a callback, in which order it is decided, and what it may cost."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async._wire import sign_callback
from veo_async.errors import LedgerBusy, SessionClosed
from veo_async.webhooks import Receiver
from veo_async.webhooks.receiver import (
    MAX_BODY_BYTES,
    MAX_CONCURRENT_WRITES,
    MAX_TASKS_PER_TOKEN,
    READ_TIMEOUT_S,
    WRITE_TIMEOUT_S,
)

pytestmark = pytest.mark.veo_virtual_time

TOKEN = "t" * 26
AT = 1769670760.0


def body_of(task_id: str) -> bytes:
    return json.dumps({"code": 200, "msg": "ok", "data": {"taskId": task_id}}).encode()


def is_ours(token: str) -> bool:
    return len(token) == len(TOKEN) and token.startswith("t")


class Desk:
    """A receiver, and everything that it asked for."""

    def __init__(self, *keys: str, hint: Any = None) -> None:
        self.hints: list[tuple[str, str]] = []
        self.reads = 0
        self.receiver = Receiver(is_valid_token=is_ours, hint=hint or self.keep, signing_keys=keys, now=lambda: AT)

    async def keep(self, token: str, task_id: str) -> bool:
        self.hints.append((token, task_id))
        return True

    async def post(
        self, body: bytes = body_of("t-1"), *, method: str = "POST", path: str = f"/veo/cb/{TOKEN}", **headers: str
    ) -> int:
        async def read(most: int) -> bytes | None:
            self.reads += 1
            return body if len(body) <= most else None

        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.receiver.respond(method, path, told, read)


async def test_a_hint_is_kept_before_the_200() -> None:
    desk = Desk()
    assert await desk.post() == 200
    assert desk.hints == [(TOKEN, "t-1")]
    assert desk.receiver.statistics.responses == {200: 1}


@pytest.mark.parametrize("path", [f"/{TOKEN}", f"/veo/cb/{TOKEN}", f"/hooks/veo/cb/{TOKEN}"])
async def test_only_the_last_part_of_the_path_counts(path: str) -> None:
    """Wherever a framework or a proxy has mounted it."""
    assert await Desk().post(path=path) == 200


@pytest.mark.parametrize(
    ("status", "how"),
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
async def test_row_45_what_is_refused_unread(status: int, how: dict[str, Any]) -> None:
    """Before a byte of the body is read, and before anything is looked up."""
    desk = Desk()
    assert await desk.post(**how) == status
    assert desk.reads == 0
    assert desk.hints == []


async def test_row_45_a_body_that_is_larger_than_it_said() -> None:
    desk = Desk()
    assert await desk.post(b" " * (MAX_BODY_BYTES + 1), content_length="10") == 413
    assert await desk.post(body_of("t-1").ljust(MAX_BODY_BYTES), content_length=str(MAX_BODY_BYTES)) == 200


async def test_row_45_a_body_that_does_not_come() -> None:
    """After five seconds it is told so; the loop's own, so this test takes none."""

    async def never(_: int) -> bytes:
        await asyncio.sleep(1e6)
        return b""

    began = asyncio.get_running_loop().time()
    assert await Desk().receiver.respond("POST", TOKEN, {}, never) == 408
    assert asyncio.get_running_loop().time() - began == pytest.approx(READ_TIMEOUT_S)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"code": 200}', b'{"data": {"taskId": ""}}', b"\xff\xfe", b"[" * 60_000, b"5" * 9000],
)
async def test_what_is_no_callback(body: bytes) -> None:
    desk = Desk()
    assert await desk.post(body) == 400
    assert desk.hints == []


async def test_with_a_key_what_is_not_signed_is_refused() -> None:
    """Missing, wrong, and right."""
    desk = Desk("new", "old")
    signed = {"x_webhook_timestamp": str(int(AT))}
    assert await desk.post() == 401
    assert await desk.post(**signed, x_webhook_signature=sign_callback("t-1", int(AT), "none")) == 401
    assert await desk.post(**signed, x_webhook_signature=sign_callback("t-2", int(AT), "old")) == 401
    assert desk.hints == []
    assert await desk.post(**signed, x_webhook_signature=sign_callback("t-1", int(AT), "old")) == 200


async def test_row_43_told_a_hundred_times_at_once_is_one_write() -> None:
    """And every one of them is answered with 200."""
    desk = Desk()
    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(desk.post()) for _ in range(100)]
    assert {post.result() for post in posts} == {200}
    assert len(desk.hints) == 1
    assert not desk.receiver._writing


async def test_row_44_one_token_cannot_name_any_number_of_tasks() -> None:
    """Whoever knows one token fills no ledger with it."""
    desk = Desk()
    assert {await desk.post(body_of(f"t-{n}")) for n in range(1000)} == {200}
    assert len(desk.hints) == MAX_TASKS_PER_TOKEN


async def test_a_ledger_that_does_not_take_it_is_told_again_later() -> None:
    """503 has the provider come again; 200 would not."""

    async def busy(token: str, task_id: str) -> bool:
        raise LedgerBusy("locked")

    async def hangs(token: str, task_id: str) -> bool:
        await asyncio.sleep(1e6)
        return True

    assert await Desk(hint=busy).post() == 503
    began = asyncio.get_running_loop().time()
    desk = Desk(hint=hangs)
    assert await desk.post() == 503
    assert asyncio.get_running_loop().time() - began == pytest.approx(WRITE_TIMEOUT_S)
    await asyncio.sleep(0)
    assert not desk.receiver._writing


async def test_more_than_can_be_written_at_once() -> None:
    """Memory is bounded by a number, not by whoever posts."""
    gate = asyncio.Event()

    async def waits(token: str, task_id: str) -> bool:
        await gate.wait()
        return True

    desk = Desk(hint=waits)
    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(desk.post(path=f"/t{n:025d}")) for n in range(MAX_CONCURRENT_WRITES + 10)]
        await asyncio.sleep(0.1)
        gate.set()
    assert sorted(post.result() for post in posts) == [200] * MAX_CONCURRENT_WRITES + [503] * 10


async def test_a_token_of_ours_that_no_attempt_has() -> None:
    """The ledger has forgotten it, or it is of another file with the same secret."""

    async def unknown(token: str, task_id: str) -> bool:
        return False

    assert await Desk(hint=unknown).post() == 404


async def test_a_session_that_is_not_open() -> None:
    """The provider may come again when it is."""

    def closed(_: str) -> bool:
        raise SessionClosed("not open")

    receiver = Receiver(is_valid_token=closed, hint=Desk().keep, now=lambda: AT)

    async def read(_: int) -> bytes:
        return body_of("t-1")

    assert await receiver.respond("POST", TOKEN, {}, read) == 503


@given(
    method=st.sampled_from(["POST", "GET", "PUT"]),
    path=st.text() | st.just(TOKEN),
    headers=st.dictionaries(st.sampled_from(["content-length", "content-encoding", "x-webhook-signature"]), st.text()),
    body=st.binary(max_size=100) | st.just(body_of("t-1")),
)
def test_whatever_comes_is_answered(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    """With one of the statuses of the table, never with an exception; only a whole callback is kept."""

    async def read(_: int) -> bytes:
        return body

    desk = Desk()
    status = asyncio.run(desk.receiver.respond(method, path, headers, read))
    assert status in (200, 400, 404, 405, 413, 415)
    assert (desk.hints == [(TOKEN, "t-1")]) == (status == 200)
