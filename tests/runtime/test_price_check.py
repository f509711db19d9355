"""What a task costs according to its record, compared with the price table, and what happens after an overcharge."""

import asyncio
import csv
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.internals import engine_of
from veo_async import Done, ExtendRequest, Failed, Refused, VeoSession, errors
from veo_async._ports import Ledger
from veo_async.batch.costs import ModelOnHold
from veo_async.batch.manifest import read_manifest
from veo_async.batch.run import Batch
from veo_async.cli.ledger_text import job_as_dict, timeline_lines
from veo_async.events import CreditsDiffer, JobEvent
from veo_async.ledger import MemoryLedger
from veo_async.providers import provider_named
from veo_async.simulator import MemoryTransport
from veo_async.types import JobState, OnHold, Outcomes

from .ledgers import session_with_ledger
from .support import assert_at_rest, check_joints, let_run, memory, session_on, world

pytestmark = pytest.mark.veo_virtual_time

LITE: dict[str, Any] = {"model": "veo3_lite"}
#: The session of most tests: on the route whose records say what a task costs.
JOBS: dict[str, Any] = {"route": "jobs"}
#: A session that holds the jobs behind the first one.
STOPPING: dict[str, Any] = {**JOBS, "stop_on_overcharge": True, "max_in_flight": 1}


def warnings_in(caplog: pytest.LogCaptureFixture, action: str) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "action", "") == action and record.levelno == logging.WARNING
    ]


def created(sim: MemoryTransport) -> int:
    return sim.count("create-task")


async def test_ignored_tier_is_announced_at_the_first_poll(caplog: pytest.LogCaptureFixture) -> None:
    """Acceptance 15: Lite billed as Fast is an event and a warning with both figures, once per job, while it runs."""
    seen: list[JobEvent] = []
    async with world(tier_ignored=True, session={**JOBS, "on_event": seen.append}) as (veo, _):
        job = await veo.submit("A dog", key="dog", **LITE)
        await job.accepted()
        await asyncio.sleep(10)
        assert job.state is JobState.RUNNING
        differences = [event for event in seen if isinstance(event, CreditsDiffer)]
        assert differences == [CreditsDiffer("dog", 30.0, 60.0)]
        clip = await job
        assert clip.credits_consumed == 60.0
        differences = [event for event in seen if isinstance(event, CreditsDiffer)]
        assert len(differences) == 1
        found = veo.statistics().price_differences
        assert (found.jobs, found.overcharged, dict(found.on_hold)) == (1, 30.0, {})
    text = "the task of job dog costs 60 credits according to the provider, and 30 in the price table"
    assert warnings_in(caplog, "credits-differ") == [text]


async def test_after_an_overcharge_nothing_of_the_model_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    """Acceptance 15: the unsent Lite jobs wait, those submitted later, too; Fast ones behind them are sent."""
    session = {**JOBS, "stop_on_overcharge": True, "max_in_flight": 2}
    async with world(tier_ignored=True, session=session) as (veo, sim):
        lite = [await veo.submit(f"Dog {number}", **LITE) for number in range(5)]
        listening = asyncio.create_task(_events_of(veo, lite[-1].key))
        await lite[1].accepted()
        await asyncio.sleep(10)
        fast = [await veo.submit(f"Cat {number}") for number in range(3)]
        late = await veo.submit("A late dog", **LITE)
        for job in (*fast, *lite[:2]):
            await job
        await asyncio.sleep(3600)
        assert created(sim) == 5
        on_hold = [*lite[2:], late]
        assert {job.state for job in on_hold} == {JobState.QUEUED}
        assert [job.eta for job in on_hold] == [None] * 4
        assert veo.statistics().pause_reason is None
        assert veo.statistics().price_differences.on_hold == {"veo3_lite": 4}
        assert "4 veo3_lite on hold (overcharge)" in str(veo.statistics())
        assert all(isinstance(job.outcome, OnHold) for job in on_hold)
        assert [event async for event in late.events()] == [late.outcome]
        assert (await listening)[-1] == lite[-1].outcome
        check_joints(veo)
        for job in on_hold:
            await job.abandon()
        assert isinstance(late.outcome, Failed)
        assert veo.statistics().price_differences.on_hold == {"veo3_lite": 0}
    assert len(warnings_in(caplog, "hold")) == 1


async def _events_of(veo: VeoSession, key: str) -> list[JobEvent]:
    return [event async for event in veo.job(key).events()]


async def test_waiting_for_a_job_on_hold_raises_both_prices() -> None:
    """At once, for callers that wait already and for later ones; so does a follow-up of it, and its follow-up."""
    async with world(tier_ignored=True, session=STOPPING) as (veo, _):
        await veo.submit("Dog 0", **LITE)
        job = await veo.submit("Dog 1", key="dog", then=[ExtendRequest(prompt="And then"), "1080p"], **LITE)
        with pytest.raises(
            errors.JobOnHold, match="charges 60 credits for veo3_lite, and the price table says 30"
        ) as found:
            await job
        assert (found.value.model, found.value.expected, found.value.consumed) == ("veo3_lite", 30.0, 60.0)
        outcome = await veo.job("dog").finished()
        assert isinstance(outcome, OnHold)
        assert outcome.key == "dog"
        with pytest.raises(errors.JobOnHold):
            await veo.generate("Dog 2", **LITE)
        assert {veo.job(item.key).state for item in veo.jobs()[1:]} == {JobState.QUEUED}


async def test_follow_up_of_an_abandoned_job_on_hold_is_refused() -> None:
    async with world(tier_ignored=True, session=STOPPING) as (veo, _):
        await veo.submit("Dog 0", **LITE)
        job = await veo.submit("Dog 1", key="dog", then=[ExtendRequest(prompt="And then"), "1080p"], **LITE)
        assert isinstance(await job.finished(), OnHold)
        await veo.job("dog").abandon()
        await let_run()
        outcome = await job.finished()
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, errors.SourceFailed)


@pytest.mark.parametrize("ordered", [True, False])
async def test_map_yields_jobs_on_hold_and_ends(ordered: bool) -> None:
    """The next session sends them, and buys nothing twice."""
    sim, ledger = memory(tier_ignored=True), MemoryLedger()
    prompts = [f"Dog {number}" for number in range(6)]
    async with session_with_ledger(sim, ledger, **STOPPING) as veo:
        outcomes = [outcome async for outcome in veo.map(prompts, ordered=ordered, buffersize=2, **LITE)]
        assert Counter(map(type, outcomes)) == {Done: 1, OnHold: 5}
        assert Outcomes(outcomes).summary == "1 done, 5 on hold"
    async with session_with_ledger(sim, ledger, **JOBS) as veo:
        outcomes = [outcome async for outcome in veo.map(prompts, **LITE)]
        assert {type(outcome) for outcome in outcomes} == {Done}
    assert created(sim) == 6
    sim.assert_no_double_charge()


async def test_drain_returns_when_only_jobs_on_hold_remain() -> None:
    """The running task is collected; the others stay queued on the ledger."""
    sim, ledger = memory(tier_ignored=True), MemoryLedger()
    async with session_with_ledger(sim, ledger, **STOPPING) as veo:
        jobs = [await veo.submit(f"Dog {number}", key=f"{number}", **LITE) for number in range(3)]
        await veo.drain()
        assert isinstance(jobs[0].outcome, Done)
        assert [job.state for job in jobs[1:]] == [JobState.QUEUED] * 2
        assert (await ledger_row(veo, "2")).state == JobState.QUEUED
    assert created(sim) == 1


async def test_map_ends_when_jobs_on_hold_fill_the_queue() -> None:
    """They stay in it, so further requests are refused; those of another tenant are not."""
    async with world(tier_ignored=True, session={**STOPPING, "max_queued": 2}) as (veo, _):
        prompts = [f"Dog {number}" for number in range(5)]
        outcomes = [outcome async for outcome in veo.map(prompts, **LITE)]
        assert Counter(map(type, outcomes)) == {Done: 1, OnHold: 2, Refused: 2}
        [error, _] = [outcome.error for outcome in outcomes if isinstance(outcome, Refused)]
        assert isinstance(error, errors.QueueFull)
        assert (error.limit, error.on_hold) == (2, 2)
        assert isinstance(await (await veo.submit("A cat", tenant="other")).finished(), Done)


async def test_list_ends_when_jobs_on_hold_fill_the_queue(tmp_path: Path) -> None:
    """The rows for which there is no room are refused; later they can be run again."""
    rows = "\n".join(f"{number},A dog {number},veo3_lite" for number in range(5))
    manifest = read_manifest(f"key,prompt,model\n{rows}\n".encode(), "csv", provider_named("kie"))
    session = {**STOPPING, "max_queued": 2, "ledger": MemoryLedger()}
    async with world(tier_ignored=True, session=session) as (veo, _):
        report = await Batch(veo, manifest, tmp_path / "out", now=lambda: 0.0).run()
    assert report.counts == {"ready": 1, "on_hold": 2, "refused": 2}
    assert (report.credits, report.reserved) == (30.0, 60.0)
    assert report.on_hold == [ModelOnHold(model="veo3_lite", jobs=2, expected=30.0, consumed=60.0)]


async def test_row_on_hold_stays_in_the_part_of_a_list(tmp_path: Path) -> None:
    """``rejected.csv`` keeps the rows that are still to be sent; only what was charged is in the results."""
    rows = b"key,prompt,model,upgrade\ndog,A dog,veo3_lite,\ncat,A cat,veo3_lite,1080p\n"
    manifest = read_manifest(rows, "csv", provider_named("kie"))
    async with world(tier_ignored=True, session={**STOPPING, "ledger": MemoryLedger()}) as (veo, _):
        await Batch(veo, manifest, tmp_path / "out", now=lambda: 0.0, is_part=True).run()
    text = (tmp_path / "out" / "rejected.csv").read_text("utf-8-sig")
    assert [row["key"] for row in csv.DictReader(text.splitlines())] == ["cat"]
    text = (tmp_path / "out" / "results.csv").read_text("utf-8-sig")
    _, cat = csv.DictReader(text.splitlines())
    assert (cat["status"], cat["credits"], cat["credits_consumed"]) == ("on_hold", "", "")


async def test_two_sessions_with_one_list_do_not_wait_for_each_others_jobs_on_hold(ledger: Ledger) -> None:
    """Each has some jobs on hold, and follows those of the other. Closing one takes nothing from the other."""
    sim = memory(tier_ignored=True)
    first, second = (session_on(sim, ledger=ledger, **STOPPING) for _ in range(2))
    async with second:
        async with first:
            for number in range(6):
                owner = second if number % 2 else first
                await owner.submit(f"Dog {number}", then="1080p", **LITE)
            prompts = [f"Dog {number}" for number in range(6)]
            for veo in (first, second):
                outcomes = [outcome async for outcome in veo.map(prompts, then="1080p", **LITE)]
                assert Counter(map(type, outcomes)) == {Done: 2, OnHold: 4}
        await asyncio.sleep(10)
        assert second.statistics().price_differences.on_hold == {"veo3_lite": 4}
        await second.drain()
    assert created(sim) == 4
    sim.assert_no_double_charge()


async def test_budget_counts_jobs_on_hold_until_they_are_abandoned() -> None:
    """They are reserved, as all queued jobs are."""
    async with world(tier_ignored=True, session={**STOPPING, "budget": 100.0}) as (veo, _):
        jobs = [await veo.submit(f"Dog {number}", **LITE) for number in range(3)]
        await veo.drain()
        assert veo.statistics().credits.reserved == 90.0
        await jobs[2].abandon()
        assert veo.statistics().credits.reserved == 60.0


async def test_next_session_sends_the_jobs_on_hold() -> None:
    """Only a new session releases them."""
    sim, ledger = memory(tier_ignored=True), MemoryLedger()
    options: dict[str, Any] = {**JOBS, "max_in_flight": 1}
    async with session_with_ledger(sim, ledger, **options, stop_on_overcharge=True) as veo:
        jobs = [await veo.submit(f"Dog {number}", key=f"{number}", **LITE) for number in range(3)]
        await jobs[0]
        await asyncio.sleep(600)
        assert created(sim) == 1
    assert_at_rest(veo)
    async with session_with_ledger(sim, ledger, **options) as veo:
        assert veo.ledger.recovered.queued == 2
        await veo.drain()
    assert created(sim) == 3
    sim.assert_no_double_charge()


async def test_job_on_hold_is_refused_after_its_deadline() -> None:
    async with world(tier_ignored=True, session={**JOBS, "stop_on_overcharge": True, "max_in_flight": 1}) as (veo, _):
        await veo.submit("Dog 0", **LITE)
        late = await veo.submit("Dog 1", send_within=30.0, **LITE)
        assert isinstance(await late.finished(), OnHold)
        await asyncio.sleep(60)
        with pytest.raises(errors.DeadlineExceeded):
            await late


async def test_jobs_on_hold_are_refused_if_the_key_is_rejected() -> None:
    """Like all other queued jobs: nothing can be sent any more."""
    async with world(tier_ignored=True, session={**JOBS, "stop_on_overcharge": True, "max_in_flight": 1}) as (veo, sim):
        jobs = [await veo.submit(f"Dog {number}", **LITE) for number in range(3)]
        await jobs[0]
        sim.revoke_key(sim.api_key)
        fast = await veo.submit("A cat")
        with pytest.raises(errors.Unauthorized):
            await fast
        for job in jobs[1:]:
            with pytest.raises(errors.Unauthorized):
                await job


async def test_figure_is_on_the_ledger_and_not_announced_again() -> None:
    """The step that ends the job writes it; a session that finds it there compares nothing."""
    sim, ledger, seen = memory(tier_ignored=True), MemoryLedger(), list[JobEvent]()
    async with session_with_ledger(sim, ledger, **JOBS) as veo:
        await veo.generate("A dog", key="dog", **LITE)
        row = await ledger_row(veo, "dog")
        assert row.credits_consumed == 60.0
        assert row.credits == 30.0
    async with session_with_ledger(sim, ledger, on_event=seen.append, **JOBS) as veo:
        clip = await veo.generate("A dog", key="dog", **LITE)
        assert clip.credits_consumed == 60.0
        assert veo.statistics().price_differences.jobs == 0
    assert not any(isinstance(event, CreditsDiffer) for event in seen)


async def ledger_row(veo: VeoSession, key: str) -> Any:
    row = await engine_of(veo).ledger.get(key)
    assert row is not None
    return row


@pytest.mark.parametrize("shown", ["kept", "zero"])
async def test_figure_of_a_failed_task_is_announced_and_not_spent(shown: Any) -> None:
    """Whatever its record shows, the credits of a failed task are not counted as spent."""
    seen: list[JobEvent] = []
    session = {**JOBS, "on_event": seen.append, "budget": 100.0}
    async with world(tier_ignored=True, credits_on_failure=shown, session=session) as (veo, _):
        job = await veo.submit("A dog [fail]", key="dog", **LITE)
        assert isinstance(await job.finished(), Failed)
        usage = veo.statistics().credits
        assert (usage.estimated, usage.reserved) == (0.0, 0.0)
    assert CreditsDiffer("dog", 30.0, 60.0) in seen


async def test_lower_figure_holds_nothing() -> None:
    """A task that costs less than the table says is announced, and the jobs behind it are sent."""
    prices = {"veo3_fast": {"720p": 80.0}}
    session = {**JOBS, "prices": prices, "stop_on_overcharge": True, "max_in_flight": 1}
    async with world(session=session) as (veo, sim):
        await veo.gather("A dog", "A cat")
        found = veo.statistics().price_differences
        assert (found.jobs, found.overcharged, dict(found.on_hold)) == (2, 0.0, {})
        assert created(sim) == 2


async def test_expected_and_unknown_prices_are_not_announced() -> None:
    """Nor is a task of the route whose records do not say what it costs."""
    async with world(session={**JOBS, "stop_on_overcharge": True}) as (veo, sim):
        await veo.generate("A dog")
        assert veo.statistics().price_differences.jobs == 0
    async with world(session={**JOBS, "prices": {}, "stop_on_overcharge": True}) as (veo, sim):
        clip = await veo.generate("A dog")
        assert clip.credits_consumed == 60.0
        assert veo.statistics().price_differences.jobs == 0
    async with world(tier_ignored=True, session={"stop_on_overcharge": True}) as (veo, sim):
        clip = await veo.generate("A dog", **LITE)
        assert clip.credits_consumed is None
        assert veo.statistics().price_differences.jobs == 0
        assert created(sim) == 0


async def test_results_of_a_list_have_the_figure(tmp_path: Path) -> None:
    """A column of results.csv, a field of results.jsonl, and a line on the card; a row without a clip has none."""
    rows = b"key,prompt,model\ndog,A dog,veo3_lite\ncat,A cat [fail],veo3_lite\n"
    manifest = read_manifest(rows, "csv", provider_named("kie"))
    async with world(tier_ignored=True, session={**JOBS, "ledger": MemoryLedger()}) as (veo, _):
        await Batch(veo, manifest, tmp_path / "out", now=lambda: 0.0).run()
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        dog, cat = csv.DictReader(file)
    assert (dog["credits"], dog["credits_consumed"], cat["credits_consumed"]) == ("30", "60", "")
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert {line["key"]: line.get("credits_consumed") for line in lines} == {"dog": 60.0, "cat": None}
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<dt>Credits consumed</dt><dd>60</dd>") == 1


async def test_commands_of_the_ledger_show_the_figure() -> None:
    """``jobs --json`` and ``timeline``, which also names the step that wrote it."""
    async with world(tier_ignored=True, session={**JOBS, "ledger": MemoryLedger()}) as (veo, _):
        await veo.generate("A dog", key="dog", **LITE)
        row = await ledger_row(veo, "dog")
        transitions = await engine_of(veo).ledger.transitions("dog")
    assert job_as_dict(row)["credits_consumed"] == 60.0
    lines = timeline_lines(row, transitions)
    assert "credits    30 by the price table, 60 by the provider" in lines
    assert "credits 60" in lines[-1]
