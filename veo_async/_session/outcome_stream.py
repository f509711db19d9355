"""`OutcomeStream`: what `VeoSession.map` returns."""

from collections.abc import AsyncGenerator, Callable
from typing import NoReturn, Self

from veo_async._runtime.job.outcome import Outcome
from veo_async.errors import UsageError


class OutcomeStream:
    """The outcomes of many requests, for ``async for``. Stopping early loses nothing: the jobs stay on the ledger."""

    def __init__(self, outcomes: AsyncGenerator[Outcome], on_end: Callable[[], None]) -> None:
        self._outcomes, self._on_end = outcomes, on_end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        try:
            return await anext(self._outcomes)
        except BaseException:  # after the last outcome, or because the wait was cancelled
            self._on_end()
            raise

    async def aclose(self) -> None:
        """Stop reading requests; jobs that were submitted continue."""
        self._on_end()
        await self._outcomes.aclose()

    def __iter__(self) -> NoReturn:
        raise UsageError(
            "map() is asynchronous: write `async for outcome in veo.map(…)`, or use veo_async.sync.VeoSession"
        )
