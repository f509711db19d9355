"""Polling: when tasks are polled, and that a failed poll never ends a job (rows 19, 22, 33 to 39, 87)."""

import asyncio
import logging
from itertools import pairwise
from typing import Any

import pytest

from veo_async import errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done, Failed
from veo_async.ledger import MemoryLedger
from veo_async.simulator import (
    Fault,
    byte_order_mark,
    corrupt_body,
    deep_nesting,
    delay,
    drop_before_accepting,
    duplicate_keys,
    empty_body,
    html_page,
    huge_integer,
    many_headers,
    not_a_number,
    record_flag,
    redirect,
    refuse,
    slow_body,
    tamper,
    truncate,
    unknown_code,
    wrong_types,
)
from veo_async.simulator.faults.mutations import MUTATIONS
from veo_async.types import RouteName

from .ledgers import session_with_ledger
from .support import Clock, VirtualSession, memory, now, world

pytestmark = pytest.mark.veo_virtual_time

RECORD = {"endpoint": "record-info", "times": 3}


def poll_times(sim: Any) -> list[float]:
    """Return when the tasks were polled, in seconds after the first submission."""
    started_at = sim.requests_to()[0].at
    return [round(seen.at - started_at, 3) for seen in sim.requests_to("record-info")]


# --- when tasks are polled --------------------------------------------------------------------------------------


async def test_polls_follow_a_fixed_schedule() -> None:
    """The first poll is due within one and a half intervals, the others one interval apart, the last after the end."""
    async with world(duration_s=60.0) as (veo, sim):
        await veo.generate("A dog")
        first, *rest = poll_times(sim)
        assert 2.5 <= first < 7.5
        assert rest == [round(first + 5.0 * n, 3) for n in range(1, len(rest) + 1)]
        assert rest[-2] < 60.0 <= rest[-1]


async def test_learned_polling_notices_the_end_within_seconds() -> None:
    """Without a fixed interval, a single task is noticed within seconds of its end, with about 20 polls."""
    async with world(duration_s=190.0, session={"poll_every": None}) as (veo, sim):
        clock = Clock()
        await veo.generate("A dog", model="veo3")
        assert 190.0 <= clock() < 202.0
        assert len(poll_times(sim)) <= 20


@pytest.mark.usefixtures("route")
async def test_poll_budget_is_shared_by_all_tasks() -> None:
    """A hundred tasks that are due once a second share five polls per second."""
    async with world(limiter="none", session={"polls_per_second": 5.0, "poll_every": 1.0, "rate": (1000, 1.0)}) as (
        veo,
        sim,
    ):
        jobs = [await veo.submit(f"Dog {i}") for i in range(100)]
        for job in jobs:
            await job.accepted()
        before = len(sim.requests_to("record-info"))
        await asyncio.sleep(20)
        assert 95 <= len(sim.requests_to("record-info")) - before <= 106
        await veo.drain()


@pytest.mark.usefixtures("route")
async def test_hanging_poll_delays_no_other_task() -> None:
    """A record that takes twenty seconds to arrive occupies one worker only."""
    async with world(faults=[delay(20.0, endpoint="record-info", on=1)]) as (veo, _):
        clock = Clock()
        await veo.gather("A dog", "A cat")
        assert clock() < 90


# --- failed polls -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(
    "fault",
    [
        refuse(500, **RECORD),
        refuse(501, form="http", **RECORD),
        html_page(502, **RECORD),
        html_page(200, **RECORD),
        empty_body(**RECORD),
        truncate(**RECORD),
        corrupt_body(**RECORD),
        drop_before_accepting(**RECORD),
        redirect(307, **RECORD),
        byte_order_mark(**RECORD),
        duplicate_keys(**RECORD),
        not_a_number(**RECORD),
        slow_body(1.0, **RECORD),
        many_headers(**RECORD),
        refuse(401, **RECORD),
        refuse(402, **RECORD),
        refuse(404, **RECORD),
        refuse(455, **RECORD),
        unknown_code(**RECORD),
        record_flag("soon", **RECORD),
        record_flag(None, **RECORD),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_job_survives_failed_polls(fault: Fault) -> None:
    """Three failures of any kind in a row delay the job a little; it still completes and is charged once."""
    async with world(faults=[fault]) as (veo, sim):
        clock = Clock()
        job = await veo.submit("A dog")
        await job
        assert 60.0 <= clock() < 60.0 + 75.0
        assert len(sim.charges) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("mutation", sorted(MUTATIONS))
async def test_row_19_wrong_types_in_a_record_end_no_job(mutation: str) -> None:
    """Lists instead of objects, numbers instead of strings, missing values: the job continues until a usable record."""
    async with world(faults=[wrong_types(mutation, endpoint="record-info", times=2)]) as (veo, _):
        outcome = await (await veo.submit("A dog")).finished()
        assert isinstance(outcome, Done)


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("fault", [deep_nesting(**RECORD), huge_integer(**RECORD)], ids=["deep", "huge-integer"])
async def test_row_22_malicious_record_is_a_failed_poll(fault: Fault) -> None:
    """A hundred thousand brackets or a number of ten megabytes raise no RecursionError, and the job continues."""
    async with world(faults=[fault]) as (veo, _):
        await veo.generate("A dog")
        assert veo.statistics().watcher.failed_polls == 3


@pytest.mark.usefixtures("route")
async def test_failed_polls_back_off_for_their_task_only() -> None:
    """The failing task is polled after 2, 4, 8, 16, 32, 60 and 60 s; the other one much more often."""
    async with world(duration_s=400.0, session={"poll_every": None}) as (veo, sim):
        failing = await veo.submit("Sick")
        task_id = await failing.accepted()
        sim.inject(
            tamper(
                lambda record: {"code": 500, "msg": "no"} if _is_of(record, task_id) else record, endpoint="record-info"
            )
        )
        await veo.submit("Well")
        await asyncio.sleep(200)
        polled_at = [s.at for s in sim.requests_to("record-info") if s.query["taskId"] == task_id]
        gaps = [round(b - a, 2) for a, b in pairwise(polled_at)]
        assert gaps == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        others = [s.at for s in sim.requests_to("record-info") if s.query["taskId"] != task_id]
        assert len(others) > 2 * len(polled_at)


async def test_poll_every_bounds_the_delay_after_failed_polls() -> None:
    """A task that is to be polled every five seconds is polled so while its polls fail, too."""
    async with world(duration_s=400.0, session={"poll_every": 5.0}) as (veo, sim):
        job = await veo.submit("A dog")
        await job.accepted()
        sim.inject(refuse(500, endpoint="record-info", times=20))
        await asyncio.sleep(60)
        polled_at = [s.at for s in sim.requests_to("record-info")]
        assert [round(b - a, 2) for a, b in pairwise(polled_at)][:4] == [2.0, 4.0, 5.0, 5.0]
        await job


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("poll_every", [None, 5.0])
@pytest.mark.parametrize("cause", ["network", "provider"])
async def test_outage_slows_all_polls_together_and_its_end_is_noticed_within_ten_seconds(
    cause: str, poll_every: float | None
) -> None:
    """However long the provider was away: a poll every five seconds until then, and within ten seconds all of them."""
    async with world(duration_s=300.0, session={"poll_every": poll_every, "polls_per_second": 8.0}) as (veo, sim):
        jobs = [await veo.submit(f"Dog {number}") for number in range(40)]
        for job in jobs:
            await job.accepted()
        await asyncio.sleep(100)
        is_down = True
        sim.is_offline = cause == "network"
        sim.inject(tamper(lambda body: {"code": 500, "msg": "no"} if is_down else body, endpoint="record-info"))
        polls = veo.statistics().watcher.polls
        await asyncio.sleep(1000)
        assert veo.statistics().watcher.polls - polls <= 1000 / 5 + 40
        assert {job.state for job in jobs} == {JobState.RUNNING}
        sim.is_offline = is_down = False
        await asyncio.sleep(10)
        assert {job.state for job in jobs} == {JobState.READY}


def _is_of(record: Any, task_id: str) -> bool:
    return isinstance(record, dict) and (record.get("data") or {}).get("taskId") == task_id


# --- records that appear late or disappear ----------------------------------------------------------------------


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("form", ["422", "null"])
async def test_row_33_late_record_is_waited_for(form: str) -> None:
    """The provider may answer "record is null" for a minute."""
    async with world(record_delay_s=60.0, record_delay_form=form) as (veo, _):
        clock = Clock()
        await veo.generate("A dog")
        assert clock() <= 130.0


@pytest.mark.usefixtures("route")
async def test_row_33_missing_record_fails_the_job_without_resubmission() -> None:
    """After the grace time the job fails and keeps its task id; its key stays in use, because it may be charged."""
    async with world(record_delay_s=1e9) as (veo, sim):
        clock = Clock()
        job = await veo.submit("A dog", key="k")
        outcome = await job.finished()
        assert 90.0 <= clock() <= 130.0
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, errors.RecordNotFound)
        assert outcome.error.task_id == job.task_id
        again = await veo.submit("A dog", key="k")
        assert await again.finished() is outcome
        assert len(sim.requests_to()) == 1


async def test_row_34_record_older_than_fourteen_days_expires_the_job(route: RouteName) -> None:
    """The job becomes `EXPIRED`, and submitting its key again sends nothing."""

    class Later(VirtualSession):
        def _wall_clock(self) -> float:
            return now() + 15 * 86400.0

    sim, ledger = memory(duration_s=100.0), MemoryLedger()
    async with session_with_ledger(sim, ledger, kind=VirtualSession) as veo:
        await (await veo.submit("A dog [stuck]", key="k")).accepted()
    sim.advance(15 * 86400.0)
    if route == "jobs":  # what this route says about old records is not documented, so the simulator still has it
        sim.inject(refuse(422, "Temporarily supports records within 14 days.", endpoint="record-info"))
    async with session_with_ledger(sim, ledger, kind=Later) as veo:
        job = await veo.submit("A dog [stuck]", key="k")
        with pytest.raises(errors.RecordExpired):
            await job
        assert job.state is JobState.EXPIRED
        assert (await veo.submit("A dog [stuck]", key="k")).task_id == job.task_id
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_young_task_does_not_expire() -> None:
    """The response "only within 14 days" about a task that is seconds old is a failed poll."""
    fault = refuse(422, "Temporarily supports records within 14 days.", endpoint="record-info", times=5)
    async with world(faults=[fault]) as (veo, sim):
        assert (await veo.generate("A dog")).urls
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
async def test_adopted_task_can_be_expired() -> None:
    """It was created at an unknown time, so the provider is believed."""
    fault = refuse(422, "Temporarily supports records within 14 days.", endpoint="record-info", times=5)
    async with world(faults=[fault]) as (veo, _):
        with pytest.raises(errors.RecordExpired):
            await (await veo.ledger.adopt("4c9a" * 8))


@pytest.mark.usefixtures("route")
async def test_record_of_another_task_is_a_failed_poll() -> None:
    """The job ends with its own clip, although polls in between returned the finished record of another."""
    async with world(duration_s=30.0) as (veo, sim):
        other = await veo.generate("A cat")

        def mixed_up(response: Any) -> Any:
            return {**response, "data": dict(other.record.raw)}

        sim.inject(tamper(mixed_up, times=4, endpoint="record-info"))
        clip = await veo.generate("A dog")
        assert clip.task_id != other.task_id
        assert not set(clip.urls) & set(other.urls)
        assert clip.record.task_id == clip.task_id


@pytest.mark.usefixtures("route")
async def test_row_35_internal_timeout_of_the_record_endpoint_fails_no_task() -> None:
    """Code 500 "Internal Error - Timeout" on a poll is about the poll, not about the task."""
    fault = refuse(500, "Internal Error - Timeout", endpoint="record-info", times=4)
    async with world(faults=[fault]) as (veo, _):
        assert (await veo.generate("A dog")).urls


# --- flags ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("route")
async def test_row_36_success_is_final() -> None:
    """After the clip has been read the task is not polled again, whatever a later record would contain."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog")
        clip = await job
        polls = len(sim.requests_to("record-info"))
        sim.inject(record_flag(0))
        await asyncio.sleep(600)
        assert (await job) == clip
        assert len(sim.requests_to("record-info")) == polls


@pytest.mark.usefixtures("route")
async def test_row_36_failure_after_a_success_without_urls_is_ignored() -> None:
    """Flag 1 without URLs, then flag 3 for a while: the URLs still count when they appear."""
    flap = record_flag(3, on=range(14, 18))
    async with world(faults=[flap], empty_result_s=40.0) as (veo, sim):
        clip = await veo.generate("A dog [empty]")
        assert clip.urls
        assert len(sim.triggered_faults) == 4


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("flag", [2, 3])
async def test_row_36_failure_in_a_single_poll_is_ignored(flag: int) -> None:
    """One poll returns a failure and the next one "running": the job continues and completes."""
    async with world(faults=[record_flag(flag, on=3)]) as (veo, sim):
        assert (await veo.generate("A dog")).urls
        gaps = [round(b - a, 2) for a, b in pairwise(poll_times(sim))]
        assert gaps[2] == 10.0


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(("prompt", "flag"), [("A dog [fail]", 3), ("A dog [flag-2]", 2)])
async def test_row_36_failure_is_confirmed_by_a_second_poll(prompt: str, flag: int) -> None:
    """The second poll follows ten seconds later. The error has the provider's code, and the key may be used again."""
    async with world(may_double=True) as (veo, sim):
        job = await veo.submit(prompt, key="k")
        with pytest.raises(errors.TaskFailed) as caught:
            await job
        assert caught.value.reason_code in (500, 501)
        assert caught.value.task_id == job.task_id
        times = poll_times(sim)
        assert round(times[-1] - times[-2], 2) == 10.0
        assert job.state is JobState.FAILED
        await veo.generate("Another dog", key="k")
        assert flag in (2, 3)


@pytest.mark.usefixtures("route")
async def test_row_37_success_without_urls_is_polled_until_they_appear() -> None:
    """The task is polled every five seconds while the provider still copies the video."""
    async with world(empty_result_s=30.0) as (veo, _):
        clock = Clock()
        assert (await veo.generate("A dog [empty]")).urls
        assert 90.0 <= clock() < 97.0


@pytest.mark.usefixtures("route")
async def test_row_37_success_without_urls_fails_after_five_minutes() -> None:
    """The clip exists and was charged, so submitting its key again sends nothing."""
    async with world(empty_result_s=1e6) as (veo, sim):
        clock = Clock()
        job = await veo.submit("A dog [empty]", key="k")
        with pytest.raises(errors.DownloadFailed):
            await job
        assert 360.0 <= clock() < 375.0
        await (await veo.submit("A dog [empty]", key="k")).finished()
        assert len(sim.requests_to()) == 1


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("dialect", ["real", "quickstart-1", "quickstart-2", "openapi"])
async def test_row_38_urls_are_found_in_every_dialect(dialect: str) -> None:
    """Every documented spelling of the URL list gives the same result."""
    async with world(dialect=dialect) as (veo, _):
        clip = await veo.generate("A dog")
        assert len(clip.urls) == 1
        assert clip.urls[0].startswith("https://")


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("urls", ["[https://a.invalid/1.mp4, https://a.invalid/2.mp4]", '["https://a.invalid/1.mp4"]'])
async def test_row_38_urls_in_a_string_are_a_list(urls: str) -> None:
    """A list inside a string, with quotes or without."""

    def spell(record: Any) -> Any:
        if record["data"].get("response"):
            record["data"]["response"]["resultUrls"] = urls
        return record

    async with world(faults=[tamper(spell, endpoint="record-info")]) as (veo, _):
        clip = await veo.generate("A dog")
        assert clip.urls[0] == "https://a.invalid/1.mp4"


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize("value", [7, None, "later"])
async def test_row_39_unknown_flag_means_running_and_warns_once(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Its meaning is unknown, so the job keeps waiting, and one warning names the flag."""
    with caplog.at_level(logging.WARNING, "veo_async"):
        async with world(faults=[record_flag(value, on=range(1, 5))]) as (veo, _):
            assert (await veo.generate("A dog")).urls
    warned = [record for record in caplog.records if getattr(record, "action", "") == "unknown-flag"]
    assert len(warned) == 1
    assert warned[0].task_id  # type: ignore[attr-defined]


@pytest.mark.usefixtures("route")
async def test_row_87_unknown_fields_and_codes_are_ignored() -> None:
    """More fields in every record and code 599 on one poll: the clip is still delivered."""

    def enrich(record: Any) -> Any:
        return {**record, "trace": {"x": 1}, "data": {**(record.get("data") or {}), "newField": [1, {"a": None}]}}

    faults = [unknown_code(599, endpoint="record-info", on=1), tamper(enrich, endpoint="record-info")]
    async with world(faults=faults) as (veo, _):
        assert (await veo.generate("A dog")).urls
