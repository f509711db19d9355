"""The requests of `VeoApi` that read the provider's catalogue: its models, prices, success rates and schemas."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from veo_async._wire import Endpoint, endpoints
from veo_async._wire.catalogue import CatalogueModel, SuccessRate
from veo_async.errors import InvalidRequest, NotFound, Problem

from .requester import Requester

T = TypeVar("T")

#: Words separated by slashes, as in ``veo/extend``; nothing that a server could take for another path.
_MODEL = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)


class CatalogueRequests:
    """The free requests about the provider's models. It allows one of them per second and account."""

    _requester: Requester

    async def models(
        self, *, query: str | None = None, provider: str | None = None, task_type: str | None = None
    ) -> tuple[CatalogueModel, ...]:
        """Return the models of the provider's catalogue; without arguments all, about two hundred.

        Args:
            query: only models that contain this text.
            provider: only models of this company, such as ``"Google"``.
            task_type: only models for this, such as ``"Text to Video"``.
        """
        filters = {"q": query, "provider": provider, "taskType": task_type}
        return await self._requester.send(endpoints.LIST_MODELS, query=filters)

    async def model_price(self, name: str) -> str | None:
        """Return the price of a model, as prose; None if the provider names none.

        Raises:
            NotFound: the provider has no such model.
        """
        return await self._of_model(endpoints.MODEL_PRICE, name)

    async def model_success_rate(self, name: str) -> tuple[SuccessRate, ...]:
        """Return the success rates of a model in the last 24 hours; empty without data.

        Raises:
            NotFound: the provider has no such model.
        """
        return await self._of_model(endpoints.MODEL_SUCCESS_RATE, name)

    async def model_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the OpenAPI document of a model's request; None if the provider has none.

        Raises:
            NotFound: the provider has no such model.
        """
        return await self._of_model(endpoints.MODEL_SCHEMA, name)

    async def _of_model(self, endpoint: Endpoint[T], name: str) -> T:
        try:
            return await self._requester.send(endpoint, model=_checked_model(name))
        except NotFound as error:
            if error.body_code is not None:  # otherwise another server has responded, and the error says so
                error.remedy = f"There is no model called {name!r}: use a name of the catalogue, such as 'veo-3-1'."
            raise


def _checked_model(name: str) -> str:
    if not isinstance(name, str) or not _MODEL.fullmatch(name):
        rule, remedy = "is not the name of a model", "use a name of the catalogue, such as 'veo-3-1'"
        raise InvalidRequest.of(Problem("name", name, rule, remedy))
    return name
