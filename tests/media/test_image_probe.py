"""The image probe reports problems of an image URL, but only certain ones."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from veo_async import VeoSession, VideoRequest, errors
from veo_async._wire.images import MAX_IMAGE_BYTES
from veo_async.media.image_probe import ImageProbe, image_problem
from veo_async.settings import Files, Limits
from veo_async.simulator import Simulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def host(handler: Handler) -> AsyncIterator[str]:
    """Run a server on this machine that handles every request with *handler*."""
    server = web.Server(handler)  # type: ignore[arg-type]  # the stubs do not accept a plain coroutine function
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/cat.png"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_probe() -> AsyncIterator[ImageProbe]:
    probe = ImageProbe(allow_loopback=True)
    try:
        yield probe
    finally:
        await probe.close()


@pytest.mark.parametrize(
    ("status", "headers", "head", "problem"),
    [
        (200, {}, PNG[:16], None),
        (206, {"content-range": "bytes 0-15/1008"}, PNG[:16], None),
        (206, {"content-range": "whatever"}, PNG[:16], None),
        (200, {"content-type": "application/octet-stream", "content-length": "1008"}, PNG[:16], None),
        (301, {"location": "/other"}, b"", "redirects"),
        (307, {}, b"", "redirects"),
        (401, {}, b"", "login"),
        (403, {}, b"", "login"),
        (404, {}, b"", "does not exist"),
        (410, {}, b"", "does not exist"),
        (200, {"content-type": "text/html; charset=utf-8"}, PNG[:16], "web page"),
        (200, {"content-type": "image/png"}, b"<!doctype html>", "web page"),
        (200, {"content-type": "image/png"}, b"GIF89a", "GIF"),
        (200, {}, b"", "empty"),
        (200, {"content-length": str(MAX_IMAGE_BYTES + 1)}, PNG[:16], "larger"),
        (200, {"content-length": "9" * 30}, PNG[:16], None),
        (206, {"content-range": f"bytes 0-15/{MAX_IMAGE_BYTES + 1}"}, PNG[:16], "larger"),
        (429, {}, b"", None),
        (500, {}, b"oops", None),
        (416, {}, b"", None),
    ],
)
def test_response_shows_certain_problems_only(
    status: int, headers: dict[str, str], head: bytes, problem: str | None
) -> None:
    """A status that may be different when the provider sends its request is not a problem."""
    found = image_problem(status, headers, head)
    assert (found is None) == (problem is None)
    assert found is None or (problem is not None and problem in found[0] and found[1])


async def test_probe_sends_one_ranged_request() -> None:
    """The probe sends one GET with a range and no credentials, and follows no redirect."""
    seen: list[web.BaseRequest] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with host(handle) as url, open_probe() as probe:
        assert "redirects" in str(await probe.find_problem(url))
    [request] = seen
    assert (request.method, request.headers["Range"]) == ("GET", "bytes=0-63")
    assert "Authorization" not in request.headers


async def test_probe_stops_after_the_first_bytes() -> None:
    """The rest of the image is not downloaded if the server ignores the range."""
    finished = asyncio.Event()

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        await response.write(PNG[:5])
        await response.write(PNG[5:])
        await finished.wait()
        return response

    async with host(endless) as url, open_probe() as probe:
        assert await probe.find_problem(url) is None
        finished.set()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/cat.png", "http://nowhere.invalid/cat.png", "http://[::1"])
async def test_unreachable_host_is_not_reported(url: str) -> None:
    """The provider may still be able to reach the host."""
    async with open_probe() as probe:
        assert await probe.find_problem(url) is None


async def test_private_address_is_reported_without_a_request() -> None:
    """The provider cannot reach a private network."""
    probe = ImageProbe(allow_loopback=False)
    assert "private network" in str(await probe.find_problem("http://127.0.0.1:1/cat.png"))
    await probe.close()


async def test_session_probes_images_only_with_check_images() -> None:
    """By default no URL is probed. With ``check_images`` each URL is probed once, before the job is queued."""
    requested: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        requested.append(request.path)
        return web.Response(status=401) if "private" in request.path else web.Response(body=PNG)

    async with host(handle) as url, Simulator(duration_s=0.05) as sim:
        private = url.replace("cat", "private")
        async with VeoSession(sim.api_key, base_url=sim.url, limits=Limits(poll_every=0.05)) as veo:
            await veo.submit("A cat", image=private)
        assert requested == []
        async with VeoSession(
            sim.api_key, base_url=sim.url, limits=Limits(poll_every=0.05), files=Files(check_images=True)
        ) as veo:
            before = len(sim.requests_to())
            with pytest.raises(errors.InvalidRequest, match="login"):
                await veo.submit("A cat", image=[url, private])
            assert len(sim.requests_to()) == before
            assert (await veo.generate("A dog", image=[url, PNG])).urls
            [_] = await veo.gather(VideoRequest("A fox", image_urls=[url]))
            assert requested == ["/cat.png", "/private.png"]
