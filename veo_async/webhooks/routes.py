"""The receiver as routes for ``aiohttp.web``."""

from aiohttp import web

from .receiver import KEPT_HEADERS, Receiver

#: The path of callbacks below the session's public URL.
PATH = "/veo/cb/{token}"


def aiohttp_routes(receiver: Receiver) -> list[web.RouteDef]:
    """Return routes that receive callbacks, for ``app.add_routes``."""

    async def receive(request: web.Request) -> web.Response:
        headers = {name: value for name in KEPT_HEADERS if (value := request.headers.get(name)) is not None}

        async def read(max_bytes: int) -> bytes | None:
            body = bytearray()
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    return None
            return bytes(body)

        status = await receiver.respond(request.method, request.path, headers, read)
        return web.Response(status=status, headers=None if request.content.is_eof() else {"Connection": "close"})

    return [web.route("*", PATH, receive)]
