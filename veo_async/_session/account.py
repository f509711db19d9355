"""`Account`: what a session knows of the account it bills."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from veo_async._api import VeoApi
from veo_async._base.checks import check_count, check_encodable_text, check_positive, reject
from veo_async._ports import BudgetUse
from veo_async._rules.credits.prices import total
from veo_async._rules.rate_limit import LearnedLimits, RateLimiter
from veo_async._runtime.job.endings import as_request
from veo_async._runtime.job.follow_ups import FollowUp, chain_of
from veo_async._runtime.queued.spending import Spending
from veo_async._runtime.retrying import Retrier
from veo_async._wire import AnyRequest
from veo_async._wire.requests import VideoOptions

from .lifetime import Lifetime

if TYPE_CHECKING:
    from veo_async._wire.comparison import ProviderModel

    from .catalogue import CatalogueReader


class Account:
    """The account of a session, as ``veo.account``: its balance, prices, models, limits and tenants."""

    def __init__(
        self, lifetime: Lifetime, api: VeoApi, rate_limiter: RateLimiter, spending: Spending, retrier: Retrier
    ) -> None:
        self._lifetime, self._api, self._rate_limiter = lifetime, api, rate_limiter
        self._spending, self._retrier = spending, retrier

    @cached_property
    def _catalogue(self) -> "CatalogueReader":
        from .catalogue import CatalogueReader  # few programs read it

        return CatalogueReader(self._api, self._retrier)

    async def balance(self) -> float:
        """Read the balance, in credits."""
        scheduler = self._lifetime.require_open().scheduler
        read = scheduler.begin_balance_read()
        balance = (await self._retrier.call("credit", self._api.credit)).balance
        scheduler.balance_read(read, balance)
        return balance

    async def budget_use(self) -> BudgetUse:
        """Return what is spent and reserved of a named budget, by all sessions on the ledger.

        For any other session, what it has reserved itself.
        """
        shared = self._spending.shared
        if shared is None:
            return BudgetUse(reserved=self._spending.spent().reserved)
        return await self._lifetime.require_open().ledger.budget_use(shared.name)

    @property
    def pause_reason(self) -> str | None:
        """Why no request is sent at present; None if only slots and the rate limit decide."""
        return self._lifetime.require_open().scheduler.pause_reason

    def estimate(
        self, request: AnyRequest | str, *, then: FollowUp | Sequence[FollowUp] = (), **options: Unpack[VideoOptions]
    ) -> float | None:
        """Return the price of a request and its follow-ups, in credits; None if the table has no price for it."""
        chain = chain_of("", as_request(request, options), then)
        return total(self._spending.price_of(item.request) for item in chain)

    async def models(self) -> "tuple[ProviderModel, ...]":
        """Read the Veo models in the provider's catalogue, and compare each with our table.

        The provider allows one such request per second, so this takes about ten seconds.

        Raises:
            UnsupportedByProvider: the provider has no catalogue.
        """
        self._lifetime.require_open()
        return await self._catalogue.veo_models(self._spending.prices)

    async def model_schema(self, name: str) -> Mapping[str, Any] | None:
        """Read the OpenAPI document of any model in the provider's catalogue; None if it has none.

        Raises:
            NotFound: the provider has no model called *name*.
        """
        self._lifetime.require_open()
        return await self._catalogue.schema(name)

    def knowledge(self) -> LearnedLimits:
        """Return what was learned of the account's limits, for ``Limits(knowledge=…)`` of a later session."""
        return self._rate_limiter.knowledge()

    def configure_tenant(self, name: str, *, weight: float | None = None, max_queued: int | None = None) -> None:
        """Change a tenant's share of the account and the bound of its queue; None leaves a value as it is.

        Args:
            weight: tenants share the account in proportion to their weights; 1.0 by default.
            max_queued: how many of the tenant's jobs may wait.
        """
        if not isinstance(name, str):
            reject("name", name, "must be a string; the empty string is the default tenant")
        check_encodable_text("name", name)
        if weight is not None:
            check_positive("weight", weight)
        if max_queued is not None:
            check_count("max_queued", max_queued, minimum=0)
        self._lifetime.require_open().configure_tenant(name, weight=weight, max_queued=max_queued)

    def resize(self, max_in_flight: int) -> None:
        """Change how many tasks may run at the same time."""
        check_count("max_in_flight", max_in_flight)
        self._lifetime.require_open().scheduler.resize(max_in_flight)
