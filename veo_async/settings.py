"""The settings objects that `VeoSession` takes. Each is a small frozen value, checked when it is made.

::

    VeoSession(
        limits=Limits(rate=(60, 10.0)),
        credits=Credits(min_balance=500),
        network=Network(timeout=60.0),
    )
"""

from collections.abc import Callable, Mapping, Sequence
from ssl import SSLContext
from typing import Any, cast, get_args

import aiohttp
import attrs

from ._api.routes import parse_proxy
from ._base.checks import (
    check_choice,
    check_count,
    check_flag,
    check_instance,
    check_positive,
    check_text,
    is_encodable,
    is_number,
    reject,
)
from ._base.short_repr import short_repr
from ._ports import Transport
from ._rules.credits.budget import Budget
from ._rules.credits.prices import PRICES, Prices, validate_credits, validate_prices
from ._rules.rate_limit import LearnedLimits
from ._rules.route_choice import RouteSetting
from ._runtime.sending.callback_tokens import validate_public_url

__all__ = ["PRICES", "Budget", "Callbacks", "Credits", "Files", "LearnedLimits", "Limits", "Network", "Prices"]

#: The environment variable for the route of new requests.
ROUTE_VARIABLE = "VEO_ROUTE"

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _checked(check: Callable[..., object], *args: Any, optional: bool = False, **options: Any) -> _Validator:
    """An attrs validator that applies *check*; with *optional*, None passes."""

    def validate(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value is not None or not optional:
            check(attribute.name, value, *args, **options)

    return validate


def _check_rate(name: str, value: Any) -> None:
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    if not is_pair or not all(is_number(part) and part > 0 for part in value) or value[0] != int(value[0]):
        reject(name, value, "must be (requests, seconds), for example (20, 10.0)")


def _check_mode(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0o400 <= value <= 0o777 or not value & 0o400:
        reject(name, value, "must be permissions that let the owner read, for example 0o640")


def _as_rate(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@attrs.frozen(kw_only=True)
class Limits:
    """What the account allows, and how much of it the session uses.

    Attributes:
        rate: paid requests per window, as ``(requests, seconds)``. The provider documents 20 in any 10 seconds.
        explore: from time to time try whether the account allows more than *rate*.
        knowledge: limits that an earlier session learned (``veo.account.knowledge()``). With a ledger they are
            stored and loaded automatically.
        max_queued: jobs of one tenant that may wait. `QueueFull` is raised beyond it; None means no limit.
        polls_per_second: status polls per second, for all tasks together. None begins with 10 and adapts: up to 50
            while polls are late, and half after a 429.
        poll_every: seconds between two polls of a task. None learns from how long tasks take.
    """

    rate: tuple[int, float] = attrs.field(default=(20, 10.0), converter=_as_rate, validator=_checked(_check_rate))
    explore: bool = attrs.field(default=True, validator=_checked(check_flag))
    knowledge: LearnedLimits | None = attrs.field(
        default=None, validator=_checked(check_instance, LearnedLimits, "LearnedLimits or None", optional=True)
    )
    max_queued: int | None = attrs.field(default=None, validator=_checked(check_count, minimum=0, optional=True))
    polls_per_second: float | None = attrs.field(default=None, validator=_checked(check_positive, optional=True))
    poll_every: float | None = attrs.field(default=None, validator=_checked(check_positive, optional=True))

    __repr__ = short_repr


@attrs.frozen(kw_only=True)
class Credits:
    """Prices, and the balance to keep.

    Attributes:
        prices: credits per model and resolution, for example ``{"veo3_fast": {"720p": 60.0}}``. The row ``"extend"``
            has the models of extensions, ``"upgrade"`` the resolutions of upgrades. It replaces the built-in table.
        min_balance: credits to keep on the account. A job that would take the balance below it is not sent: it waits,
            and so do the jobs behind it; running jobs finish, and sending resumes after a top-up.
        stop_on_overcharge: send no more jobs of a model once the provider charges more for it than *prices* says. Their
            outcome is `OnHold`, and they stay queued for the next session; jobs of other models are sent. Only the
            ``jobs`` route says what a task costs.
    """

    prices: Prices = attrs.field(default=PRICES, converter=validate_prices)
    min_balance: float | None = attrs.field(default=None, validator=_checked(validate_credits, optional=True))
    stop_on_overcharge: bool = attrs.field(default=False, validator=_checked(check_flag))

    __repr__ = short_repr


@attrs.frozen(kw_only=True)
class Files:
    """How videos are downloaded, and how images are checked.

    Attributes:
        max_downloads: files that are downloaded at the same time.
        overwrite: replace the file that ``save_to=`` names although it belongs to another clip, or is not ours.
        mode: the permissions of saved videos and their sidecars, for example ``0o640``. None leaves them to the umask.
        check_images: request the first bytes of each image URL before its job is queued, and reject what
            redirects, requires a login, is not an image or is too large.
    """

    max_downloads: int = attrs.field(default=4, validator=_checked(check_count))
    overwrite: bool = attrs.field(default=False, validator=_checked(check_flag))
    mode: int | None = attrs.field(default=None, validator=_checked(_check_mode, optional=True))
    check_images: bool = attrs.field(default=False, validator=_checked(check_flag))

    __repr__ = short_repr


def _check_proxy(name: str, value: Any) -> None:
    if parse_proxy(value) is None:  # it may contain a password, so it is not shown
        reject(name, "…", "must be the URL of an HTTP proxy, for example 'http://proxy.example:3128'")


def _show_proxy(value: str | None) -> str:
    url = parse_proxy(value)
    return repr(None if url is None else f"{url.scheme}://{url.host}:{url.port}")


@attrs.frozen(kw_only=True)
class Network:
    """How the provider is reached.

    Attributes:
        proxy: the URL of an HTTP proxy for API calls, uploads and downloads, for example ``http://proxy:3128``. It may
            contain a user name and a password.
        ssl: an `ssl.SSLContext` that trusts a custom certificate authority, for all three.
        trust_env: without *proxy*, follow HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY. ``~/.netrc`` is never read.
        http: your own `aiohttp.ClientSession`. It is used for API calls and never closed. Its proxy and its
            ``trust_env`` also hold for downloads, which use connections of their own.
        timeout: seconds for one API request. None means 120 for paid requests, 30 for reads, 300 for uploads.
        upload_url: another base URL for uploads.
        route: the provider's endpoints for new requests: ``"veo"``, its dedicated Veo endpoints; ``"jobs"``, its
            unified jobs API; ``"auto"``, ``"veo"`` until that is gone, then ``"jobs"``. None means VEO_ROUTE, or
            ``"veo"``. A task is always read, upgraded and extended on the route that created it.
        allow_insecure_http: allow the API key to be sent over plain HTTP to another machine.
        transport: sends the requests instead of aiohttp; `veo_async.simulator.MemoryTransport` in tests.
        seed: makes delays and callback tokens repeatable in tests. Never set it in production: tokens would be
            predictable.
    """

    proxy: str | None = attrs.field(default=None, repr=_show_proxy, validator=_checked(_check_proxy, optional=True))
    ssl: SSLContext | None = attrs.field(
        default=None, validator=_checked(check_instance, SSLContext, "an ssl.SSLContext", optional=True)
    )
    trust_env: bool = attrs.field(default=True, validator=_checked(check_flag))
    http: aiohttp.ClientSession | None = attrs.field(
        default=None,
        validator=_checked(check_instance, aiohttp.ClientSession, "an aiohttp.ClientSession", optional=True),
    )
    timeout: float | None = attrs.field(default=None, validator=_checked(check_positive, optional=True))
    upload_url: str | None = attrs.field(default=None, validator=_checked(check_text, optional=True))
    route: RouteSetting | None = attrs.field(
        default=None, validator=_checked(check_choice, get_args(RouteSetting), optional=True)
    )
    allow_insecure_http: bool = attrs.field(default=False, validator=_checked(check_flag))
    transport: Transport | None = None
    seed: int | None = None

    __repr__ = short_repr


def _as_public_url(value: str) -> str:
    return validate_public_url(value) or value


def _as_secrets(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _check_secrets(name: str, value: Any) -> None:
    if not isinstance(value, Sequence) or not all(isinstance(secret, str) and secret for secret in value):
        reject(name, "…", "must be a non-empty string, or several during a rotation")  # a secret is never shown
    if not all(map(is_encodable, value)):
        reject(name, "…", "contains a lone surrogate")


@attrs.frozen
class Callbacks:
    """Where the provider can reach this session, so that it reports finished tasks itself.

    Attributes:
        url: the public base URL under which ``veo.callbacks`` is mounted.
        secret: the webhook secret that signs callbacks, or several during a rotation. With a secret, unsigned
            callbacks are rejected. None reads KIE_WEBHOOK_HMAC_KEY.
    """

    url: str = attrs.field(converter=_as_public_url)
    secret: str | Sequence[str] | None = attrs.field(
        default=None, kw_only=True, repr=False, converter=_as_secrets, validator=_checked(_check_secrets, optional=True)
    )


def route_from(environ: Mapping[str, str]) -> RouteSetting:
    """Return the route that the environment names, or the default.

    Raises:
        UsageError: it names another one.
    """
    name = environ.get(ROUTE_VARIABLE) or "veo"
    check_choice(ROUTE_VARIABLE, name, get_args(RouteSetting))
    return cast("RouteSetting", name)
