"""Reads the provider's catalogue for ``veo.account.models()``, one request per second."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from veo_async._api import VeoApi
from veo_async._rules.credits.prices import Prices
from veo_async._rules.retry import Endpoint
from veo_async._rules.spacing import Spacing
from veo_async._runtime.clock import TIMER_SLACK_S, loop_time
from veo_async._runtime.retrying import Retrier
from veo_async._wire.catalogue import CatalogueModel, mean_success_rate
from veo_async._wire.comparison import ProviderModel, compared, veo_names
from veo_async.errors import InvalidRequest, MalformedResponse, RequestRejected, ServerError, as_sentences

T = TypeVar("T")

#: The provider allows one request per second for the whole catalogue.
_EVERY_S: Final = 1.0 + TIMER_SLACK_S
_PARTS: Final[Mapping[str, str]] = {
    "model-price": "The price",
    "model-success-rate": "The success rate",
    "model-schema": "The schema",
}


class CatalogueReader:
    """The provider's catalogue as one session reads it."""

    def __init__(self, api: VeoApi, retrier: Retrier) -> None:
        self._api, self._retrier = api, retrier
        self._spacing = Spacing(_EVERY_S)
        self._lock = asyncio.Lock()

    async def veo_models(self, prices: Prices) -> tuple[ProviderModel, ...]:
        """Return every Veo model, compared with our price table."""
        listed = await self._call("models", self._api.models)
        by_name = {model.name: model for model in listed}
        return tuple([await self._read(name, by_name.get(name), prices) for name in veo_names(listed)])

    async def schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the schema of any model of the catalogue; None if it has none."""
        return await self._call("model-schema", lambda: self._api.model_schema(name))

    async def _read(self, name: str, listed: CatalogueModel | None, prices: Prices) -> ProviderModel:
        model, unread = listed or CatalogueModel(name=name), list[str]()
        if model.price is None:  # the list has the same text
            price = await self._part("model-price", lambda: self._api.model_price(name), unread)
            model = CatalogueModel(name=name, title=model.title, price=price)
        rates = await self._part("model-success-rate", lambda: self._api.model_success_rate(name), unread)
        schema = await self._part("model-schema", lambda: self._api.model_schema(name), unread)
        return compared(
            model,
            prices,
            is_listed=listed is not None,
            success_rate=mean_success_rate(rates or ()),
            schema=schema,
            unread=unread,
        )

    async def _part(self, endpoint: Endpoint, call: Callable[[], Awaitable[T]], unread: list[str]) -> T | None:
        """Return the result of *call*; None if the provider does not know the model.

        The failure of one part does not hide the others: it is added to *unread*.
        """
        try:
            return await self._call(endpoint, call)
        except (RequestRejected, InvalidRequest):  # a listed name may have a form that no path can have
            return None
        except (ServerError, MalformedResponse) as error:
            unread.append(as_sentences(f"{_PARTS[endpoint]} could not be read: {error.message}", ""))
            return None

    async def _call(self, endpoint: Endpoint, call: Callable[[], Awaitable[T]]) -> T:
        return await self._retrier.call(endpoint, lambda: self._spaced(call))

    async def _spaced(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one attempt, at least a second after the last one."""
        async with self._lock:
            await asyncio.sleep(self._spacing.wait_s(loop_time()))
            try:
                return await call()
            finally:
                self._spacing.ended(loop_time())
