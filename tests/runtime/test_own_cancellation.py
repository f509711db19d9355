"""A `CancelledError` that the user's code raises itself is an error like any other: no task was cancelled."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from veo_async import Done, InDoubt, errors
from veo_async.simulator import drop_after_accepting, refuse

from .support import world

pytestmark = pytest.mark.veo_virtual_time


async def _cancelled(*_: Any) -> Any:
    await asyncio.sleep(1)
    raise asyncio.CancelledError


@pytest.mark.parametrize("kind", [asyncio.CancelledError, RuntimeError])
async def test_on_doubt_that_raises_counts_as_hold(kind: type[BaseException]) -> None:
    """The waiter gets `InDoubt`, as with ``"hold"``."""

    async def on_doubt(_: InDoubt) -> Any:
        raise kind

    async with world(faults=[drop_after_accepting(on=1)], session={"on_doubt": on_doubt}) as (veo, sim):
        job = await veo.submit("A dog")
        assert isinstance(await job.finished(), InDoubt)
        assert len(sim.requests_to()) == 1


async def test_on_doubt_that_is_cancelled_by_its_own_code_counts_as_hold() -> None:
    """An HTTP client, for example, may cancel its own waiters."""
    async with world(faults=[drop_after_accepting(on=1)], session={"on_doubt": _cancelled}) as (veo, _):
        assert isinstance(await (await veo.submit("A dog")).finished(), InDoubt)


@pytest.mark.parametrize("is_async", [False, True])
async def test_on_event_that_raises_cancelled_error_affects_no_job(is_async: bool) -> None:
    """It is logged like every exception of the hook."""

    def raise_it(_: Any) -> None:
        raise asyncio.CancelledError

    async with world(session={"on_event": _cancelled if is_async else raise_it}) as (veo, sim):
        outcomes = await veo.gather("A dog", "A cat")
        assert [type(outcome) for outcome in outcomes] == [Done, Done]
        assert len(sim.charges) == 2


async def test_key_provider_that_raises_cancelled_error_refuses_the_jobs() -> None:
    """There is no key, and the waiters get that error."""
    keys = iter(["sk_first"])

    async def provider() -> str:
        for key in keys:
            return key
        raise asyncio.CancelledError

    async with world(session={"api_key": provider}, faults=[refuse(401, times=100)]) as (veo, _):
        job = await veo.submit("A dog")
        with pytest.raises(errors.VeoError):
            await job


async def test_map_raises_the_cancelled_error_of_its_input() -> None:
    """It does not claim that the session was closed."""

    async def requests() -> AsyncIterator[str]:
        yield "A dog"
        raise asyncio.CancelledError

    async with world() as (veo, _):
        outcomes: list[Any] = []
        with pytest.raises(asyncio.CancelledError):  # noqa: PT012  # the loop itself raises
            async for outcome in veo.map(requests()):
                outcomes.append(outcome)  # noqa: PERF401  # those before the error count, too
        assert [type(outcome) for outcome in outcomes] == [Done]
