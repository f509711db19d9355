"""Which addresses may be given the key: https anywhere, http on loopback, and nothing with a password in it."""

import ipaddress
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from veo_async._wire import Dialect
from veo_async.errors import InvalidBaseUrl

logger = logging.getLogger(__name__)

BASE_URL_VARIABLES = ("VEO_BASE_URL", "KIE_BASE_URL")
UPLOAD_URL_VARIABLES = ("VEO_UPLOAD_BASE_URL", "KIE_UPLOAD_BASE_URL")


@attrs.frozen
class BaseUrls:
    """Where the two hosts of a provider are, without trailing slashes."""

    api: str
    #: None when the provider documents no uploads.
    upload: str | None


def resolve_base_urls(
    dialect: Dialect,
    *,
    base_url: str | None,
    upload_url: str | None,
    environ: Mapping[str, str],
    allow_insecure_http: bool,
) -> BaseUrls:
    """The addresses from arguments, environment or dialect, in that order.

    Whoever points the client at another host, a simulator say, means the uploads too: the key must not go to the
    real upload host from there. So an address that was given serves both, unless uploads have one of their own.
    """
    api_override = base_url or _first_set(BASE_URL_VARIABLES, environ)
    upload_override = upload_url or _first_set(UPLOAD_URL_VARIABLES, environ)
    api = normalize_base_url(api_override or dialect.base_url, allow_insecure_http=allow_insecure_http)
    upload = upload_override or (api_override or dialect.upload_url)
    if api_override and not is_loopback(api) and api != dialect.base_url:
        logger.warning("the API key is sent to %s, which is not the address of %s", api, dialect.name)
    return BaseUrls(api, normalize_base_url(upload, allow_insecure_http=allow_insecure_http) if upload else None)


def normalize_base_url(url: str, *, allow_insecure_http: bool) -> str:
    """*url* without a trailing slash and without a pasted ``/api/v1``.

    Raises:
        InvalidBaseUrl: it is no http(s) URL, is plain http to another machine, or holds a user name, a query or a
            fragment.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidBaseUrl("the base address is not a URL") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise InvalidBaseUrl("the base address must be an http(s) URL with a host")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidBaseUrl("the base address must not hold a user name, a password, a query or a fragment")
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(url):
        raise InvalidBaseUrl(f"plain http would show the API key to everyone between here and {host}")
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
