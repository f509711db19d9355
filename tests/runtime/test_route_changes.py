"""``route="auto"``: when new requests take the jobs route instead of ``veo``, and what that costs."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from veo_async._rules.lifecycle import JobState
from veo_async._rules.pauses import ROUTE_PROBE_FIRST_S
from veo_async._runtime.job.outcome import Done, InDoubt, Refused
from veo_async.cli.progress import Progress, changes, reason_text, route_text
from veo_async.cli.progress_source import read_progress
from veo_async.errors import InvalidRequest, NotFound, UnsupportedByProvider
from veo_async.events import JobEvent, Paused, RouteChanged
from veo_async.ledger import SqliteLedger
from veo_async.providers import APIKLEY
from veo_async.session import VeoSession
from veo_async.settings import PRICES, Network
from veo_async.simulator import (
    Charge,
    Fault,
    delay,
    drop_after_accepting,
    html_page,
    rate_limited,
    refuse,
    unreachable,
)

from .ledgers import InlineExecutor
from .support import VirtualSession, check_joints, let_run, now, session_on, world

pytestmark = pytest.mark.veo_virtual_time

AUTO: dict[str, Any] = {"route": "auto"}


def prompts(n: int) -> list[str]:
    return [f"A dog, number {i}" for i in range(n)]


def prompt_of(charge: Charge) -> str:
    """Return the prompt of a clip that was paid for, on either route."""
    prompt: str = charge.body.get("input", charge.body)["prompt"]
    return prompt


async def test_two_404s_move_requests_that_were_not_sent_and_nothing_else() -> None:
    """Acceptance 12: running tasks stay on their route; the others are made on the jobs route, each once."""
    async with world(session=AUTO) as (veo, sim):
        before = [await veo.submit(prompt) for prompt in prompts(3)]
        await asyncio.sleep(1.0)
        sim.close_old_route()
        after = [await veo.submit(prompt, key=prompt) for prompt in prompts(8)[3:]]
        await asyncio.sleep(1.0)
        assert veo.statistics().pause_reason == "route-gone"
        assert {job.state for job in after} == {JobState.QUEUED}
        sent = len(sim.requests_to())
        await asyncio.sleep(ROUTE_PROBE_FIRST_S - 5.0)
        assert len(sim.requests_to()) == sent  # until the probe nothing is sent
        await asyncio.sleep(10.0)
        statistics = veo.statistics()
        assert (statistics.route, statistics.is_route_changed, statistics.pause_reason) == ("jobs", True, None)
        assert {job.state for job in (*before, *after)} == {JobState.RUNNING}
        assert "route jobs" in str(statistics)
        check_joints(veo)
        sim.open_old_route()  # so that the tasks that were running there can be read
        clips = [await job for job in (*before, *after)]
        assert [clip.route for clip in clips] == ["veo"] * 3 + ["jobs"] * 5
        assert len(sim.charges) == 8


async def test_route_does_not_move_back() -> None:
    """Also if the old endpoints exist again."""
    async with world(session=AUTO) as (veo, sim):
        sim.close_old_route()
        await veo.gather(*prompts(2))
        sim.open_old_route()
        assert (await veo.generate("Another dog")).route == "jobs"


async def test_route_that_exists_again_at_the_probe_is_kept() -> None:
    """A deployment of the provider costs two minutes, and no clip."""
    async with world(session=AUTO) as (veo, sim):
        sim.close_old_route()
        jobs = [await veo.submit(prompt) for prompt in prompts(30)]
        await asyncio.sleep(60.0)
        sim.open_old_route()
        clips = [await job for job in jobs]
        assert {clip.route for clip in clips} == {"veo"}
        assert not veo.statistics().is_route_changed


async def test_balance_is_read_once_after_the_second_404() -> None:
    """It shows that the API key works; nothing else reads it here."""
    async with world(session=AUTO) as (veo, sim):
        sim.close_old_route()
        await veo.gather(*prompts(3))
        assert sim.count("credit") == 1
        read_at = sim.requests_to("credit")[0].at
        on_veo = [request.at for request in sim.requests_to() if request.endpoint == "generate"]
        assert len(on_veo) == 3  # two at once, and the probe
        assert all(at <= read_at for at in on_veo)


async def test_balance_that_cannot_be_read_moves_nothing_until_it_can() -> None:
    """The next 404 reads it again."""
    async with world(session=AUTO, faults=[refuse(500, endpoint="credit", times=1)]) as (veo, sim):
        sim.close_old_route()
        jobs = [await veo.submit(prompt) for prompt in prompts(2)]
        await asyncio.sleep(ROUTE_PROBE_FIRST_S + 10.0)
        assert (veo.statistics().route, veo.statistics().pause_reason) == ("veo", "route-gone")
        assert {(await job).route for job in jobs} == {"jobs"}
        assert sim.count("credit") == 2


async def test_404s_of_another_server_move_the_route_and_leave_their_own_jobs_in_doubt() -> None:
    """Such a server does not know whether the request was passed on. So its jobs are not repeated."""
    faults = [html_page(404, accepted=False, endpoint="generate", on=n) for n in (1, 2)]
    async with world(session={**AUTO, "rate": (1, 1.0)}, faults=faults) as (veo, sim):
        jobs = [await veo.submit(prompt) for prompt in prompts(5)]
        await veo.drain()
        states = [job.state for job in jobs]
        assert states == [JobState.IN_DOUBT] * 2 + [JobState.READY] * 3
        assert veo.statistics().is_route_changed
        assert len(sim.charges) == 3


@pytest.mark.parametrize(
    "fault",
    [
        refuse(500, endpoint="generate", times=3),
        refuse(422, endpoint="generate", times=3),
        refuse(455, endpoint="generate", times=3),
        rate_limited(endpoint="generate", times=3),
        unreachable(endpoint="generate", times=3),
        drop_after_accepting(endpoint="generate", times=3),
        html_page(502, endpoint="generate", times=3),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_nothing_but_a_404_moves_the_route(fault: Fault) -> None:
    """Acceptance 12: errors, rate limits and lost responses do not."""
    async with world(session={**AUTO, "rate": (1, 1.0)}, faults=[fault]) as (veo, sim):
        jobs = [await veo.submit(prompt) for prompt in prompts(6)]
        await veo.drain()
        assert not veo.statistics().is_route_changed
        assert not any(request.endpoint == "create-task" for request in sim.requests_to())
        assert sum(job.state is JobState.READY for job in jobs) >= 3


async def test_error_of_the_probe_moves_nothing() -> None:
    """One 404, then other errors: the route stays."""
    faults = [refuse(404, endpoint="generate", on=1), refuse(500, endpoint="generate", on=2)]
    async with world(session={**AUTO, "rate": (1, 1.0)}, faults=faults) as (veo, _):
        jobs = [await veo.submit(prompt) for prompt in prompts(4)]
        await veo.drain()
        assert [job.state for job in jobs].count(JobState.IN_DOUBT) == 1
        assert [job.state for job in jobs].count(JobState.READY) == 3
        assert not veo.statistics().is_route_changed


async def test_different_prices_stop_new_clips_instead_of_making_them_on_the_other_route(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and the route is tried again in case it exists again."""
    prices = {"veo": PRICES, "jobs": {}}
    monkeypatch.setattr("veo_async._runtime.sending.route_changes.ROUTE_PRICES", prices)
    async with world(session=AUTO) as (veo, sim):
        sim.close_old_route()
        jobs = [await veo.submit(prompt) for prompt in prompts(2)]
        await asyncio.sleep(3600.0)
        assert {job.state for job in jobs} == {JobState.QUEUED}
        assert veo.statistics().route == "veo"
        assert "other prices" in caplog.text
        sim.open_old_route()
        assert {(await job).route for job in jobs} == {"veo"}


async def test_plain_404_on_a_fixed_route_leaves_the_job_in_doubt_and_logs_the_remedy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The job's own remedy is about what it may have cost."""
    async with world(faults=[html_page(404, accepted=False, endpoint="generate", on=1)]) as (veo, _):
        outcome = await (await veo.submit("A dog")).finished()
        assert isinstance(outcome, InDoubt)
        assert "may have been charged" in str(outcome.error)
        assert "--route jobs" in caplog.text


async def test_change_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    """By a warning, and by an event for each waiting job."""
    events: list[JobEvent] = []
    with caplog.at_level(logging.WARNING):
        async with world(session={**AUTO, "on_event": events.append}) as (veo, sim):
            sim.close_old_route()
            jobs = [await veo.submit(prompt, key=prompt) for prompt in prompts(3)]
            await veo.drain()
    changed = [event for event in events if isinstance(event, RouteChanged)]
    assert {event.key for event in changed} == {job.key for job in jobs}
    assert {(event.before, event.after) for event in changed} == {("veo", "jobs")}
    assert any(isinstance(event, Paused) and event.reason == "route-gone" for event in events)
    assert [record.action for record in caplog.records if "route" in record.action] == ["route-changed"]


async def test_request_that_the_new_route_cannot_express_is_refused_when_the_route_changes() -> None:
    """It could only be sent without its seeds, and would be another clip."""
    async with world(session=AUTO) as (veo, sim):
        sim.close_old_route()
        jobs = [await veo.submit(prompt) for prompt in prompts(2)]
        seeded = await veo.submit("A cat", seeds=11111)
        outcome = await seeded.finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, InvalidRequest)
        assert "seeds" in str(outcome.error)
        assert {(await job).route for job in jobs} == {"jobs"}
        with pytest.raises(InvalidRequest, match="seeds"):
            await veo.submit("Another cat", seeds=11111)


async def test_only_job_is_refused_after_its_second_404() -> None:
    """No other request can confirm the first one; the error names the remedy."""
    async with world(session=AUTO) as (veo, sim):
        sim.close_old_route()
        outcome = await (await veo.submit("A dog")).finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, NotFound)
        assert "--route jobs" in str(outcome.error)
        assert (await veo.generate("A cat")).route == "jobs"


async def test_request_that_may_have_been_charged_is_not_repeated_on_another_route() -> None:
    """The user repeats it, and gets a 404: it is refused, although the others wait for the change."""
    faults = [drop_after_accepting(endpoint="generate", on=1)]
    async with world(session=AUTO, faults=faults) as (veo, sim):
        job = await veo.submit("A cat")
        assert isinstance(await job.finished(), InDoubt)
        sim.close_old_route()
        await job.resubmit()
        others = [await veo.submit(prompt) for prompt in prompts(2)]
        assert {(await other).route for other in others} == {"jobs"}
        assert isinstance(await job.finished(), Refused)


async def test_late_404_after_the_change_takes_the_new_route() -> None:
    """Its request was sent before; it created nothing."""
    slow = [delay(30.0, endpoint="generate", on=n) for n in (1, 2)]
    async with world(session=AUTO, faults=[refuse(404, endpoint="generate", on=3), *slow]) as (veo, sim):
        jobs = [await veo.submit(prompt) for prompt in prompts(4)]
        sim.close_old_route()
        assert {(await job).route for job in jobs} == {"jobs"}


@pytest.mark.parametrize("route", ["veo", None])
async def test_404_on_a_fixed_route_refuses_the_job_and_names_the_other_route(route: Any) -> None:
    """Nothing else changes."""
    async with world(session={"route": route}) as (veo, sim):
        sim.close_old_route()
        outcomes = await veo.gather(*prompts(3))
        assert all(isinstance(outcome, Refused) for outcome in outcomes)
        assert "Network(route='auto') or --route jobs" in str(outcomes[0].error)
        assert veo.statistics().pause_reason is None
        assert len(sim.requests_to()) == 3


async def test_404_of_the_jobs_api_refuses_the_job_and_names_the_other_route() -> None:
    """The error is about the route, not about a task."""
    async with world(session={"route": "jobs"}, jobs_route="off") as (veo, sim):
        [outcome] = await veo.gather("A dog")
        assert isinstance(outcome, Refused)
        assert outcome.reason == "the provider's jobs API does not exist"
        assert "--route veo" in str(outcome.error)
        assert sim.charges == ()


async def test_follow_up_of_a_clip_stays_on_its_route_after_the_change() -> None:
    """It would not find its source on the other one."""
    async with world(session=AUTO) as (veo, sim):
        clip = await veo.generate("A dog")
        sim.close_old_route()
        await veo.gather(*prompts(3)[1:])
        sim.open_old_route()
        assert (await veo.extend(clip, "It runs")).route == "veo"


async def test_interactive_job_alone_among_batch_jobs_does_not_prevent_the_change() -> None:
    """The probe is another job, although this one is the next."""
    async with world(session={**AUTO, "rate": (1, 1.0)}) as (veo, sim):
        sim.close_old_route()
        first = await veo.submit("A dog", priority="interactive")
        await let_run()
        others = [await veo.submit(prompt) for prompt in prompts(4)[1:]]
        began = now()
        assert {(await job).route for job in (first, *others)} == {"jobs"}
        assert now() - began < ROUTE_PROBE_FIRST_S + 90.0


async def test_batch_of_a_hundred_survives_the_end_of_the_route(tmp_path: Path) -> None:
    """No clip is lost, none is paid for twice, the board says what happens, and the same batch again costs nothing."""
    ledger = SqliteLedger(tmp_path / "veo.db", executor=InlineExecutor())
    lines: list[str] = []
    async with world(session={**AUTO, "kind": VirtualSession, "ledger": ledger}) as (veo, sim):
        jobs = [await veo.submit(prompt) for prompt in prompts(100)]
        before: Progress | None = None
        for second in range(300):
            if second == 15:
                sim.close_old_route()
            progress = read_progress(veo, jobs, now=now())
            lines += changes(before, progress)
            before = progress
            await asyncio.sleep(1.0)
        assert [line for line in lines if "route" in line] == [reason_text("route-gone"), route_text(progress)]
        on_veo = sum(job.state is JobState.RUNNING for job in jobs)
        assert 0 < on_veo < 100  # running when the route closed
        sim.open_old_route()
        clips = [await job for job in jobs]
        assert [clip.route for clip in clips].count("veo") == on_veo
        async with session_on(sim, kind=VirtualSession, ledger=ledger, route="jobs") as later:
            again = [await later.generate(prompt) for prompt in prompts(100)]
        assert [clip.task_id for clip in again] == [clip.task_id for clip in clips]
        paid_for = [prompt_of(charge) for charge in sim.charges]
        assert sorted(paid_for) == sorted(prompts(100))


async def test_provider_without_the_jobs_route_is_rejected_before_anything_is_sent() -> None:
    with pytest.raises(UnsupportedByProvider, match="route='auto': is not supported by apikley"):
        VeoSession("k" * 32, network=Network(route="auto"), provider=APIKLEY)


async def test_route_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO_ROUTE", "auto")
    async with world() as (veo, sim):
        sim.close_old_route()
        assert all(isinstance(outcome, Done) for outcome in await veo.gather(*prompts(3)))
        assert veo.statistics().route == "jobs"
