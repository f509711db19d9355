"""The connections for downloads, which reach no private address.

A name may resolve to a public address when it is checked and to a private one when the connection is made. The decisive
check therefore happens where the socket is created, on the exact address it is created for. Resolved and cached
addresses, numbers in URLs and redirects all pass through it. The resolver checks too, but only to fail earlier and with
a clearer message.

Through a proxy our client resolves no names and opens sockets to the proxy only, which may be in a private network
itself. What can be known then is the host's name: literal private addresses and names of the local network are refused.
The rest is up to the proxy.

The pools send no API key and no cookies, and ignore ``~/.netrc``. They do not decompress responses, because
decompressed data could exceed every size limit.
"""

import errno
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from veo_async._api.routes import Routes
from veo_async._wire.hosts import is_private, may_connect

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


class FileConnections:
    """Requests files: directly from allowed addresses only, or through a proxy from allowed names only.

    Args:
        allow_loopback: whether files may be on this machine.
        limit: how many connections there may be, for each of the two ways.
        resolver: resolves host names; its results are checked.
        routes: which way each host is reached.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool,
        limit: int = 16,
        resolver: AbstractResolver | None = None,
        routes: Routes | None = None,
    ) -> None:
        self._allow_loopback, self._limit, self._resolver = allow_loopback, limit, resolver
        self._routes = routes or Routes(trust_env=False)
        self._direct: aiohttp.ClientSession | None = None
        self._proxied: aiohttp.ClientSession | None = None

    def get(self, url: str, headers: Mapping[str, str]) -> "aiohttp.client._RequestContextManager":
        """Request *url*, without following redirects.

        Raises:
            AddressBlocked: its host is private, and would be requested through a proxy.
            ValueError: it is not a URL.
        """
        target = URL(url, encoded=url.isascii())  # a signature covers the URL exactly as it is written
        ssl = self._routes.context or True
        proxy = self._routes.proxy_for(target)
        if proxy is None:
            direct = self._direct = self._direct or open_http_session(
                allow_loopback=self._allow_loopback, resolver=self._resolver, limit=self._limit
            )
            return direct.get(target, headers=headers, allow_redirects=False, ssl=ssl)
        if is_private(target.host or "", allow_loopback=self._allow_loopback):
            raise AddressBlocked
        http = self._proxied = self._proxied or _new_session(aiohttp.TCPConnector(limit=self._limit))
        return http.get(target, headers=headers, allow_redirects=False, ssl=ssl, proxy=proxy)

    async def close(self) -> None:
        """Close all connections."""
        for http in (self._direct, self._proxied):
            if http is not None:
                await http.close()


def open_http_session(
    *, allow_loopback: bool, resolver: AbstractResolver | None = None, limit: int = 16
) -> aiohttp.ClientSession:
    """Return a session that connects to allowed addresses only. The caller closes it."""
    public_only = PublicOnlyResolver(resolver or aiohttp.ThreadedResolver(), allow_loopback=allow_loopback)
    checked_socket = partial(_checked_socket, allow_loopback=allow_loopback)
    return _new_session(aiohttp.TCPConnector(resolver=public_only, socket_factory=checked_socket, limit=limit))


def _checked_socket(address: Any, *, allow_loopback: bool) -> socket.socket:
    family, kind, protocol, _, endpoint = address
    if not may_connect(str(endpoint[0]), allow_loopback=allow_loopback):
        raise AddressBlocked
    return socket.socket(family=family, type=kind, proto=protocol)


def _new_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=_TIMEOUT,
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_READ_AHEAD_BYTES,
    )
