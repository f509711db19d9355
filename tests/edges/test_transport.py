"""One attempt over real sockets: how much had left us, what came back, and that it was one."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import Callable

import aiohttp
import pytest
import trustme

from veo_async import VeoApi
from veo_async._api.transport import MAX_RESPONSE_BYTES, AiohttpTransport
from veo_async._ports import HttpRequest
from veo_async.errors import ClientClosed, MalformedResponse, NotSent, ResponseLost, TransportError

from .raw_server import Visit, http, raw_server

KEY = "kie_canary_0123456789abcdef"
RECORD = b'{"code":200,"msg":"success","data":{"taskId":"t","successFlag":0}}'


def api(url: str, **options: object) -> VeoApi:
    return VeoApi(KEY, base_url=url, **options)  # type: ignore[arg-type]


async def failure_of(url: str, **options: object) -> TransportError:
    """How a generate call fails against *url*."""
    async with api(url, **options) as client:
        with pytest.raises(TransportError) as caught:
            await client.generate("a dog surfing")
    return caught.value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- nothing had left us ----------------------------------------------------------------------------------------


async def test_refused_connection_was_not_sent() -> None:
    """Nobody listens: zero bytes, safe to send again, even for what costs."""
    error = await failure_of(f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, NotSent)
    assert (error.bytes_sent, error.retryable, error.endpoint) == (0, True, "generate")


async def test_unknown_host_was_not_sent() -> None:
    """A name that does not resolve: zero bytes."""
    error = await failure_of("https://no-such-host.invalid")
    assert isinstance(error, NotSent)
    assert error.bytes_sent == 0
    assert "resolved" in error.message


async def test_untrusted_certificate_was_not_sent() -> None:
    """A server whose certificate nobody vouches for sees a handshake and no byte of ours."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)

    async def behave(visit: Visit) -> None:
        await visit.read_request()

    async with raw_server(behave, tls=tls) as server:
        error = await failure_of(server.url)
    assert isinstance(error, NotSent)
    assert error.bytes_sent == 0
    assert "certificate" in error.message


async def test_plain_http_on_a_tls_port_was_not_sent() -> None:
    """Something that does not speak TLS where TLS belongs: zero bytes."""

    async def behave(visit: Visit) -> None:
        await visit.send(http(b"hello"))

    async with raw_server(behave) as server:
        error = await failure_of(server.url.replace("http", "https"))
    assert isinstance(error, NotSent)
    assert error.bytes_sent == 0


async def test_trusted_certificate_is_accepted() -> None:
    """With a context that knows the authority the same kind of server works."""
    authority = trustme.CA()
    tls, trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trust)

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(b'{"code":200,"msg":"success","data":{"taskId":"t1"}}'))

    async with raw_server(behave, tls=tls) as server, api(server.url, ssl_context=trust) as client:
        assert (await client.generate("a dog")).task_id == "t1"


async def test_full_backlog_was_not_sent() -> None:
    """A host that never takes the connection: the attempt times out with zero bytes."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        held = [socket.socket() for _ in range(4)]
        try:
            for sock in held:
                sock.setblocking(False)
                sock.connect_ex(address)
            error = await failure_of(f"http://127.0.0.1:{address[1]}", timeout=0.3)
        finally:
            for sock in held:
                sock.close()
    assert isinstance(error, NotSent)
    assert error.bytes_sent == 0


# --- it had left us, and the answer never came whole ------------------------------------------------------------


async def close_on_accept(visit: Visit) -> None:
    visit.writer.close()


async def reset_on_accept(visit: Visit) -> None:
    visit.reset()


async def reset_after_head(visit: Visit) -> None:
    await visit.read_head()
    visit.reset()


async def close_after_body(visit: Visit) -> None:
    await visit.read_request()
    visit.writer.close()


async def reset_after_body(visit: Visit) -> None:
    await visit.read_request()
    visit.reset()


async def truncate(visit: Visit) -> None:
    await visit.read_request()
    await visit.send(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"code":200')


async def bad_chunk(visit: Visit) -> None:
    await visit.read_request()
    await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")


async def bad_gzip(visit: Visit) -> None:
    await visit.read_request()
    await visit.send(http(b"not gzip at all", headers=("Content-Encoding: gzip",)))


async def hang(visit: Visit) -> None:
    await visit.read_request()
    await asyncio.sleep(30)


async def drip(visit: Visit) -> None:
    """A byte now and then, for ever: each one resets a read timeout, none ends the answer."""
    await visit.read_request()
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await visit.send(b" ")
        await asyncio.sleep(0.02)


LOST = [
    close_on_accept,
    reset_on_accept,
    reset_after_head,
    close_after_body,
    reset_after_body,
    truncate,
    bad_gzip,
    hang,
    drip,
]


@pytest.mark.parametrize("behave", LOST, ids=lambda behave: behave.__name__)
async def test_lost_answer_is_told_as_sent(behave: Callable[[Visit], object]) -> None:
    """Whatever breaks after the body was handed over is never told as unsent, and never as safe to repeat."""
    async with raw_server(behave) as server:  # type: ignore[arg-type]
        error = await failure_of(server.url, timeout=0.3)
    assert isinstance(error, ResponseLost)
    assert error.bytes_sent is not None
    assert error.bytes_sent > len('{"prompt":"a dog surfing"}')
    assert error.retryable is False


async def test_lost_read_may_be_tried_again() -> None:
    """The same loss on a read that costs nothing is safe to repeat, and names the task."""
    async with raw_server(close_after_body) as server, api(server.url) as client:
        with pytest.raises(ResponseLost) as caught:
            await client.record_info("task-1")
    assert caught.value.retryable is True
    assert caught.value.task_id == "task-1"


async def test_large_body_cut_off_in_the_middle_is_told_as_sent() -> None:
    """A server that goes away while we are still writing: the tracker may have seen nothing yet, we say sent."""

    async def behave(visit: Visit) -> None:
        await visit.read_head()
        await visit.reader.read(1000)
        visit.reset()

    async with raw_server(behave) as server, api(server.url) as client:
        with pytest.raises(ResponseLost) as caught:
            await client.upload_file(b"x" * 20_000_000, file_name="x.bin")
    assert caught.value.bytes_sent


# --- exactly one ------------------------------------------------------------------------------------------------


async def test_dead_kept_connection_is_not_tried_twice() -> None:
    """aiohttp alone would repeat a GET when a kept connection is dead; the 1080p GET costs, so we never do."""
    seen: list[bytes] = []

    async def behave(visit: Visit) -> None:
        seen.append(await visit.read_request())
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(RECORD) + RECORD)
        seen.append(await visit.read_request())
        visit.writer.close()

    async with raw_server(behave) as server, api(server.url) as client:
        await client.record_info("t")
        with pytest.raises(ResponseLost):
            await client.get_1080p_video("t")
    assert len(seen) == 2


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_redirect_is_not_followed(status: str) -> None:
    """A redirect is an answer that is not of the provider's form; neither body nor key goes anywhere else."""
    elsewhere: list[bytes] = []

    async def other(visit: Visit) -> None:
        elsewhere.append(await visit.read_request())

    async with raw_server(other) as target:

        async def behave(visit: Visit) -> None:
            await visit.read_request()
            await visit.send(http(b"", status=status, headers=(f"Location: {target.url}/api/v1/veo/generate",)))

        async with raw_server(behave) as server:
            error = await failure_of(server.url)
    assert isinstance(error, MalformedResponse)
    assert error.http_status == int(status[:3])
    assert elsewhere == []


# --- bounds -----------------------------------------------------------------------------------------------------


def zip_bomb() -> bytes:
    """64 MB of zeros in about 64 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(64)) + packer.flush()


async def test_zip_bomb_is_cut() -> None:
    """An answer that unpacks to more than the bound is malformed, and is not unpacked to its end."""
    bomb = zip_bomb()

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(bomb, headers=("Content-Encoding: gzip",)))

    async with raw_server(behave) as server:
        error = await failure_of(server.url)
    assert isinstance(error, MalformedResponse)
    assert str(MAX_RESPONSE_BYTES) in error.message


async def test_endless_answer_is_cut() -> None:
    """Chunks without end stop at the bound."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await visit.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    async with raw_server(behave) as server:
        error = await failure_of(server.url)
    assert isinstance(error, MalformedResponse)


async def test_answer_of_exactly_the_bound_is_read() -> None:
    """The bound itself still passes."""
    frame = b'{"code":200,"msg":"success","data":{"taskId":"t"},"pad":"%s"}'
    body = frame % (b"x" * (MAX_RESPONSE_BYTES - len(frame) + 2))
    assert len(body) == MAX_RESPONSE_BYTES

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(body))

    async with raw_server(behave) as server, api(server.url) as client:
        assert (await client.generate("x")).task_id == "t"


async def test_flood_of_headers_is_malformed() -> None:
    """Ten thousand headers are no HTTP answer to us, and for what costs that is no licence to repeat."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(RECORD, headers=tuple(f"X-{n}: {n}" for n in range(10_000))))

    async with raw_server(behave) as server:
        error = await failure_of(server.url)
    assert isinstance(error, MalformedResponse)
    assert error.retryable is False


async def other_protocol(visit: Visit) -> None:
    await visit.read_request()
    await visit.send(b"220 mail.example.com ESMTP\r\n\r\n")


@pytest.mark.parametrize("behave", [other_protocol, bad_chunk], ids=lambda behave: behave.__name__)
async def test_something_that_is_not_http_is_malformed(behave: Callable[[Visit], object]) -> None:
    """Another protocol, or broken chunks: malformed, sent, and for what costs no licence to repeat."""
    async with raw_server(behave) as server:  # type: ignore[arg-type]
        error = await failure_of(server.url)
    assert isinstance(error, MalformedResponse)
    assert error.bytes_sent
    assert error.retryable is False


async def test_packed_answer_is_unpacked() -> None:
    """Some answers come gzipped; they are read like any other."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(gzip.compress(RECORD), headers=("Content-Encoding: gzip",)))

    async with raw_server(behave) as server, api(server.url) as client:
        assert (await client.record_info("t")).flag == 0


async def test_headers_that_are_read_come_along() -> None:
    """What `Retry-After` and `Date` said, whatever their case, repetitions joined; no other header is kept."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        headers = ("RETRY-AFTER: 7", "retry-after: 8", "Date: Sat, 21 Nov 2026 00:00:00 GMT", "X-Other: 1")
        await visit.send(http(RECORD, headers=headers))

    transport = AiohttpTransport()
    async with raw_server(behave) as server:
        answer = await transport.send(HttpRequest(method="GET", url=server.url, headers={}, timeout_s=5.0))
        await transport.close()
    assert answer.headers == {"retry-after": "7, 8", "date": "Sat, 21 Nov 2026 00:00:00 GMT"}
    assert answer.body == RECORD


# --- whose session, which loop ----------------------------------------------------------------------------------


async def test_given_session_is_used_and_left_open() -> None:
    """The caller's session carries the request, with its own strictness overruled, and outlives the client."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(b'{"code":500,"msg":"x","data":null}', status="500 Oops"))

    async with raw_server(behave) as server, aiohttp.ClientSession(raise_for_status=True) as session:
        async with api(server.url, http=session) as client:
            with pytest.raises(Exception, match="endpoint credit") as caught:
                await client.credit()
        assert type(caught.value).__name__ == "ServerError"
        assert not session.closed


async def test_closed_client_says_so() -> None:
    """A call after closing is told at once, with the way out."""
    client = api("http://127.0.0.1:9")
    await client.close()
    with pytest.raises(ClientClosed, match="closed"):
        await client.credit()


def test_client_of_another_loop_says_so() -> None:
    """A client carried from one event loop to the next is told at once."""
    client = api(f"http://127.0.0.1:{free_port()}")

    async def ask() -> None:
        await client.credit()

    with pytest.raises(NotSent):
        asyncio.run(ask())
    with pytest.raises(ClientClosed, match="another event loop"):
        asyncio.run(ask())
    asyncio.run(client.close())


async def test_cancelled_call_is_cancelled() -> None:
    """A cancellation goes through as itself."""
    async with raw_server(hang) as server, api(server.url) as client:
        task = asyncio.create_task(client.credit())  # type: ignore[var-annotated]
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
