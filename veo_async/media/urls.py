"""Which addresses a video may be fetched from.

The URLs come from the provider's answers, so they are another's words: a broken or bought answer must not make us ask
the machine we run on, its neighbours, or the metadata service of its cloud. So: https only, and only addresses that
are public. Where the API itself is on loopback (a simulator), loopback is fine for results, too, and without TLS.

The URL is checked before each request, and the address itself once more when the socket is made (``guard.py``), which
is the only moment at which a name cannot change its meaning any more.
"""

from urllib.parse import urljoin, urlsplit, urlunsplit

from veo_async._api.base_urls import is_loopback
from veo_async._wire.hosts import as_ip, may_connect

from .failures import Advice, AttemptFailed

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 3


def check_url(url: str, *, allow_loopback: bool) -> str:
    """*url*, or a `Setback` that says why it is not asked."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise url_refused("it is no URL") from None
    if not host or " " in url or not url.isprintable():
        raise url_refused("it is no URL")
    if parts.username is not None or parts.password is not None:
        raise url_refused("it holds a user name")
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_loopback and is_loopback(url)):
        raise url_refused("it is not https")
    if as_ip(host) is not None and not may_connect(host, allow_loopback=allow_loopback):
        raise url_refused("it leads into a private network")
    return url


def redirect_url(url: str, location: str | None, *, allow_loopback: bool) -> str:
    """Where a redirect from *url* leads; checked like every other address."""
    if not location:
        raise AttemptFailed("its host redirects to nowhere")
    try:
        joined = urljoin(url, location.strip())
    except ValueError:
        raise url_refused("it is no URL") from None
    return check_url(joined, allow_loopback=allow_loopback)


def without_query(url: str) -> str:
    """*url* without user, query and fragment: where signatures stand, which are nobody's business."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def host_of(url: object) -> str:
    """The host of *url*, without port, user and path; empty when there is none."""
    try:
        return (urlsplit(url).hostname or "") if isinstance(url, str) else ""
    except ValueError:
        return ""


def url_refused(why: str) -> AttemptFailed:
    """The one text for it, wherever it is found out."""
    remedy = "Results are fetched from public https addresses only; look where this one comes from."
    return AttemptFailed(f"the video's address was refused: {why}", advice=Advice.STOP, remedy=remedy)
