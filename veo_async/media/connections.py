"""The connection pool for downloads, which opens no socket to a private address.

A name may resolve to a public address when it is checked and to a private one when the connection is made. The decisive
check therefore happens where the socket is created, on the exact address it is created for. Resolved and cached
addresses, numbers in URLs and redirects all pass through it. The resolver checks too, but only to fail earlier and with
a clearer message.

The pool sends no API key and no cookies, and ignores ``~/.netrc`` and the proxy variables of the environment. It does
not decompress responses, because decompressed data could exceed every size limit.
"""

import errno
import socket
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from veo_async._wire.hosts import may_connect

#: `SpeedMonitor` bounds the time to read. A timeout of aiohttp would also count the time that a full disk takes.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=None)
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}
PRIVATE_NETWORK = "it points to a private network"
#: Bytes that aiohttp reads ahead: about as many as are written to disk at a time.
_READ_AHEAD_BYTES = 256 * 1024


class AddressBlocked(OSError):
    """No socket may be opened to this address."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, PRIVATE_NETWORK)


class PublicOnlyResolver(AbstractResolver):
    """Drops private addresses from the results of another resolver."""

    def __init__(self, inner: AbstractResolver, *, allow_loopback: bool) -> None:
        self._inner = inner
        self._may_connect = partial(may_connect, allow_loopback=allow_loopback)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._inner.resolve(host, port, family)
        allowed = [result for result in results if self._may_connect(result["host"])]
        if results and not allowed:
            raise AddressBlocked
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def open_http_session(
    *, allow_loopback: bool, resolver: AbstractResolver | None = None, limit: int = 16
) -> aiohttp.ClientSession:
    """Return a session that connects to allowed addresses only. The caller closes it."""

    def checked_socket(address: Any) -> socket.socket:
        family, kind, protocol, _, endpoint = address
        if not may_connect(str(endpoint[0]), allow_loopback=allow_loopback):
            raise AddressBlocked
        return socket.socket(family=family, type=kind, proto=protocol)

    public_only = PublicOnlyResolver(resolver or aiohttp.ThreadedResolver(), allow_loopback=allow_loopback)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=public_only, socket_factory=checked_socket, limit=limit),
        timeout=_TIMEOUT,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_READ_AHEAD_BYTES,
    )
