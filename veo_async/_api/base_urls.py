"""Which addresses may be given the key: https anywhere, http on loopback, and nothing with a password in it."""

import ipaddress
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from veo_async._wire import Dialect
from veo_async.errors import InvalidAddress

logger = logging.getLogger(__name__)

BASE_VARIABLES = ("VEO_BASE_URL", "KIE_BASE_URL")
UPLOAD_VARIABLES = ("VEO_UPLOAD_BASE_URL", "KIE_UPLOAD_BASE_URL")


@attrs.frozen
class Addresses:
    """Where the two hosts of a provider are, without trailing slashes."""

    api: str
    #: None when the provider documents no uploads.
    upload: str | None


def find_addresses(
    dialect: Dialect,
    *,
    base_url: str | None,
    upload_url: str | None,
    environ: Mapping[str, str],
    allow_insecure_http: bool,
) -> Addresses:
    """The addresses from arguments, environment or dialect, in that order.

    Whoever points the client at another host, a simulator say, means the uploads too: the key must not go to the
    real upload host from there. So an address that was given serves both, unless uploads have one of their own.
    """
    given_api = base_url or _first_set(BASE_VARIABLES, environ)
    given_upload = upload_url or _first_set(UPLOAD_VARIABLES, environ)
    api = clean_address(given_api or dialect.base_url, allow_insecure_http=allow_insecure_http)
    upload = given_upload or (given_api or dialect.upload_url)
    if given_api and not is_loopback(api) and api != dialect.base_url:
        logger.warning("the API key is sent to %s, which is not the address of %s", api, dialect.name)
    return Addresses(api, clean_address(upload, allow_insecure_http=allow_insecure_http) if upload else None)


def clean_address(url: str, *, allow_insecure_http: bool) -> str:
    """*url* without a trailing slash and without a pasted ``/api/v1``.

    Raises:
        InvalidAddress: it is no http(s) URL, is plain http to another machine, or holds a user name, a query or a
            fragment.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidAddress("the base address is not a URL") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise InvalidAddress("the base address must be an http(s) URL with a host")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidAddress("the base address must not hold a user name, a password, a query or a fragment")
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(url):
        raise InvalidAddress(f"plain http would show the API key to everyone between here and {host}")
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_loopback(url: str) -> bool:
    """Whether *url* names this very machine, by a literal address or as ``localhost``."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _first_set(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
