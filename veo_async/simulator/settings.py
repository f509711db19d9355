"""Every option of the simulator, what it means, and what it may be.

Spans are *simulated* seconds: with ``speed=60`` a minute of them passes in a second of the event loop. That holds for
the rate limit's window and for fault delays too; ``callback_timeout_s`` alone is in the loop's seconds, because it
bounds a receiver that does not live in simulated time.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import attrs

from veo_async.errors import UsageError

from .faults.parsing import parse_faults
from .faults.plan import Fault

Dialect = Literal["real", "quickstart-1", "quickstart-2", "openapi", "apikley"]
Form = Literal["body", "http"]
DAY_S = 86400.0

_COUNTED = frozenset({"generate", "extend", "get-4k-video"})


def wall_clock() -> float:
    """Epoch seconds of the machine's clock."""
    return datetime.now(UTC).timestamp()


def _fault(attribute: "attrs.Attribute[Any]", value: Any, rule: str, remedy: str) -> UsageError:
    return UsageError(f"{attribute.name}={value!r}: {rule}; {remedy}")


def _one_of(literal: Any) -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    allowed = get_args(literal)

    def check(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value not in allowed and not (value is None and attribute.default is None):
            listed = ", ".join(repr(word) for word in allowed)
            raise _fault(attribute, value, "is not one of its words", f"write one of {listed}")

    return check


def _at_least(
    bound: float, *, but_more: bool = False, or_none: bool = False
) -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    rule = f"must be {'more than' if but_more else 'at least'} {bound:g}"

    def check(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and (or_none or attribute.default is None):
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _fault(attribute, value, "must be a number", "write one")
        if value < bound or (but_more and value == bound):
            raise _fault(attribute, value, rule, "write such a number")

    return check


def _fraction(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _fault(attribute, value, "must lie between 0 and 1", "write a share such as 0.05")


def _is_rate(value: Any) -> bool:
    try:
        count, window_s = value
        return bool(int(count) == count and count >= 1 and window_s > 0)
    except (TypeError, ValueError):
        return False


def _rate(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    may_be_absent = attribute.default is None
    if not (_is_rate(value) or (value is None and may_be_absent)):
        raise _fault(attribute, value, "must be a count and a window in seconds", "write for instance (20, 10.0)")


def _port(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, int) or not 0 <= value <= 65535:
        raise _fault(attribute, value, "is not a port", "write 0 for a free one, or 1 to 65535")


def _span(default: float | None) -> Any:
    return attrs.field(default=default, validator=_at_least(0))


def _choice(literal: Any, default: str | None) -> Any:
    return attrs.field(default=default, validator=_one_of(literal))


@attrs.frozen(kw_only=True)
class SimulatorSettings:
    """How the simulator behaves; each field is a keyword of ``Simulator(…)``."""

    # --- who may call, and with what money ---
    #: The key that clients must send; None makes a random dummy.
    api_key: str | None = attrs.field(default=None, repr=False)
    #: More keys, each with the name of the account that it bills; ``api_key`` bills ``main``.
    api_keys: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    #: The balance of every account at the start.
    credits: float = attrs.field(default=1_000_000.0, validator=_at_least(0))
    #: Credits that one key may spend in 24 hours before it gets code 433; None: no such cap.
    key_daily_cap: float | None = _span(None)

    # --- shapes ---
    #: Whose shapes are answered: what is really met, or one of the provider's own pages.
    dialect: Dialect = attrs.field(default="real", validator=_one_of(Dialect))
    #: Errors come as HTTP 200 with a code in the body (as met), or as that HTTP status.
    error_style: Form = attrs.field(default="body", validator=_one_of(Form))
    #: The same for an unknown key.
    unknown_key_style: Form = attrs.field(default="body", validator=_one_of(Form))
    #: Fields that nobody knows: ignored (as most report) or refused with 422.
    unknown_fields: Literal["ignore", "reject"] = _choice(Literal["ignore", "reject"], "ignore")
    #: How a callback writes its list of URLs; None goes by the dialect.
    callback_form: Literal["array", "json-string", "bracket"] | None = _choice(
        Literal["array", "json-string", "bracket"], None
    )
    #: How an upload is answered: ``downloadUrl`` alone, or the quickstart's longer form.
    upload_form: Literal["real", "quickstart"] = _choice(Literal["real", "quickstart"], "real")
    #: Task ids to give out first, before random ones.
    task_ids: tuple[str, ...] = attrs.field(default=(), converter=tuple)

    # --- limits ---
    #: Creations allowed, and in how many seconds.
    rate: tuple[int, float] = attrs.field(default=(20, 10.0), validator=_rate)
    #: How these are counted; ``none`` switches the limit off.
    limiter: Literal["sliding", "fixed", "bucket", "none"] = _choice(
        Literal["sliding", "fixed", "bucket", "none"], "sliding"
    )
    #: Whether a refused request counts as well, so that hammering keeps the door shut.
    count_rejected: bool = False
    #: Which endpoints count as creations.
    limited_endpoints: frozenset[str] = attrs.field(default=_COUNTED, converter=frozenset)
    #: 429 as an HTTP status (as documented), or as HTTP 200 with code 429 (as met on sister endpoints).
    rate_limit_style: Form = attrs.field(default="http", validator=_one_of(Form))
    #: Whether a 429 says when to come back, in the client's own seconds; None: it does not.
    retry_after: Literal["seconds", "date"] | None = attrs.field(
        default=None, validator=_one_of(Literal["seconds", "date"])
    )
    #: Tasks of one account that may run at once; None: no cap.
    max_running: int | None = attrs.field(default=100, validator=_at_least(1, or_none=True))
    #: A limit on record-info, as ``rate``; None: no such limit.
    poll_rate: tuple[int, float] | None = attrs.field(default=None, validator=_rate)

    # --- what becomes of tasks ---
    #: Every task takes exactly this long; None draws log-normal durations per model.
    duration_s: float | None = _span(None)
    #: Median and sigma per model (and per ``extend``, ``1080p``, ``4k``), over the built-in ones.
    durations: Mapping[str, tuple[float, float]] = attrs.field(factory=dict)
    #: The share of tasks that take ten times as long.
    slow_rate: float = attrs.field(default=0.0, validator=_fraction)
    #: The share of requests refused for their content, half of them at once and half in the record.
    refusal_rate: float = attrs.field(default=0.0, validator=_fraction)
    #: The share of tasks that fail.
    failure_rate: float = attrs.field(default=0.0, validator=_fraction)
    #: The share of tasks that succeed without URLs at first.
    empty_result_rate: float = attrs.field(default=0.0, validator=_fraction)
    #: How long "without URLs" lasts.
    empty_result_s: float = _span(30.0)
    #: How long a new task's record is unknown.
    record_delay_s: float = _span(0.0)
    #: What is said in that time: 422 ``record is null.``, or code 200 with ``data: null``.
    record_delay_form: Literal["422", "null"] = _choice(Literal["422", "null"], "422")
    #: How long records are kept.
    record_ttl_s: float = _span(14 * DAY_S)

    # --- upgrades and extensions ---
    #: How get-1080p-video says "not yet".
    not_ready_1080p: Literal["400-body", "400-http", "422-body"] = _choice(
        Literal["400-body", "400-http", "422-body"], "400-body"
    )
    #: The code with which a repeated get-4k-video brings its finished video.
    done_4k: Literal["422", "200"] = _choice(Literal["422", "200"], "422")
    #: The 4K callback: ``data.info`` in camel case, or snake case directly in ``data``.
    four_k_callback: Literal["info", "snake"] = _choice(Literal["info", "snake"], "info")
    #: Whether a 4K upgrade goes by its source's task id or gets one of its own.
    four_k_task_id: Literal["same", "new"] = _choice(Literal["same", "new"], "same")
    #: The code for extending a task that does not exist.
    extend_unknown_code: Literal[404, 422] = attrs.field(default=404, validator=_one_of(Literal[404, 422]))

    # --- closed doors ---
    #: Windows, in seconds since the start, in which everything answers 455.
    maintenance: tuple[tuple[float, float], ...] = attrs.field(default=(), converter=tuple)
    #: What answers 505: endpoints, models, generation types or resolutions by their names.
    disabled: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)

    # --- files ---
    #: How long a result's address works.
    file_ttl_s: float = _span(14 * DAY_S)
    #: How long a link from download-url works.
    link_ttl_s: float = _span(20 * 60.0)
    #: How long an uploaded file is kept.
    upload_ttl_s: float = _span(3 * DAY_S)

    # --- callbacks ---
    #: Signs every callback; None sends them unsigned, as the provider does until a key is made.
    webhook_secret: str | None = attrs.field(default=None, repr=False)
    #: How long a receiver may take to answer 200, in the loop's seconds.
    callback_timeout_s: float = attrs.field(default=15.0, validator=_at_least(0, but_more=True))
    #: When to try again; one number per retry.
    callback_retry_s: tuple[float, ...] = attrs.field(default=(60.0, 300.0, 900.0), converter=tuple)
    #: Callbacks leave this machine only when this is said.
    allow_remote_callbacks: bool = False

    # --- time, chance, trouble ---
    #: Simulated seconds per second of the event loop.
    speed: float = attrs.field(default=1.0, validator=_at_least(0, but_more=True))
    #: Simulated epoch seconds at the start; None: the machine's clock.
    start_at: float | None = _span(None)
    #: Seeds every dice; the same seed and the same calls give the same answers.
    seed: int = 0
    #: How long every API answer takes.
    latency_s: float = _span(0.0)
    #: What goes wrong, see `faults`; a word such as ``drop-after:generate:1`` does too, see `fault_words`.
    faults: tuple[Fault, ...] = attrs.field(default=(), converter=parse_faults)
    #: Stamps callback signatures, which receivers compare with their own clock, not with simulated time.
    wall_clock: Callable[[], float] = wall_clock

    # --- the server ---
    #: Where to listen. Loopback unless you ask for another.
    host: str = "127.0.0.1"
    #: 0 takes a free port.
    port: int = attrs.field(default=0, validator=_port)
    #: How many of the last requests are remembered.
    max_logged_requests: int = attrs.field(default=100_000, validator=_at_least(0))

    def keys(self, api_key: str) -> dict[str, str]:
        """Every key and the account that it bills."""
        return {**self.api_keys, api_key: self.api_keys.get(api_key, "main")}

    def is_disabled(self, names: Collection[str | None]) -> bool:
        return bool(self.disabled) and not self.disabled.isdisjoint(names)
