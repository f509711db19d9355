"""The provider's base URLs, and which URLs may receive the API key: https anywhere, http only on loopback."""

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from veo_async._wire import Dialect
from veo_async._wire.hosts import as_ip
from veo_async.errors import InvalidBaseUrl

logger = logging.getLogger(__name__)

BASE_URL_VARIABLES = ("VEO_BASE_URL", "KIE_BASE_URL")
UPLOAD_URL_VARIABLES = ("VEO_UPLOAD_BASE_URL", "KIE_UPLOAD_BASE_URL")
_EXAMPLE = "Example: https://api.kie.ai."
_USE_HTTPS = "Use an https:// URL (http:// is allowed for localhost), or pass allow_insecure_http=True."


@attrs.frozen
class BaseUrls:
    """The URLs of a provider's two hosts, without trailing slashes."""

    api: str
    #: None if the provider documents no uploads.
    upload: str | None


def resolve_base_urls(
    dialect: Dialect,
    *,
    base_url: str | None,
    upload_url: str | None,
    environ: Mapping[str, str],
    allow_insecure_http: bool,
) -> BaseUrls:
    """Return the URLs from the arguments, the environment or the dialect, in that order.

    A given *base_url* also serves uploads, unless *upload_url* is given as well: a client that uses a simulator must
    not send the key to the real upload host.
    """
    api_override = base_url or _first_set(BASE_URL_VARIABLES, environ)
    upload_override = upload_url or _first_set(UPLOAD_URL_VARIABLES, environ)
    api = normalize_base_url(api_override or dialect.base_url, allow_insecure_http=allow_insecure_http)
    upload = upload_override or (api_override or dialect.upload_url)
    if api_override and not is_loopback(api) and api != dialect.base_url:
        logger.warning("sending the API key to %s, which is not an official address of %s", api, dialect.name)
    return BaseUrls(api, normalize_base_url(upload, allow_insecure_http=allow_insecure_http) if upload else None)


def normalize_base_url(url: str, *, allow_insecure_http: bool) -> str:
    """Return *url* without a trailing slash and without ``/api/v1``, which users paste by mistake.

    Raises:
        InvalidBaseUrl: *url* is not an http(s) URL, is plain http to another machine, or has a user name, a password,
            a query or a fragment.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidBaseUrl("the base URL is not a URL", remedy=_EXAMPLE) from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise InvalidBaseUrl("the base URL must be an http(s) URL with a host", remedy=_EXAMPLE)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        too_much = "the base URL must not contain a user name, a password, a query or a fragment"
        raise InvalidBaseUrl(too_much, remedy=_EXAMPLE)
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(url):
        raise InvalidBaseUrl(f"plain http would expose the API key on the way to {host}", remedy=_USE_HTTPS)
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_loopback(url: str) -> bool:
    """Return True if *url* points to this machine, by a literal address or as ``localhost``."""
    host = urlsplit(url).hostname or ""
    ip = as_ip(host)
    return host == "localhost" if ip is None else ip.is_loopback


def _first_set(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
