"""How hosts are reached: directly or through a proxy, and which certificates are trusted.

aiohttp's own ``trust_env=True`` is not used: it also reads ``~/.netrc`` for every request, and sends the passwords in
it to any host. Here the environment names proxies, and nothing else.
"""

import ssl
from collections.abc import Mapping
from typing import Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs
from yarl import URL

from veo_async.errors import UsageError

from .base_urls import is_loopback

_SCHEMES = ("http", "https")


def parse_proxy(text: object) -> URL | None:
    """Return the URL of an HTTP proxy, or None if *text* is not one."""
    try:
        url = URL(text) if isinstance(text, str) else URL()
        is_valid = url.scheme in _SCHEMES and bool(url.host) and url.port is not None
    except ValueError:
        return None
    return url if is_valid else None


@attrs.define(eq=False, repr=False)
class Routes:
    """The proxy of each host, and the trusted certificates.

    Args:
        proxy: the proxy for all hosts; it may contain a user name and a password.
        trust_env: without *proxy*, follow HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY as they are now.
        context: trusts a custom authority; None trusts those of the system.
    """

    proxy: URL | None = None
    trust_env: bool = True
    context: ssl.SSLContext | None = None
    _by_scheme: Mapping[str, URL] = attrs.field(init=False, factory=dict)
    _by_host: dict[tuple[str, str], URL | None] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.proxy is not None:
            self._by_scheme = dict.fromkeys(_SCHEMES, self.proxy)
        elif self.trust_env:
            self._by_scheme = _proxies_of_environment()

    @classmethod
    def of(cls, http: aiohttp.ClientSession, context: ssl.SSLContext | None = None) -> Self:
        """Return the routes of the caller's session, for requests that it does not send itself.

        Raises:
            UsageError: its connector may use another proxy.
        """
        connector = http.connector
        if type(connector) is not aiohttp.TCPConnector:
            raise UsageError(
                f"the connector of the session in http= is a {type(connector).__name__}, and it is not known whether "
                "it uses a proxy: pass Network(proxy=…) for downloads"
            )
        trusted = getattr(connector, "_ssl", None)  # aiohttp has no public names for these three
        proxy, login = getattr(http, "_default_proxy", None), getattr(http, "_default_proxy_auth", None)
        url = URL(proxy) if proxy is not None else None
        if url is not None and login is not None:
            url = url.with_user(login.login).with_password(login.password)
        return cls(url, http.trust_env, context or (trusted if isinstance(trusted, ssl.SSLContext) else None))

    def proxy_for(self, url: URL) -> URL | None:
        """Return the proxy through which *url* is requested; None if it is requested directly."""
        if not self._by_scheme:
            return None
        place = (url.scheme, url.raw_host or "")
        if place not in self._by_host:
            self._by_host[place] = self._find(*place)
        return self._by_host[place]

    def _find(self, scheme: str, host: str) -> URL | None:
        proxy = self._by_scheme.get(scheme)
        if proxy is None or (self.proxy is None and proxy_bypass(host)):
            return None
        # "This machine" would be another one for the proxy, and the API key may be sent to it without TLS.
        is_elsewhere = is_loopback(f"//{_in_url(host)}") and not is_loopback(str(proxy))
        return None if is_elsewhere else proxy


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _proxies_of_environment() -> dict[str, URL]:
    found = getproxies()
    texts = {scheme: found.get(scheme) or found.get("all") for scheme in _SCHEMES}
    proxies = {}
    for scheme, text in texts.items():
        if text:
            proxy = parse_proxy(text if "://" in text else f"http://{text}")
            if proxy is None:
                name = f"{scheme.upper()}_PROXY" if found.get(scheme) else "ALL_PROXY"
                raise UsageError(
                    f"{name} is not the URL of an HTTP proxy; write it like http://proxy.example:3128, or ignore it "
                    "with Network(trust_env=False)"
                )
            proxies[scheme] = proxy
    return proxies
