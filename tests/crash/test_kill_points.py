"""Processes killed with SIGKILL at named points, around each commit and each network write, and what the next one does.

The provider runs on loopback; ledger file and processes are real. `World.recover` checks after every test that nothing
was charged twice, that every charged task is on the ledger, and that every job is finished, or in doubt with a reason.
"""

from collections import Counter
from pathlib import Path

import pytest

from veo_async.simulator import drop_after_accepting, rate_limited
from veo_async.types import RouteName

from .world import open_world

#: Each test starts several processes and kills one.
pytestmark = [pytest.mark.realtime, pytest.mark.slow, pytest.mark.usefixtures("route")]

ROUTES: tuple[RouteName, ...] = ("veo", "jobs")
OTHER: dict[RouteName, RouteName] = {"veo": "jobs", "jobs": "veo"}
#: The endpoint of each route's records.
RECORD = {"veo": "record-info", "jobs": "job-record"}


async def test_row_48_killed_before_the_intent_is_written_sends_nothing(tmp_path: Path) -> None:
    """A job is on the ledger or it is not. If it is, the next process sends it; if it is not, nothing was sent."""
    async with open_world(tmp_path) as world:
        assert await world.kill_at("submit:before-commit", "a") == {}
        assert (await world.kill_at("submit:after-commit", "a"))["a"].state == "queued"
        rows = await world.kill_at("send:before-commit", "a", "b")
        assert {row.state for row in rows.values()} == {"queued"}
        assert world.posted() == set()
        rows = await world.recover("a", "b")
        assert {key: row.state for key, row in rows.items()} == {"a": "ready", "b": "ready"}
        assert len(world.sim.requests_to()) == 2


@pytest.mark.parametrize("point", ["send:after-commit", "mark:before-write:2", "mark:after-write:2", "post:before"])
async def test_row_49_killed_between_commit_and_first_byte_is_in_doubt(tmp_path: Path, point: str) -> None:
    """The next process cannot know that nothing was sent: it leaves the job in doubt and sends the next one."""
    async with open_world(tmp_path) as world:
        assert (await world.kill_at(point, "a"))["a"].state == "sending"
        rows = await world.recover("a", "b")
        assert {key: row.state for key, row in rows.items()} == {"a": "in_doubt", "b": "ready"}
        assert world.posted() == {"b"}
        assert await world.events("a") == ["submit", "send", "lose"]


@pytest.mark.parametrize("route", ROUTES)
async def test_row_50_killed_before_the_response_is_bound_by_the_callback(tmp_path: Path, route: RouteName) -> None:
    """The whole request was sent. The callback names the task, and the token in its record proves it."""
    async with open_world(tmp_path) as world:
        assert (await world.kill_at("post:sent", "a", route=route))["a"].state == "sending"
        rows = await world.recover("a", route=OTHER[route])
        assert world.endpoints_of(rows["a"].task_id) == {RECORD[route]}
        assert rows["a"].state == "ready"
        assert await world.events("a") == ["submit", "send", "lose", "bind", "complete"]
        assert len(world.sim.requests_to()) == 1


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("point", ["post:after", "accept:before-commit"])
async def test_row_51_killed_before_the_task_id_is_stored_is_bound_by_the_callback(
    tmp_path: Path, point: str, route: RouteName
) -> None:
    """The task id was received and not stored; the callback contains it again."""
    async with open_world(tmp_path) as world:
        assert (await world.kill_at(point, "a", route=route))["a"].state == "sending"
        rows = await world.recover("a")
        assert rows["a"].state == "ready"
        assert await world.events("a") == ["submit", "send", "lose", "bind", "complete"]
        assert len(world.sim.requests_to()) == 1


async def test_row_51_killed_before_the_task_id_is_stored_without_callbacks_stays_in_doubt(tmp_path: Path) -> None:
    """Nothing can name the task, so the job keeps its token, stays in doubt, and is not sent again."""
    async with open_world(tmp_path, with_callbacks=False) as world:
        await world.kill_at("post:after", "a")
        assert (await world.recover("a"))["a"].state == "in_doubt"
        assert len(world.sim.charges) == 1


async def test_row_52_killed_while_a_task_runs_is_polled_by_the_next_process(tmp_path: Path) -> None:
    """Every process resumes polling until one has stored the clip; the clip on the ledger is not polled again."""
    async with open_world(tmp_path) as world:
        rows = await world.kill_at("accept:after-commit", "a")
        assert (rows["a"].state, rows["a"].task_id) == ("running", world.charged()["a"])
        for point in ("poll:before", "finish:before-write", "complete:before-commit"):
            assert (await world.kill_at(point))["a"].state == "running"
        assert (await world.kill_at("complete:after-commit"))["a"].state == "ready"
        polls = world.sim.count("record-info")
        rows = await world.recover("a")
        assert world.sim.count("record-info") == polls
        assert await world.events("a") == ["submit", "send", "accept", "complete"]
        assert len(world.sim.requests_to()) == 1


@pytest.mark.parametrize("route", ROUTES)
async def test_killed_while_tasks_of_both_routes_run_leaves_each_on_its_own_route(
    tmp_path: Path, route: RouteName
) -> None:
    """Acceptance 7: the next process polls each task where it was created, and creates none, whatever its own route."""
    hour = 3600.0
    async with open_world(tmp_path, duration_s=hour) as world:
        await world.kill_at("accept:after-commit:2", "a", "b", route="veo")
        rows = await world.kill_at("accept:after-commit:2", "c", "d", route="jobs")
        assert {key: (row.state, row.route) for key, row in rows.items()} == {
            "a": ("running", "veo"),
            "b": ("running", "veo"),
            "c": ("running", "jobs"),
            "d": ("running", "jobs"),
        }
        before = len(world.sim.requests)
        await world.kill_at("poll:before:9", route=route)  # all four, some more than once
        world.sim.advance(hour)
        await world.kill_at("complete:before-commit:2", route=OTHER[route])
        rows = await world.recover(route=route)
        for key, created_on in (("a", "veo"), ("b", "veo"), ("c", "jobs"), ("d", "jobs")):
            assert rows[key].state == "ready"
            assert await world.events(key) == ["submit", "send", "accept", "complete"]
            assert world.endpoints_of(rows[key].task_id, after=before) == {RECORD[created_on]}
        assert Counter(request.endpoint for request in world.sim.requests_to()) == {"generate": 2, "create-task": 2}
        assert len(world.sim.charges) == 4
        assert world.sim.double_charges() == ()


async def test_killed_between_storing_and_reporting_a_clip_keeps_the_clip(tmp_path: Path) -> None:
    """A later submission of the same key gets the clip, and nothing is sent."""
    async with open_world(tmp_path) as world:
        assert (await world.kill_at("finish:after-write", "a"))["a"].state == "ready"
        assert (await world.recover("a"))["a"].state == "ready"
        assert len(world.sim.requests_to()) == 1


async def test_killed_around_a_429_requeues_only_what_was_stored(tmp_path: Path) -> None:
    """A 429 that was not stored leaves the job in doubt; one that was stored leaves it queued, to be sent later."""
    async with open_world(tmp_path) as world:
        rows = await world.kill_at("requeue:before-commit", "a", fault=rate_limited(on=1))
        assert rows["a"].state == "sending"
        rows = await world.kill_at("requeue:after-commit", "b", fault=rate_limited(on=1))
        assert (rows["a"].state, rows["b"].state) == ("in_doubt", "queued")
        rows = await world.recover("a", "b")
        assert {key: row.state for key, row in rows.items()} == {"a": "in_doubt", "b": "ready"}
        assert world.charged().keys() == {"b"}


async def test_killed_around_a_lost_response_is_bound_by_the_callback(tmp_path: Path) -> None:
    """A response is lost and then the process, before or after it stored that: the callback binds the job."""
    async with open_world(tmp_path) as world:
        for job, point in (
            ("a", "post:error"),
            ("b", "lose:before-commit"),
            ("c", "lose:after-commit"),
        ):
            rows = await world.kill_at(point, job, fault=drop_after_accepting(on=1))
            assert rows[job].state == ("in_doubt" if point == "lose:after-commit" else "sending")
        rows = await world.recover()
        assert {row.state for row in rows.values()} == {"ready"}
        assert len(world.sim.requests_to()) == 3


async def test_killed_while_taking_over_leaves_the_jobs_to_the_next_process(tmp_path: Path) -> None:
    """A process dies while it takes over the jobs of a dead one; the next process takes them over."""
    async with open_world(tmp_path) as world:
        await world.kill_at("post:sent", "a")
        assert (await world.kill_at("changes:before-commit"))["a"].state == "sending"
        assert (await world.kill_at("changes:after-commit"))["a"].state == "in_doubt"
        assert (await world.recover())["a"].state == "ready"
        assert await world.events("a") == ["submit", "send", "lose", "bind", "complete"]


async def test_killed_while_binding_binds_exactly_once(tmp_path: Path) -> None:
    """A proven hint that was not stored is processed again; one that was stored is not."""
    async with open_world(tmp_path) as world:
        rows = await world.kill_at("bind:before-commit", "a", fault=drop_after_accepting(on=1))
        assert rows["a"].state == "in_doubt"
        assert (await world.kill_at("bind:after-commit"))["a"].state == "running"
        assert (await world.recover())["a"].state == "ready"
        assert await world.events("a") == ["submit", "send", "lose", "bind", "complete"]


async def test_row_71_killed_with_a_permit_costs_one_place_in_one_window(tmp_path: Path) -> None:
    """A process that was permitted to send and never did uses up one place of one rate-limit window, and no more."""
    limit, window_s = 3, 4.0
    async with open_world(tmp_path, rate=(limit, window_s)) as world:
        rows = await world.kill_at("post:before", "a")
        reserved_at = rows["a"].sent_at
        assert reserved_at is not None
        await world.recover("b", "c", "d", "e")
        sent = [request.at - reserved_at for request in world.sim.requests_to()]
        assert len(sent) == 4
        assert all(request.fault == "" for request in world.sim.requests_to())
        assert [at < window_s for at in sent] == [True, True, False, False]
        assert sent[2] < window_s + 2.0
