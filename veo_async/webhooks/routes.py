"""The receiver in ``aiohttp.web``."""

from aiohttp import web

from .receiver import KEPT_HEADERS, Receiver

#: Where callbacks come in, under the session's ``public_url``.
PATH = "/veo/cb/{token}"


def aiohttp_routes(receiver: Receiver) -> list[web.RouteDef]:
    """Routes for ``app.add_routes``."""

    async def receive(request: web.Request) -> web.Response:
        headers = {name: value for name in KEPT_HEADERS if (value := request.headers.get(name)) is not None}

        async def read(most: int) -> bytes | None:
            body = bytearray()
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > most:
                    return None
            return bytes(body)

        status = await receiver.respond(request.method, request.path, headers, read)
        return web.Response(status=status, headers=None if request.content.is_eof() else {"Connection": "close"})

    return [web.route("*", PATH, receive)]
