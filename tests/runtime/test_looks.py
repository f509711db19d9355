"""A bad look never ends a job: rows 19, 22, 33 to 39 and 87 of the fault matrix, and when looks are made."""

import asyncio
import logging
from itertools import pairwise
from typing import Any

import pytest

from veo_async import errors
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.outcome import Done, Failed
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

from .support import Clock, world

pytestmark = pytest.mark.veo_virtual_time

LOOK = {"endpoint": "record-info", "times": 3}


def looks(sim: Any) -> list[float]:
    began = sim.requests_to()[0].at
    return [round(seen.at - began, 3) for seen in sim.requests_to("record-info")]


# --- when -------------------------------------------------------------------------------------------------------


async def test_looks_come_when_the_schedule_says() -> None:
    """With a fixed schedule: the first within one and a half gaps, then one gap apart, the last after the end."""
    async with world(duration_s=60.0) as (veo, sim):
        await veo.generate("A dog")
        first, *rest = looks(sim)
        assert 2.5 <= first < 7.5
        assert rest == [round(first + 5.0 * n, 3) for n in range(1, len(rest) + 1)]
        assert rest[-2] < 60.0 <= rest[-1]


async def test_a_learned_schedule_finds_the_end_soon() -> None:
    """Without a fixed gap one task alone is found within seconds of its end."""
    async with world(duration_s=190.0, session={"poll_every": None}) as (veo, sim):
        clock = Clock()
        await veo.generate("A dog", model="veo3")
        assert 190.0 <= clock() < 195.0
        assert len(looks(sim)) < 60


async def test_the_budget_bounds_the_looks_of_all_tasks_together() -> None:
    """A hundred tasks that would be looked at a hundred times a second are looked at five times."""
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


async def test_an_answer_that_hangs_holds_up_no_other_look() -> None:
    """A record that takes twenty seconds to come is one worker's trouble."""
    async with world(faults=[delay(20.0, endpoint="record-info", on=1)]) as (veo, _):
        clock = Clock()
        await veo.gather("A dog", "A cat")
        assert clock() < 90


# --- bad looks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        refuse(500, **LOOK),
        refuse(501, form="http", **LOOK),
        html_page(502, **LOOK),
        html_page(200, **LOOK),
        empty_body(**LOOK),
        truncate(**LOOK),
        corrupt_body(**LOOK),
        drop_before_accepting(**LOOK),
        redirect(307, **LOOK),
        byte_order_mark(**LOOK),
        duplicate_keys(**LOOK),
        not_a_number(**LOOK),
        slow_body(1.0, **LOOK),
        many_headers(**LOOK),
        refuse(401, **LOOK),
        refuse(402, **LOOK),
        refuse(404, **LOOK),
        refuse(455, **LOOK),
        unknown_code(**LOOK),
        record_flag("soon", **LOOK),
        record_flag(None, **LOOK),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}",
)
async def test_a_job_survives_bad_looks(fault: Fault) -> None:
    """Three in a row of any kind: the job is done a little later than it would have been, and alone in that."""
    async with world(faults=[fault]) as (veo, sim):
        clock = Clock()
        job = await veo.submit("A dog")
        await job
        assert 60.0 <= clock() < 60.0 + 75.0
        assert len(sim.charges) == 1


@pytest.mark.parametrize("how", sorted(MUTATIONS))
async def test_row_19_wrong_types_in_a_record_end_nothing(how: str) -> None:
    """Lists for objects, numbers for words, nothing for something: what a look still tells, or nothing."""
    async with world(faults=[wrong_types(how, endpoint="record-info", times=2)]) as (veo, _):
        outcome = await (await veo.submit("A dog")).finished()
        assert isinstance(outcome, Done)


@pytest.mark.parametrize("fault", [deep_nesting(**LOOK), huge_integer(**LOOK)], ids=["deep", "huge-integer"])
async def test_row_22_a_record_made_to_break_readers_is_a_bad_look(fault: Fault) -> None:
    """A hundred thousand brackets or a number of ten megabytes: no RecursionError, and the job goes on."""
    async with world(faults=[fault]) as (veo, _):
        await veo.generate("A dog")
        assert veo.statistics().watcher.failed_polls == 3


async def test_bad_looks_back_off_for_their_task_alone() -> None:
    """2, 4, 8, 16, 32, 60, 60 s between the looks at one; the other keeps its five."""
    async with world(duration_s=400.0) as (veo, sim):
        sick = await veo.submit("Sick")
        task_id = await sick.accepted()
        sim.inject(
            tamper(
                lambda record: {"code": 500, "msg": "no"} if _is_of(record, task_id) else record, endpoint="record-info"
            )
        )
        await veo.submit("Well")
        await asyncio.sleep(200)
        seen = [s.at for s in sim.requests_to("record-info") if s.query["taskId"] == task_id]
        gaps = [round(b - a, 2) for a, b in pairwise(seen)]
        assert gaps == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        others = [s.at for s in sim.requests_to("record-info") if s.query["taskId"] != task_id]
        assert {round(b - a, 2) for a, b in pairwise(others)} == {5.0}


def _is_of(record: Any, task_id: str) -> bool:
    return isinstance(record, dict) and (record.get("data") or {}).get("taskId") == task_id


# --- records that appear late, or go ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["422", "null"])
async def test_row_33_a_record_that_appears_late_is_waited_for(form: str) -> None:
    """A minute of "record is null" is normal."""
    async with world(record_delay_s=60.0, record_delay_form=form) as (veo, _):
        clock = Clock()
        await veo.generate("A dog")
        assert clock() <= 130.0


async def test_row_33_a_record_that_never_appears_is_lost_and_not_sent_again() -> None:
    """After the grace time the job ends, keeps its task id, and its key still names it: it may be paid."""
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


async def test_row_34_a_record_older_than_fourteen_days_is_expired() -> None:
    """That is an end of its own, and no leave to send it again."""
    async with world(duration_s=100.0) as (veo, sim):
        job = await veo.submit("A dog [stuck]", key="k")
        await job.accepted()
        sim.advance(15 * 86400.0)
        with pytest.raises(errors.RecordExpired):
            await job
        assert job.state is JobState.EXPIRED
        assert (await veo.submit("A dog [stuck]", key="k")).task_id == job.task_id


async def test_row_35_an_internal_timeout_of_the_record_endpoint_is_no_failed_task() -> None:
    """Code 500 "Internal Error - Timeout" for a look says nothing of the task."""
    fault = refuse(500, "Internal Error - Timeout", endpoint="record-info", times=4)
    async with world(faults=[fault]) as (veo, _):
        assert (await veo.generate("A dog")).urls


# --- flags ------------------------------------------------------------------------------------------------------


async def test_row_36_a_success_is_sticky() -> None:
    """Whatever a later record would say: the clip is there, and nobody looks again."""
    async with world() as (veo, sim):
        job = await veo.submit("A dog")
        clip = await job
        seen = len(sim.requests_to("record-info"))
        sim.inject(record_flag(0))
        await asyncio.sleep(600)
        assert (await job) == clip
        assert len(sim.requests_to("record-info")) == seen


async def test_row_36_a_success_without_urls_that_is_taken_back_is_not_believed() -> None:
    """1 without URLs, then 3 for a while: the URLs still count when they come."""
    flap = record_flag(3, on=range(14, 18))
    async with world(faults=[flap], empty_result_s=40.0) as (veo, sim):
        clip = await veo.generate("A dog [empty]")
        assert clip.urls
        assert len(sim.triggered_faults) == 4


@pytest.mark.parametrize("flag", [2, 3])
async def test_row_36_a_failure_that_flaps_is_not_believed(flag: int) -> None:
    """One look that says failed, the next says running: the job goes on to its clip."""
    async with world(faults=[record_flag(flag, on=3)]) as (veo, sim):
        assert (await veo.generate("A dog")).urls
        gaps = [round(b - a, 2) for a, b in pairwise(looks(sim))]
        assert gaps[2] == 10.0


@pytest.mark.parametrize(("prompt", "flag"), [("A dog [fail]", 3), ("A dog [flag-2]", 2)])
async def test_row_36_a_failure_is_confirmed_once_ten_seconds_later(prompt: str, flag: int) -> None:
    """Then it is believed, told with the provider's code, and the key is free again, since it was not charged."""
    async with world(may_double=True) as (veo, sim):
        job = await veo.submit(prompt, key="k")
        with pytest.raises(errors.TaskFailed) as caught:
            await job
        assert caught.value.reason_code in (500, 501)
        assert caught.value.task_id == job.task_id
        seen = looks(sim)
        assert round(seen[-1] - seen[-2], 2) == 10.0
        assert job.state is JobState.FAILED
        await veo.generate("Another dog", key="k")
        assert flag in (2, 3)


async def test_row_37_success_without_urls_is_read_again_until_they_come() -> None:
    """Every five seconds; the copy is still being made somewhere."""
    async with world(empty_result_s=30.0) as (veo, _):
        clock = Clock()
        assert (await veo.generate("A dog [empty]")).urls
        assert 90.0 <= clock() < 97.0


async def test_row_37_success_without_urls_ends_after_five_minutes_and_is_not_paid_twice() -> None:
    """The clip is made and paid: told so, and the key still names it."""
    async with world(empty_result_s=1e6) as (veo, sim):
        clock = Clock()
        job = await veo.submit("A dog [empty]", key="k")
        with pytest.raises(errors.DownloadFailed):
            await job
        assert 360.0 <= clock() < 375.0
        await (await veo.submit("A dog [empty]", key="k")).finished()
        assert len(sim.requests_to()) == 1


@pytest.mark.parametrize("dialect", ["real", "quickstart-1", "quickstart-2", "openapi"])
async def test_row_38_urls_are_found_in_every_spelling(dialect: str) -> None:
    """Whatever form the pages know: the same list comes out."""
    async with world(dialect=dialect) as (veo, _):
        clip = await veo.generate("A dog")
        assert len(clip.urls) == 1
        assert clip.urls[0].startswith("https://")


@pytest.mark.parametrize("urls", ["[https://a.invalid/1.mp4, https://a.invalid/2.mp4]", '["https://a.invalid/1.mp4"]'])
async def test_row_38_urls_as_a_string_are_a_list(urls: str) -> None:
    """A list written into a string, with quotes or without."""

    def spell(record: Any) -> Any:
        if record["data"].get("response"):
            record["data"]["response"]["resultUrls"] = urls
        return record

    async with world(faults=[tamper(spell, endpoint="record-info")]) as (veo, _):
        clip = await veo.generate("A dog")
        assert clip.urls[0] == "https://a.invalid/1.mp4"


@pytest.mark.parametrize("value", [7, None, "later"])
async def test_row_39_an_unknown_flag_is_still_running_and_is_told_once(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows what it means, so the job waits, and one warning names it."""
    with caplog.at_level(logging.WARNING, "veo_async"):
        async with world(faults=[record_flag(value, on=range(1, 5))]) as (veo, _):
            assert (await veo.generate("A dog")).urls
    warned = [record for record in caplog.records if getattr(record, "action", "") == "unknown-flag"]
    assert len(warned) == 1
    assert warned[0].task_id  # type: ignore[attr-defined]


async def test_row_87_fields_and_codes_that_are_new_disturb_nothing() -> None:
    """More fields in a record and code 599 for one look: the clip comes."""

    def enrich(record: Any) -> Any:
        return {**record, "trace": {"x": 1}, "data": {**(record.get("data") or {}), "newField": [1, {"a": None}]}}

    faults = [unknown_code(599, endpoint="record-info", on=1), tamper(enrich, endpoint="record-info")]
    async with world(faults=faults) as (veo, _):
        assert (await veo.generate("A dog")).urls
