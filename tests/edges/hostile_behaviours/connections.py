"""Connections and HTTP: cut, reset, late, or not what HTTP is."""

import asyncio

from .exchange import ALL, API, Exchange, behaviour, respond_honestly


@behaviour(*ALL)
async def cut_before_response(x: Exchange) -> None:
    x.close()


@behaviour(*ALL)
async def cut_in_headers(x: Exchange) -> None:
    head = x.head()
    await x.send(head[: x.rng.randrange(1, len(head) - 1)])
    x.close()


@behaviour(*ALL)
async def cut_after_headers(x: Exchange) -> None:
    await x.send(x.head())
    x.close()


@behaviour(*ALL)
async def cut_in_body(x: Exchange) -> None:
    await x.send(x.head(), x.body[: x.rng.randrange(max(1, len(x.body)))])
    x.close()


@behaviour(*ALL)
async def reset_before_response(x: Exchange) -> None:
    x.reset()


@behaviour(*ALL)
async def reset_in_body(x: Exchange) -> None:
    await x.send(x.head(), x.body[: len(x.body) // 2])
    x.reset()


@behaviour(*ALL, accepts="always")
async def late(x: Exchange) -> None:
    await asyncio.sleep(x.rng.uniform(0.1, 25))
    await respond_honestly(x)


@behaviour(*ALL)
async def too_late(x: Exchange) -> None:
    await asyncio.sleep(x.rng.uniform(125, 200))
    await x.send(x.head(), x.body)


@behaviour(*API, accepts="always")
async def dripping(x: Exchange) -> None:
    await x.send(x.head())
    step = max(1, len(x.body) // 4)
    for start in range(0, len(x.body), step):
        await asyncio.sleep(x.rng.uniform(0, 2))
        await x.send(x.body[start : start + step])
    if x.charge:
        x.charge.is_intact = True


# --- HTTP -------------------------------------------------------------------------------------------------------


@behaviour(*ALL)
async def not_http(x: Exchange) -> None:
    await x.send(x.rng.randbytes(200), b"\r\n\r\n")
    x.close()


@behaviour(*ALL)
async def long_content_length(x: Exchange) -> None:
    await x.send(x.head(len(x.body) + x.rng.randrange(1, 1000)), x.body)
    x.close()


@behaviour(*API)
async def short_content_length(x: Exchange) -> None:
    await x.send(x.head(x.rng.randrange(len(x.body))), x.body)


@behaviour(*API, accepts="always")
async def interim_responses(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 3)
    await respond_honestly(x)


@behaviour(*API, accepts="always")
async def duplicate_response(x: Exchange) -> None:
    await respond_honestly(x)
    await x.send(x.head(), x.body)


@behaviour(*API, accepts="always")
async def late_duplicate_response(x: Exchange) -> None:
    await respond_honestly(x)
    await asyncio.sleep(x.rng.uniform(0.01, 2))
    await x.send(x.head(), x.body)


@behaviour(*API, accepts="always")
async def wrong_content_type(x: Exchange) -> None:
    x.headers["Content-Type"] = x.rng.choice(("text/html", "image/png", "application/json; charset=klingon", ""))
    await respond_honestly(x)


@behaviour(*ALL, accepts="never")
async def redirect(x: Exchange) -> None:
    x.status, x.body = x.rng.choice((301, 302, 307, 308)), b""
    x.headers["Location"] = f"{x.provider.elsewhere}{x.request.path}"
    await x.send(x.head())


@behaviour(*API)
async def html_page(x: Exchange) -> None:
    x.status, x.body = x.rng.choice((200, 500, 502, 504)), b"<!DOCTYPE html><h1>Bad gateway</h1>"
    x.headers["Content-Type"] = "text/html"
    await x.send(x.head(), x.body)
