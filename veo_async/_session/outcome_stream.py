"""`OutcomeStream`: what `VeoSession.map` returns."""

from collections.abc import AsyncGenerator
from typing import NoReturn, Self

from veo_async._runtime.job.outcome import Outcome
from veo_async.errors import UsageError


class OutcomeStream:
    """The outcomes of many requests, for ``async for``. Stopping early loses nothing: the jobs stay on the ledger."""

    def __init__(self, outcomes: AsyncGenerator[Outcome]) -> None:
        self._outcomes = outcomes

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        return await anext(self._outcomes)

    async def aclose(self) -> None:
        """Stop reading requests; jobs that were submitted continue."""
        await self._outcomes.aclose()

    def __iter__(self) -> NoReturn:
        raise UsageError(
            "map() is asynchronous: write `async for outcome in veo.map(…)`, or use veo_async.sync.VeoSession"
        )
