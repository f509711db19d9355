"""The parts of a session, in dependency order: those that need no event loop, then the engine on an open ledger."""

import random
import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from veo_async._api import VeoApi
from veo_async._api.base_urls import is_loopback
from veo_async._api.routes import Routes, parse_proxy
from veo_async._api.transport import MAX_CONNECTIONS
from veo_async._clip_saver import ClipSaver
from veo_async._ports import Ledger
from veo_async._rules.credits.budget import Budget
from veo_async._rules.polling.budget import MAX_POLL_RATE, POLL_RATE, PollBudget
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._rules.polling.poll_result import BACKOFF_MAX_S
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._rules.rate_limit import RateLimiter, RateLimitSettings
from veo_async._rules.route_choice import RouteChoice, RouteSetting
from veo_async._runtime.clock import WallClock
from veo_async._runtime.engine import Engine
from veo_async._runtime.hooks import Hook, Hooks
from veo_async._runtime.in_doubt.handler import OnDoubt
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.queued.images import Images
from veo_async._runtime.queued.spending import Spending
from veo_async._runtime.retrying import Retrier
from veo_async._runtime.running.watcher import WORKERS
from veo_async._runtime.sending.callback_tokens import CallbackTokens
from veo_async._runtime.status import StatusReporter
from veo_async._wire import Record, RouteName
from veo_async.ledger import NullLedger
from veo_async.media import Saver
from veo_async.media.templates import PathTemplate
from veo_async.settings import Callbacks, Credits, Files, Limits, Network

from .lifetime import Lifetime
from .naming import default_target_of

if TYPE_CHECKING:
    from veo_async.media.image_probe import ImageProbe


@attrs.frozen(kw_only=True)
class Options:
    """The constructor's arguments, checked."""

    ledger: Ledger
    account: str | None
    max_in_flight: int
    #: The default target of clips.
    save_to: str | PathTemplate | None
    budget: float | Budget | None
    callbacks: Callbacks | None
    on_doubt: OnDoubt
    on_event: Hook | None
    limits: Limits
    credits: Credits
    files: Files
    network: Network
    route: RouteSetting

    @property
    def is_durable(self) -> bool:
        """Whether jobs outlive the session."""
        return not isinstance(self.ledger, NullLedger)


class Parts:
    """The parts of a session that need no event loop."""

    def __init__(self, api: VeoApi, options: Options, lifetime: Lifetime) -> None:
        self._api, self._options, self._lifetime = api, options, lifetime
        limits = options.limits
        self._rng = random.Random(options.network.seed)  # noqa: S311  # jitter, not a secret
        self.retrier = Retrier(self._rng)
        fixed = limits.polls_per_second
        self._poll_budget = PollBudget(rate=fixed or POLL_RATE, max_rate=fixed or MAX_POLL_RATE)
        # Callbacks reduce polling once the first one arrives; without a public URL none can.
        callbacks = None if options.callbacks else False
        self._polls: PollQueue[LiveJob] = PollQueue(self._poll_budget, every_s=limits.poll_every, callbacks=callbacks)
        rate, window_s = limits.rate
        self.rate_limiter = RateLimiter(
            RateLimitSettings(limit=int(rate), window_s=window_s, explore=limits.explore), limits.knowledge
        )
        self.queue: FairQueue[LiveJob] = FairQueue(max_queued=limits.max_queued)
        self.status = StatusReporter(
            api.dialect.name,
            queue=self.queue,
            polls=self._polls,
            rate=self.rate_limiter.settings,
            pause_reason=lambda: lifetime.engine.scheduler.pause_reason,
            now=lifetime.now,
        )
        self.spending = Spending(
            options.credits.prices, options.budget, options.credits.min_balance, is_shared=options.is_durable
        )
        self.routes = RouteChoice(options.route)
        self.hooks = Hooks(options.on_event)
        self.clip_saver = ClipSaver(api, self._read_record, self.retrier, self._new_saver)
        self._image_probe = self._new_image_probe() if options.files.check_images else None

    def _new_image_probe(self) -> "ImageProbe":
        from veo_async.media.image_probe import ImageProbe  # only with Files(check_images=True)

        return ImageProbe(allow_loopback=is_loopback(self._api.base_urls.api), routes=self._file_routes())

    def _new_saver(self, **options: Any) -> Saver:
        files = self._options.files
        return Saver(
            base_url=self._api.base_urls.api,
            max_downloads=files.max_downloads,
            overwrite=files.overwrite,
            mode=files.mode,
            rng=self._rng,
            routes=self._file_routes(),
            **options,
        )

    def _file_routes(self) -> Routes:
        """Return how files are reached: as the caller's HTTP session reaches the API, if there is one."""
        network = self._options.network
        if network.http is not None and network.proxy is None:
            return Routes.of(network.http, network.ssl)
        return Routes(parse_proxy(network.proxy), network.trust_env, network.ssl)

    async def open_engine(self, wall_clock: float, on_crash: Callable[[BaseException], None]) -> None:
        """Open the ledger, and the engine on it.

        Raises:
            LedgerError: the ledger cannot be opened.
        """
        options = self._options
        account = options.account or (await self._api.account_id() if options.is_durable else "")
        ledger = await options.ledger.open(account)
        clock = WallClock(wall_clock)
        self.images = Images(
            self._api,
            self.retrier,
            clock.now,
            renew_key=self._renew_key,
            find_problem=self._image_probe.find_problem if self._image_probe else None,
        )
        random_bytes = secrets.token_bytes if options.network.seed is None else self._rng.randbytes
        public_url = options.callbacks.url if options.callbacks else None
        try:
            engine = Engine(
                self._api,
                ledger,
                account=account,
                is_durable=options.is_durable,
                prune_after=getattr(options.ledger, "prune_after", None),  # another program's ledger may not have it
                clock=clock,
                rate_limiter=self.rate_limiter,
                has_knowledge=options.limits.knowledge is not None,
                queue=self.queue,
                polls=self._polls,
                budget=self._poll_budget,
                status=self.status,
                hooks=self.hooks,
                tokens=CallbackTokens(ledger.secret, public_url, random_bytes),
                spending=self.spending,
                max_in_flight=options.max_in_flight,
                # Enough for polls of a second each, and no more than there are connections.
                workers=round(min(max(WORKERS, self._poll_budget.max_rate), MAX_CONNECTIONS)),
                max_backoff_s=min(BACKOFF_MAX_S, options.limits.poll_every or BACKOFF_MAX_S),
                stop_on_overcharge=options.credits.stop_on_overcharge,
                routes=self.routes,
                on_doubt=options.on_doubt,
                save=self.clip_saver.save,
                images=self.images,
                default_target=partial(default_target_of, options.save_to),
                on_crash=on_crash,
            )
            self._lifetime.engine = engine
            await engine.open()
        except BaseException:
            self._lifetime.engine = None
            await ledger.close()
            raise

    async def close(self) -> None:
        """Close what was opened for files and images."""
        await self.clip_saver.close()
        if self._image_probe is not None:
            await self._image_probe.close()

    async def _renew_key(self) -> bool:
        keys = self._lifetime.engine.keys
        return await keys.renew(keys.generation)

    async def _read_record(self, task_id: str, route: RouteName) -> Record:
        return await self._lifetime.engine.read_record(task_id, route)
