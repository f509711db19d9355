"""Which URLs a video may be downloaded from.

The URLs come from the provider's responses. A wrong or manipulated response must not make us send requests to this
machine, its network, or the metadata service of its cloud. So only https URLs and public addresses are allowed. If the
API itself is on loopback (a simulator), loopback is also allowed for downloads, and without TLS.

The URL is checked before each request. ``connections.py`` checks the address again when it creates the socket, because
until then a name can still resolve to another address.
"""

from urllib.parse import urljoin, urlsplit, urlunsplit

from veo_async._api.base_urls import is_loopback
from veo_async._wire.hosts import as_ip, may_connect

from .connections import PRIVATE_NETWORK
from .failures import Advice, AttemptFailed

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 3


def check_url(url: str, *, allow_loopback: bool) -> str:
    """Return *url*, or raise `AttemptFailed` if it must not be requested."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise url_refused("it is not a URL") from None
    if not host or " " in url or not url.isprintable():
        raise url_refused("it is not a URL")
    if parts.username is not None or parts.password is not None:
        raise url_refused("it contains credentials")
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_loopback and is_loopback(url)):
        raise url_refused("it is not https")
    if as_ip(host) is not None and not may_connect(host, allow_loopback=allow_loopback):
        raise url_refused(PRIVATE_NETWORK)
    return url


def redirect_url(url: str, location: str | None, *, allow_loopback: bool) -> str:
    """Return the checked target of a redirect from *url*, or raise `AttemptFailed`."""
    if not location:
        raise AttemptFailed("the server sent a redirect without a target")
    try:
        joined = urljoin(url, location.strip())
    except ValueError:
        raise url_refused("it is not a URL") from None
    return check_url(joined, allow_loopback=allow_loopback)


def without_query(url: str) -> str:
    """Return *url* without credentials, query and fragment, which may contain a signature."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def host_of(url: object) -> str:
    """Return the host of *url* without port, credentials and path, or an empty string if there is none."""
    try:
        return (urlsplit(url).hostname or "") if isinstance(url, str) else ""
    except ValueError:
        return ""


def url_refused(reason: str) -> AttemptFailed:
    """Return the error for a URL that must not be requested."""
    remedy = "Videos are only downloaded from public https URLs. Check where this URL comes from."
    return AttemptFailed(f"refusing to download from this URL: {reason}", advice=Advice.STOP, remedy=remedy)
