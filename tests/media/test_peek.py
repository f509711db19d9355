"""A look at an image's URL: what the host itself says, and nothing that is not certain."""

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
    """A host on this machine that answers everything so."""
    server = web.Server(handler)  # type: ignore[arg-type]  # the stubs know no plain coroutine function
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/cat.png"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def peek() -> AsyncIterator[ImageProbe]:
    peek = ImageProbe(allow_loopback=True)
    try:
        yield peek
    finally:
        await peek.close()


@pytest.mark.parametrize(
    ("status", "headers", "head", "told"),
    [
        (200, {}, PNG[:16], None),
        (206, {"content-range": "bytes 0-15/1008"}, PNG[:16], None),
        (206, {"content-range": "whatever"}, PNG[:16], None),
        (200, {"content-type": "application/octet-stream", "content-length": "1008"}, PNG[:16], None),
        (301, {"location": "/other"}, b"", "redirects"),
        (307, {}, b"", "redirects"),
        (401, {}, b"", "log-in"),
        (403, {}, b"", "log-in"),
        (404, {}, b"", "not there"),
        (410, {}, b"", "not there"),
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
def test_what_an_answer_means(status: int, headers: dict[str, str], head: bytes, told: str | None) -> None:
    """What may be otherwise when the provider asks is no fault."""
    why = image_problem(status, headers, head)
    assert (why is None) == (told is None)
    assert why is None or (told is not None and told in why[0] and why[1])


async def test_one_request_for_a_few_bytes() -> None:
    """A ranged GET, no redirect followed, nothing of ours sent along."""
    seen: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with host(answer) as url, peek() as at:
        assert "redirects" in str(await at.find_problem(url))
    [request] = seen
    assert (request.method, request.headers["Range"]) == ("GET", "bytes=0-63")
    assert "Authorization" not in request.headers


async def test_a_whole_picture_is_not_fetched() -> None:
    """A host that knows no ranges is left after the first bytes."""

    over = asyncio.Event()

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        await response.write(PNG[:5])
        await response.write(PNG[5:])
        await over.wait()
        return response

    async with host(endless) as url, peek() as at:
        assert await at.find_problem(url) is None
        over.set()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/cat.png", "http://nowhere.invalid/cat.png", "http://[::1"])
async def test_a_host_that_does_not_answer_proves_nothing(url: str) -> None:
    async with peek() as at:
        assert await at.find_problem(url) is None


async def test_a_private_address_is_not_asked() -> None:
    """A name that leads into a private network leads the provider nowhere."""
    at = ImageProbe(allow_loopback=False)
    assert "private network" in str(await at.find_problem("http://127.0.0.1:1/cat.png"))
    await at.close()


async def test_a_session_asks_only_when_it_is_told_to() -> None:
    """Off, nothing is asked; on, each plain URL is, before anything is queued."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=401) if "private" in request.path else web.Response(body=PNG)

    async with host(answer) as url, Simulator(duration_s=0.05) as sim:
        private = url.replace("cat", "private")
        async with VeoSession(sim.api_key, base_url=sim.url, limits=Limits(poll_every=0.05)) as veo:
            await veo.submit("A cat", image=private)
        assert asked == []
        async with VeoSession(
            sim.api_key, base_url=sim.url, limits=Limits(poll_every=0.05), files=Files(check_images=True)
        ) as veo:
            before = len(sim.requests_to())
            with pytest.raises(errors.InvalidRequest, match="log-in"):
                await veo.submit("A cat", image=[url, private])
            assert len(sim.requests_to()) == before
            assert (await veo.generate("A dog", image=[url, PNG])).urls
            [_] = await veo.gather(VideoRequest("A fox", image_urls=[url]))
            assert asked == ["/cat.png", "/private.png"]
