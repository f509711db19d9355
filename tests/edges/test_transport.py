"""One HTTP request over real sockets: how much was sent, what was received, and that it was sent once."""

import asyncio
import gc
import gzip
import json
import socket
import ssl
import zlib
from collections.abc import Callable

import aiohttp
import pytest
import trustme

from tests.routes import CREATE
from veo_async import VeoApi, VideoRequest
from veo_async._api import create
from veo_async._api.transport import MAX_RESPONSE_BYTES, AiohttpTransport
from veo_async._ports import HttpRequest
from veo_async._wire import Accepted, route_named
from veo_async.errors import ClientClosed, MalformedResponse, NotSent, ResponseLost, ServerError, TransportError
from veo_async.types import RouteName

from .raw_server import Visit, http, raw_server

KEY = "kie_canary_0123456789abcdef"
RECORD = b'{"code":200,"msg":"success","data":{"taskId":"t","successFlag":0}}'


def api(url: str, **options: object) -> VeoApi:
    """Return a client for *url*."""
    return VeoApi(KEY, base_url=url, **options)  # type: ignore[arg-type]


async def generate(client: VeoApi, route: RouteName) -> Accepted:
    """Create a clip on *route*."""
    return await create(client, VideoRequest("a dog surfing"), route_named(route))


async def failure_of(url: str, route: RouteName, **options: object) -> TransportError:
    """Return the error of a request to *url* that creates a clip."""
    async with api(url, **options) as client:
        with pytest.raises(TransportError) as caught:
            await generate(client, route)
    return caught.value


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- nothing was sent -------------------------------------------------------------------------------------------


async def test_refused_connection_was_not_sent(route: RouteName) -> None:
    """No server: zero bytes, safe to retry, even for a creating request."""
    error = await failure_of(f"http://127.0.0.1:{free_port()}", route)
    assert isinstance(error, NotSent)
    assert (error.bytes_sent, error.retryable, error.endpoint) == (0, True, CREATE[route])
    assert "could not connect to 127.0.0.1:" in error.message


async def test_unknown_host_was_not_sent(route: RouteName) -> None:
    """The error names the host."""
    error = await failure_of("https://no-such-host.invalid", route)
    assert isinstance(error, NotSent)
    assert error.bytes_sent == 0
    assert "'no-such-host.invalid'" in error.message


async def test_untrusted_certificate_was_not_sent(route: RouteName) -> None:
    """A server with an untrusted certificate sees a handshake and nothing of the request."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)

    async def behave(visit: Visit) -> None:
        await visit.read_request()

    async with raw_server(behave, tls=tls) as server:
        error = await failure_of(server.url, route)
    assert isinstance(error, NotSent)
    assert error.bytes_sent == 0
    assert f"certificate of 127.0.0.1:{server.port}" in error.message


async def test_plain_http_on_a_tls_port_was_not_sent(route: RouteName) -> None:
    """A server without TLS gets zero bytes of the request."""

    async def behave(visit: Visit) -> None:
        await visit.send(http(b"hello"))

    async with raw_server(behave) as server:
        error = await failure_of(server.url.replace("http", "https"), route)
    assert isinstance(error, NotSent)
    assert error.bytes_sent == 0


async def test_trusted_certificate_is_accepted(route: RouteName) -> None:
    """With a context that knows the authority the request succeeds."""
    authority = trustme.CA()
    tls, trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trust)

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(b'{"code":200,"msg":"success","data":{"taskId":"t1"}}'))

    async with raw_server(behave, tls=tls) as server, api(server.url, ssl_context=trust) as client:
        assert (await generate(client, route)).task_id == "t1"


async def test_full_backlog_was_not_sent(route: RouteName) -> None:
    """If the host never accepts the connection, the request times out with zero bytes."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        backlog = [socket.socket() for _ in range(4)]
        try:
            for sock in backlog:
                sock.setblocking(False)
                sock.connect_ex(address)
            error = await failure_of(f"http://127.0.0.1:{address[1]}", route, timeout=0.3)
        finally:
            for sock in backlog:
                sock.close()
    assert isinstance(error, NotSent)
    assert error.bytes_sent == 0


# --- it was sent, but no complete response arrived --------------------------------------------------------------


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
    """Send a byte now and then forever: each one resets a read timeout, none completes the response."""
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
async def test_lost_response_counts_as_sent_and_maybe_charged(
    behave: Callable[[Visit], object], route: RouteName
) -> None:
    """Once writing the body has started, a failure never counts as not sent, and never as retryable."""
    async with raw_server(behave) as server:  # type: ignore[arg-type]
        error = await failure_of(server.url, route, timeout=0.3)
    assert isinstance(error, ResponseLost)
    assert error.bytes_sent is not None
    assert error.bytes_sent > len('{"prompt":"a dog surfing"}')
    assert error.retryable is False
    assert "This request may have been charged." in str(error)


async def test_lost_read_is_retryable(route: RouteName) -> None:
    """A read is free, so it can be repeated; the error has the task id."""
    async with raw_server(close_after_body) as server, api(server.url) as client:
        with pytest.raises(ResponseLost) as caught:
            await client.record_info("task-1", route=route)
    assert caught.value.retryable is True
    assert str(caught.value).endswith("Retry.")
    assert caught.value.task_id == "task-1"


async def test_large_body_cut_off_while_writing_counts_as_sent() -> None:
    """The tracker may have confirmed nothing yet; the request counts as sent anyway."""

    async def behave(visit: Visit) -> None:
        await visit.read_head()
        await visit.reader.read(1000)
        visit.reset()

    async with raw_server(behave) as server, api(server.url) as client:
        with pytest.raises(ResponseLost) as caught:
            await client.upload_file(b"x" * 20_000_000, file_name="x.bin")
    assert caught.value.bytes_sent


# --- exactly one request ----------------------------------------------------------------------------------------


def kept_alive(body: bytes) -> bytes:
    """Return a response after which the connection stays open."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def created(name: str) -> bytes:
    """Return a response that names a task and a video."""
    return kept_alive(
        json.dumps({"code": 200, "data": {"taskId": name, "resultUrl": f"http://{name}.invalid"}}).encode()
    )


@pytest.mark.parametrize("is_given", [False, True])
@pytest.mark.parametrize("kind", ["generate", "createTask", "get-1080p-video"])
async def test_stray_response_on_a_kept_connection_is_not_taken_for_that_of_a_paid_request(
    *, is_given: bool, kind: str
) -> None:
    """The connection with unread data is closed, and the request is sent, once, on a new one."""
    sent = []

    async def behave(visit: Visit) -> None:
        while True:
            request = await visit.read_request()
            sent.append(request.split(b" ", 2)[1].partition(b"?")[0].rpartition(b"/")[2])
            if sent[-1] == b"credit":
                await visit.send(kept_alive(b'{"code":200,"msg":"success","data":7}'))
                await asyncio.sleep(0.01)
                await visit.send(created("stray"))
            else:
                await visit.send(created("mine"))

    async with raw_server(behave) as server, aiohttp.ClientSession() as http_session:
        client = api(server.url, http=http_session if is_given else None)
        await client.credit()
        await asyncio.sleep(0.1)  # the stray response arrives
        if kind == "get-1080p-video":
            assert (await client.get_1080p_video("t")).url == "http://mine.invalid"
        else:
            assert (await generate(client, "jobs" if kind == "createTask" else "veo")).task_id == "mine"
        await client.close()
    assert sent == [b"credit", kind.encode()]


async def test_many_connections_with_unread_data_mean_that_nothing_was_sent(route: RouteName) -> None:
    """The request gives up after some of them, safe to send again; the next one gets through."""
    arrived, requests = asyncio.Event(), []

    async def behave(visit: Visit) -> None:
        while True:
            requests.append(await visit.read_request())
            if len(requests) == 15:
                arrived.set()
            await arrived.wait()  # so that each request needs its own connection
            await visit.send(kept_alive(b'{"code":200,"msg":"success","data":7}'))
            await asyncio.sleep(0.01)
            await visit.send(created("stray"))

    async with raw_server(behave) as server, api(server.url) as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(15):
                group.create_task(client.credit())
        await asyncio.sleep(0.1)  # the stray responses arrive
        with pytest.raises(NotSent, match="before it is asked") as caught:
            await generate(client, route)
        assert caught.value.bytes_sent == 0
        assert len(requests) == 15
        assert (await client.credit()).balance == 7


async def test_dead_kept_alive_connection_is_not_retried() -> None:
    """aiohttp alone would repeat a GET on a closed kept-alive connection; the GET for 1080p can be charged."""
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
async def test_redirect_is_not_followed(status: str, route: RouteName) -> None:
    """A redirect is a malformed response; neither body nor key is sent anywhere else."""
    elsewhere: list[bytes] = []

    async def other(visit: Visit) -> None:
        elsewhere.append(await visit.read_request())

    async with raw_server(other) as target:

        async def behave(visit: Visit) -> None:
            await visit.read_request()
            await visit.send(http(b"", status=status, headers=(f"Location: {target.url}/api/v1/veo/generate",)))

        async with raw_server(behave) as server:
            error = await failure_of(server.url, route)
    assert isinstance(error, MalformedResponse)
    assert error.http_status == int(status[:3])
    assert elsewhere == []


# --- bounds -----------------------------------------------------------------------------------------------------


def zip_bomb() -> bytes:
    """64 MB of zeros in about 64 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(64)) + packer.flush()


async def test_zip_bomb_is_cut_at_the_limit(route: RouteName) -> None:
    """A response that decompresses to more than the limit is malformed and not decompressed further."""
    bomb = zip_bomb()

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(bomb, headers=("Content-Encoding: gzip",)))

    async with raw_server(behave) as server:
        error = await failure_of(server.url, route)
    assert isinstance(error, MalformedResponse)
    assert str(MAX_RESPONSE_BYTES) in error.message


async def test_endless_response_is_cut_at_the_limit(route: RouteName) -> None:
    """Reading chunks stops at the limit."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await visit.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    async with raw_server(behave) as server:
        error = await failure_of(server.url, route)
    assert isinstance(error, MalformedResponse)


async def test_response_of_exactly_the_limit_is_read(route: RouteName) -> None:
    """The limit itself is accepted."""
    frame = b'{"code":200,"msg":"success","data":{"taskId":"t"},"pad":"%s"}'
    body = frame % (b"x" * (MAX_RESPONSE_BYTES - len(frame) + 2))
    assert len(body) == MAX_RESPONSE_BYTES

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(body))

    async with raw_server(behave) as server, api(server.url) as client:
        assert (await generate(client, route)).task_id == "t"


async def test_too_many_headers_are_malformed_and_not_retryable(route: RouteName) -> None:
    """Ten thousand headers are rejected; the request may have been charged."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(RECORD, headers=tuple(f"X-{n}: {n}" for n in range(10_000))))

    async with raw_server(behave) as server:
        error = await failure_of(server.url, route)
    assert isinstance(error, MalformedResponse)
    assert error.retryable is False


async def other_protocol(visit: Visit) -> None:
    await visit.read_request()
    await visit.send(b"220 mail.example.com ESMTP\r\n\r\n")


@pytest.mark.parametrize("behave", [other_protocol, bad_chunk], ids=lambda behave: behave.__name__)
async def test_response_that_is_not_http_is_malformed_and_not_retryable(
    behave: Callable[[Visit], object], route: RouteName
) -> None:
    """Another protocol or broken chunks: the request was sent and may have been charged."""
    async with raw_server(behave) as server:  # type: ignore[arg-type]
        error = await failure_of(server.url, route)
    assert isinstance(error, MalformedResponse)
    assert error.bytes_sent
    assert error.retryable is False


async def test_compressed_response_is_decompressed() -> None:
    """Some responses are compressed with gzip."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(gzip.compress(RECORD), headers=("Content-Encoding: gzip",)))

    async with raw_server(behave) as server, api(server.url) as client:
        assert (await client.record_info("t")).flag == 0


async def test_only_used_headers_are_kept() -> None:
    """``Retry-After`` and ``Date`` in any case, repetitions joined; no other header is kept."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        headers = ("RETRY-AFTER: 7", "retry-after: 8", "Date: Sat, 21 Nov 2026 00:00:00 GMT", "X-Other: 1")
        await visit.send(http(RECORD, headers=headers))

    transport = AiohttpTransport()
    async with raw_server(behave) as server:
        response = await transport.send(HttpRequest(method="GET", url=server.url, headers={}, timeout_s=5.0))
        await transport.close()
    assert response.headers == {"retry-after": "7, 8", "date": "Sat, 21 Nov 2026 00:00:00 GMT"}
    assert response.body == RECORD


# --- sessions and event loops -----------------------------------------------------------------------------------


async def test_given_aiohttp_session_is_used_and_stays_open() -> None:
    """Its own ``raise_for_status`` is overruled, and it stays open after the client is closed."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(b'{"code":500,"msg":"x","data":null}', status="500 Oops"))

    async with raw_server(behave) as server, aiohttp.ClientSession(raise_for_status=True) as session:
        async with api(server.url, http=session) as client:
            with pytest.raises(Exception, match="x") as caught:
                await client.credit()
        assert type(caught.value) is ServerError
        assert caught.value.endpoint == "credit"
        assert not session.closed


async def test_closed_client_raises_client_closed() -> None:
    """A request after closing fails immediately, with the remedy."""
    client = api("http://127.0.0.1:9")
    await client.close()
    with pytest.raises(ClientClosed, match="closed"):
        await client.credit()


def test_client_in_another_event_loop_raises_client_closed() -> None:
    """A client cannot be used in a second event loop."""
    client = api(f"http://127.0.0.1:{free_port()}")

    async def read_balance() -> None:
        await client.credit()

    with pytest.raises(NotSent):
        asyncio.run(read_balance())
    with pytest.raises(ClientClosed, match="another event loop"):
        asyncio.run(read_balance())
    asyncio.run(client.close())


async def test_cancellation_is_passed_on() -> None:
    """A cancelled request raises `CancelledError`."""
    async with raw_server(hang) as server, api(server.url) as client:
        task = asyncio.create_task(client.credit())  # type: ignore[var-annotated]
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_finished_request_is_freed_without_a_garbage_collection() -> None:
    """A cycle would keep each response until the next full collection, which costs time and memory with each poll."""

    async def behave(visit: Visit) -> None:
        await visit.read_request()
        await visit.send(http(RECORD))

    async with raw_server(behave) as server, api(server.url) as client:
        gc.collect()
        gc.disable()
        try:
            await client.record_info("t")
            kinds = (aiohttp.ClientRequest, aiohttp.ClientResponse)
            assert not [thing for thing in gc.get_objects() if isinstance(thing, kinds)]
        finally:
            gc.enable()
