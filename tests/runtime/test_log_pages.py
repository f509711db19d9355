"""Outcomes without a clip link the provider's page with the account's tasks."""

import pytest

from veo_async import Failed, InDoubt, Refused
from veo_async.ledger import MemoryLedger
from veo_async.providers import APIKLEY, KIE
from veo_async.simulator import drop_after_accepting, refuse

from .support import memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time


async def test_refused_task_links_the_log_page() -> None:
    """The user finds its task there, and that it was not charged."""
    async with world() as (veo, _):
        outcome = await (await veo.submit("A dog [refuse-late]")).finished()
        assert isinstance(outcome, Refused | Failed)
        assert outcome.error.task_id is not None
        assert outcome.log_url == KIE.log_page == "https://kie.ai/logs"


async def test_job_in_doubt_links_the_log_page_in_this_session_and_the_next() -> None:
    """Its task id is unknown, and that page is where to look for it."""
    sim, ledger = memory(faults=[drop_after_accepting(on=1)]), MemoryLedger()
    async with session_on(sim, ledger=ledger) as veo:
        outcome = await (await veo.submit("A dog", key="dog")).finished()
        assert isinstance(outcome, InDoubt)
        assert outcome.log_url == KIE.log_page
    async with session_on(sim, ledger=ledger) as veo:
        again = await (await veo.attach("dog")).finished()
        assert isinstance(again, InDoubt)
        assert again.log_url == KIE.log_page


async def test_request_that_created_no_task_links_nothing() -> None:
    """There is nothing to see on the page."""
    async with world(faults=[refuse(422, "not this one")]) as (veo, _):
        outcome = await (await veo.submit("A dog")).finished()
        assert isinstance(outcome, Refused)
        assert outcome.log_url is None


@pytest.mark.parametrize("base_url", ["https://gateway.example", "http://127.0.0.1:9"])
async def test_another_base_url_links_nothing(base_url: str) -> None:
    """Behind it may be a simulator or another provider, whose tasks are not on the page."""
    sim = memory()
    async with session_on(sim, base_url=base_url) as veo:
        outcome = await (await veo.submit("A dog [refuse-late]")).finished()
        assert isinstance(outcome, Refused | Failed)
        assert outcome.log_url is None


async def test_provider_without_a_documented_page_links_nothing() -> None:
    """Apikley documents none."""
    sim = memory()
    async with session_on(sim, provider=APIKLEY) as veo:
        outcome = await (await veo.submit("A dog [refuse-late]")).finished()
        assert isinstance(outcome, Refused | Failed)
        assert outcome.log_url is None
