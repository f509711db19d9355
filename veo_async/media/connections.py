"""Connections for downloads: a pool of their own, and no socket to an address that must not be asked.

A name may mean a public address when it is checked and a private one when it is connected to. So the check that counts
is made where the socket is made, on the very address it is made for; whatever was resolved, cached, written as a
number or sent by a redirect has to pass there. The resolver is guarded as well, only to say earlier and better why.

The pool knows nothing of ours: no API key, no cookies, no ``~/.netrc``, no proxy from the environment. And bytes are
taken as they come, because what unpacks itself may be larger than any bound.
"""

import errno
import socket
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from veo_async._wire.hosts import may_connect

#: Bounds on waiting are ours (`Pace`); the library's would count the time that a full disk takes.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=None)
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}
PRIVATE_NETWORK = "it leads into a private network"
#: What the library reads ahead of us: about as much as is written at once.
_READ_AHEAD = 256 * 1024


class AddressBlocked(OSError):
    """This address is not for us to ask."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, PRIVATE_NETWORK)


class PublicOnlyResolver(AbstractResolver):
    """Another resolver's answers without those that must not be asked."""

    def __init__(self, inner: AbstractResolver, *, allow_loopback: bool) -> None:
        self._inner = inner
        self._may_connect = partial(may_connect, allow_loopback=allow_loopback)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [each for each in found if self._may_connect(each["host"])]
        if found and not allowed:
            raise AddressBlocked
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def open_http_session(
    *, allow_loopback: bool, resolver: AbstractResolver | None = None, limit: int = 16
) -> aiohttp.ClientSession:
    """A pool that connects to allowed addresses only; whoever opens it closes it."""

    def checked_socket(address: Any) -> socket.socket:
        family, kind, protocol, _, where = address
        if not may_connect(str(where[0]), allow_loopback=allow_loopback):
            raise AddressBlocked
        return socket.socket(family=family, type=kind, proto=protocol)

    guarded = PublicOnlyResolver(resolver or aiohttp.ThreadedResolver(), allow_loopback=allow_loopback)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=guarded, socket_factory=checked_socket, limit=limit),
        timeout=_TIMEOUT,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_READ_AHEAD,
    )
