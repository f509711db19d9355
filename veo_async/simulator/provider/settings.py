"""The options of the provider. `SimulatorSettings` adds those of faults, frontends and time."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import attrs

from .option_checks import at_least, check_optional_rate, check_rate, choice, fraction, one_of, seconds

Dialect = Literal["real", "quickstart-1", "quickstart-2", "openapi", "apikley"]
Form = Literal["body", "http"]
JobStates = Literal["waiting-generating", "waiting-queuing-generating", "waiting"]
JobsCallbackForm = Literal["unified", "info", "2025"]
OldRoute = Literal["on", "read-only", "gone"]
DAY_S = 86400.0

_CREATING_ENDPOINTS = frozenset({"generate", "extend", "get-4k-video", "create-task"})


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """How the provider behaves. All times are simulated seconds."""

    # --- API keys and credits ---
    #: The API key that clients must send; None generates a random one.
    api_key: str | None = attrs.field(default=None, repr=False)
    #: More API keys, each with the name of the account that it bills. ``api_key`` bills the account ``main``.
    api_keys: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    #: The balance of every account at the start.
    credits: float = attrs.field(default=1_000_000.0, validator=at_least(0))
    #: Credits that one key may spend per day before it gets code 433; None sets no cap.
    key_daily_cap: float | None = attrs.field(default=None, validator=at_least(0))

    # --- formats ---
    #: The format of requests and responses: what the API really sends, or one of its documented variants.
    dialect: Dialect = attrs.field(default="real", validator=one_of(Dialect))
    #: How errors are sent: as HTTP 200 with a code in the body (as observed), or with the code as HTTP status.
    error_style: Form = attrs.field(default="body", validator=one_of(Form))
    #: The same for the error about an unknown API key.
    unknown_key_style: Form = attrs.field(default="body", validator=one_of(Form))
    #: Unknown request fields are ignored (as most users report) or rejected with code 422.
    unknown_fields: Literal["ignore", "reject"] = choice(Literal["ignore", "reject"], "ignore")
    #: How callbacks write their list of URLs; None follows the dialect.
    callback_form: Literal["array", "json-string", "bracket"] | None = choice(
        Literal["array", "json-string", "bracket"], None
    )
    #: The response to an upload: with ``downloadUrl`` alone, or in the quickstart's longer form.
    upload_form: Literal["real", "quickstart"] = choice(Literal["real", "quickstart"], "real")
    #: Task ids to use before random ones.
    task_ids: tuple[str, ...] = attrs.field(default=(), converter=tuple)

    # --- limits ---
    #: The rate limit: creating requests per window in seconds.
    rate: tuple[int, float] = attrs.field(default=(20, 10.0), validator=check_rate)
    #: How requests are counted: in a sliding or a fixed window, or with a token bucket; ``none`` disables the limit.
    limiter: Literal["sliding", "fixed", "bucket", "none"] = choice(
        Literal["sliding", "fixed", "bucket", "none"], "sliding"
    )
    #: Whether rejected requests count too, so that a client that keeps trying stays limited.
    count_rejected: bool = False
    #: The endpoints that count as creating requests.
    limited_endpoints: frozenset[str] = attrs.field(default=_CREATING_ENDPOINTS, converter=frozenset)
    #: How a 429 is sent: as HTTP 200 with code 429 (the provider's newer text), or as HTTP status (its older text).
    rate_limit_style: Form = attrs.field(default="body", validator=one_of(Form))
    #: The format of ``Retry-After`` in a 429, in the client's own seconds; None sends no such header.
    retry_after: Literal["seconds", "date"] | None = choice(Literal["seconds", "date"], None)
    #: The number of tasks that one account may run at the same time; None sets no cap.
    max_running: int | None = attrs.field(default=100, validator=at_least(1, optional=True))
    #: A limit on record-info for the whole account, like ``rate``; None sets no limit.
    poll_rate: tuple[int, float] | None = attrs.field(default=None, validator=check_rate)
    #: A limit on record-info for each task; None sets no limit.
    task_poll_rate: tuple[int, float] | None = attrs.field(default=(10, 1.0), validator=check_optional_rate)

    # --- task outcomes ---
    #: Every task takes exactly this long; None draws log-normal durations per model.
    duration_s: float | None = seconds(None)
    #: Median and sigma of the duration per model, and for ``extend``, ``1080p`` and ``4k``. Replaces the built-in ones.
    durations: Mapping[str, tuple[float, float]] = attrs.field(factory=dict)
    #: The fraction of tasks that take ten times as long.
    slow_rate: float = fraction(0.0)
    #: The fraction of requests refused for their content, half of them immediately and half in the record.
    refusal_rate: float = fraction(0.0)
    #: The fraction of tasks that fail.
    failure_rate: float = fraction(0.0)
    #: The fraction of tasks that succeed without URLs at first.
    empty_result_rate: float = fraction(0.0)
    #: How long those tasks stay without URLs.
    empty_result_s: float = seconds(30.0)
    #: The delay until a new task's record exists.
    record_delay_s: float = seconds(0.0)
    #: The response during that delay: code 422 ``record is null.``, or code 200 with ``data: null``.
    record_delay_form: Literal["422", "null"] = choice(Literal["422", "null"], "422")
    #: How long records are kept.
    record_ttl_s: float = seconds(14 * DAY_S)

    # --- upgrades and extensions ---
    #: How get-1080p-video reports "not ready": the code, and where it is sent.
    not_ready_1080p: Literal["400-body", "400-http", "422-body"] = choice(
        Literal["400-body", "400-http", "422-body"], "400-body"
    )
    #: The code with which a repeated get-4k-video returns the finished video.
    done_4k: Literal["422", "200"] = choice(Literal["422", "200"], "422")
    #: The format of the 4K callback: ``data.info`` in camel case, or snake case directly in ``data``.
    four_k_callback: Literal["info", "snake"] = choice(Literal["info", "snake"], "info")
    #: Whether a 4K upgrade has its source's task id or a new one.
    four_k_task_id: Literal["same", "new"] = choice(Literal["same", "new"], "same")
    #: The code for extending a task that does not exist.
    extend_unknown_code: Literal[404, 422] = choice(Literal[404, 422], 404)

    # --- routes ---
    #: The dedicated Veo endpoints: ``gone`` responds with code 404 to creations, extensions, upgrades and record-info;
    #: ``read-only`` to all of them but record-info.
    old_route: OldRoute = attrs.field(default="on", validator=one_of(OldRoute))
    #: The number of tasks that the dedicated Veo endpoints create before ``old_route`` applies.
    old_route_after: int = attrs.field(default=0, validator=at_least(0))
    #: The unified jobs API, createTask and recordInfo: ``off`` responds with code 404.
    jobs_route: Literal["on", "off"] = choice(Literal["on", "off"], "on")
    #: Whether each route knows the tasks of the other one.
    cross_reading: Literal["none", "both"] = choice(Literal["none", "both"], "none")
    #: createTask ignores the tier: it bills and reports every task as Fast.
    tier_ignored: bool = False
    #: The code with which createTask refuses a wrong field.
    validation_code: Literal[422, 500] = choice(Literal[422, 500], 422)
    #: The format of recordInfo: of September 2026, or of April without successFlag, response, paramJson and credits.
    record_form: Literal["2026-09", "2026-04"] = choice(Literal["2026-09", "2026-04"], "2026-09")
    #: The states that recordInfo shows for a running task, in this order. Each but the last takes a tenth of the time.
    job_states: JobStates = attrs.field(default="waiting-generating", validator=one_of(JobStates))
    #: Where recordInfo shows the URLs of 1080p and 4K videos: in ``resultUrls``, or in ``data.result_urls``.
    result_form: Literal["flat", "nested"] = choice(Literal["flat", "nested"], "nested")
    #: The format of callbacks for tasks of createTask: that of all jobs today or in 2025, or that of the dedicated
    #: endpoints, ``info``.
    jobs_callback_form: JobsCallbackForm = attrs.field(default="unified", validator=one_of(JobsCallbackForm))
    #: How recordInfo reports an unknown task: code 422 or 404, or code 200 with ``data: null``.
    unknown_id: Literal["422", "404", "null"] = choice(Literal["422", "404", "null"], "422")
    #: What ``creditsConsumed`` shows for a failed task, which is refunded: its price, or zero.
    credits_on_failure: Literal["kept", "zero"] = choice(Literal["kept", "zero"], "kept")
    #: A limit on recordInfo for each task; None sets no limit.
    poll_rate_per_task: tuple[int, float] | None = attrs.field(default=(10, 1.0), validator=check_optional_rate)

    # --- the catalogue of models ---
    #: Replaces parts of the catalogue: by model, the fields ``title``, ``pricingDesc``, ``points`` and ``openapi``.
    #: None removes a model, and a new name adds one.
    catalogue: Mapping[str, Mapping[str, Any] | None] = attrs.field(factory=dict)
    #: A limit on the four endpoints of the catalogue together; None sets no limit.
    catalogue_rate: tuple[int, float] | None = attrs.field(default=(1, 1.0), validator=check_optional_rate)

    # --- unavailability ---
    #: Windows, in seconds since the start, in which every endpoint returns code 455.
    maintenance: tuple[tuple[float, float], ...] = attrs.field(default=(), converter=tuple)
    #: Names of endpoints, models, generation types or resolutions that return code 505.
    disabled: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)

    # --- files ---
    #: How long the URL of a result works.
    file_ttl_s: float = seconds(14 * DAY_S)
    #: The resolution of every video; None delivers what was requested. Another one is a fault that one user reported.
    delivered_resolution: Literal["720p", "1080p", "4k"] | None = choice(Literal["720p", "1080p", "4k"], None)
    #: How long a link from download-url works.
    link_ttl_s: float = seconds(20 * 60.0)
    #: How long an uploaded file is kept. The provider's newest text says a day; older ones say three.
    upload_ttl_s: float = seconds(DAY_S)

    # --- time and randomness ---
    #: Simulated seconds per second of the event loop.
    speed: float = attrs.field(default=1.0, validator=at_least(0, exclusive=True))
    #: How fast the clients' clocks run, whose times records and ``Retry-After`` show. Set it to the speed of the
    #: clients' `fast_loop` if only they run in one.
    client_speed: float = attrs.field(default=1.0, validator=at_least(0, exclusive=True))
    #: How long every API response takes. Downloads are not delayed.
    latency_s: float = seconds(0.0)
    #: Seeds every random generator: the same seed and the same requests give the same responses.
    seed: int = 0
    #: Returns the epoch seconds that callback signatures and HTTP dates are based on.
    wall_clock: Callable[[], float]

    # --- callbacks and log ---
    #: Signs every callback; None sends them unsigned, as the provider does until a secret is created.
    webhook_secret: str | None = attrs.field(default=None, repr=False)
    #: The number of requests that the log keeps.
    max_logged_requests: int = attrs.field(default=100_000, validator=at_least(0))

    def keys(self, api_key: str) -> dict[str, str]:
        """Return every accepted API key, *api_key* included, with the account that it bills."""
        return {**self.api_keys, api_key: self.api_keys.get(api_key, "main")}

    def is_disabled(self, names: Collection[str | None]) -> bool:
        """Whether any of *names* is disabled."""
        return bool(self.disabled) and not self.disabled.isdisjoint(names)
