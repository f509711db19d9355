"""Killed with SIGKILL at each commit and each write to the network, by name; then another process goes on.

A real provider on loopback, a real file, real processes. After each story `World.go_on` has looked that nothing was
paid twice, that every paid task is on the ledger, and that every job is done, or in doubt for a reason that stands
there.
"""

from pathlib import Path

import pytest

from veo_async.simulator import drop_after_accepting, rate_limited

from .world import world

pytestmark = pytest.mark.realtime


async def test_row_48_killed_before_the_intent_is_written(tmp_path: Path) -> None:
    """A job is planned or it is not; one that was planned is sent later, and a plan nobody heard of does no harm."""
    async with world(tmp_path) as here:
        assert await here.kill_at("submit:before-commit", "a") == {}
        assert (await here.kill_at("submit:after-commit", "a"))["a"].state == "queued"
        rows = await here.kill_at("send:before-commit", "a", "b")
        assert {row.state for row in rows.values()} == {"queued"}
        assert here.posted() == set()
        rows = await here.go_on("a", "b")
        assert {key: row.state for key, row in rows.items()} == {"a": "ready", "b": "ready"}
        assert len(here.sim.requests_to()) == 2


@pytest.mark.parametrize("wire", ["send:after-commit", "post:before"])
async def test_row_49_killed_after_the_commit_before_a_byte(tmp_path: Path, wire: str) -> None:
    """Nobody can tell that it was not sent, so it is in doubt and is never sent again by itself; the next job is."""
    async with world(tmp_path) as here:
        assert (await here.kill_at(wire, "a"))["a"].state == "sending"
        rows = await here.go_on("a", "b")
        assert {key: row.state for key, row in rows.items()} == {"a": "in_doubt", "b": "ready"}
        assert here.posted() == {"b"}
        assert await here.events("a") == ["submit", "send", "lose"]


async def test_row_50_killed_after_the_send_before_the_answer(tmp_path: Path) -> None:
    """The whole request has left: the callback names the task, its record proves it by the token."""
    async with world(tmp_path) as here:
        assert (await here.kill_at("post:sent", "a"))["a"].state == "sending"
        rows = await here.go_on("a")
        assert rows["a"].state == "ready"
        assert await here.events("a") == ["submit", "send", "lose", "bind", "complete"]
        assert len(here.sim.requests_to()) == 1


@pytest.mark.parametrize("wire", ["post:after", "accept:before-commit"])
async def test_row_51_killed_after_the_answer_before_the_commit(tmp_path: Path, wire: str) -> None:
    """The task id was heard and not written: the callback brings it again."""
    async with world(tmp_path) as here:
        assert (await here.kill_at(wire, "a"))["a"].state == "sending"
        rows = await here.go_on("a")
        assert rows["a"].state == "ready"
        assert await here.events("a") == ["submit", "send", "lose", "bind", "complete"]
        assert len(here.sim.requests_to()) == 1


async def test_row_51_without_callbacks_the_doubt_stays(tmp_path: Path) -> None:
    """Nothing can name the task, so it is kept in doubt, with its token, and nothing is paid again."""
    async with world(tmp_path, with_callbacks=False) as here:
        await here.kill_at("post:after", "a")
        assert (await here.go_on("a"))["a"].state == "in_doubt"
        assert len(here.sim.charges) == 1


async def test_row_52_killed_while_tasks_run_and_end(tmp_path: Path) -> None:
    """Each next process watches on; a clip that was seen and not written is seen again, one that was written is not."""
    async with world(tmp_path) as here:
        rows = await here.kill_at("accept:after-commit", "a")
        assert (rows["a"].state, rows["a"].task_id) == ("running", here.paid()["a"])
        for wire in ("poll:before", "finish:before-write", "complete:before-commit"):
            assert (await here.kill_at(wire))["a"].state == "running"
        assert (await here.kill_at("complete:after-commit"))["a"].state == "ready"
        looks = here.sim.count("record-info")
        rows = await here.go_on("a")
        assert here.sim.count("record-info") == looks
        assert await here.events("a") == ["submit", "send", "accept", "complete"]
        assert len(here.sim.requests_to()) == 1


async def test_killed_between_writing_an_end_and_telling_it(tmp_path: Path) -> None:
    """Whoever asks for the key again gets the clip; nothing is sent."""
    async with world(tmp_path) as here:
        assert (await here.kill_at("finish:after-write", "a"))["a"].state == "ready"
        assert (await here.go_on("a"))["a"].state == "ready"
        assert len(here.sim.requests_to()) == 1


async def test_killed_around_a_429(tmp_path: Path) -> None:
    """Refused and not written down is in doubt, for the next process cannot know; written down it waits its turn."""
    async with world(tmp_path) as here:
        rows = await here.kill_at("requeue:before-commit", "a", fault=rate_limited(on=1))
        assert rows["a"].state == "sending"
        rows = await here.kill_at("requeue:after-commit", "b", fault=rate_limited(on=1))
        assert (rows["a"].state, rows["b"].state) == ("in_doubt", "queued")
        rows = await here.go_on("a", "b")
        assert {key: row.state for key, row in rows.items()} == {"a": "in_doubt", "b": "ready"}
        assert here.paid().keys() == {"b"}


async def test_killed_around_a_doubt(tmp_path: Path) -> None:
    """An answer is lost, and then the process: before and after it could say so the job is bound by its callback."""
    async with world(tmp_path) as here:
        for job, wire in (
            ("a", "post:error"),
            ("b", "lose:before-commit"),
            ("c", "lose:after-commit"),
        ):
            rows = await here.kill_at(wire, job, fault=drop_after_accepting(on=1))
            assert rows[job].state == ("in_doubt" if wire == "lose:after-commit" else "sending")
        rows = await here.go_on()
        assert {row.state for row in rows.values()} == {"ready"}
        assert len(here.sim.requests_to()) == 3


async def test_killed_while_taking_over(tmp_path: Path) -> None:
    """A process that dies over the estate of a dead one leaves it to the next."""
    async with world(tmp_path) as here:
        await here.kill_at("post:sent", "a")
        assert (await here.kill_at("changes:before-commit"))["a"].state == "sending"
        assert (await here.kill_at("changes:after-commit"))["a"].state == "in_doubt"
        assert (await here.go_on())["a"].state == "ready"
        assert await here.events("a") == ["submit", "send", "lose", "bind", "complete"]


async def test_killed_while_binding(tmp_path: Path) -> None:
    """A hint that was proven and not acted upon is heard again; one that was acted upon is not acted upon twice."""
    async with world(tmp_path) as here:
        rows = await here.kill_at("bind:before-commit", "a", fault=drop_after_accepting(on=1))
        assert rows["a"].state == "in_doubt"
        assert (await here.kill_at("bind:after-commit"))["a"].state == "running"
        assert (await here.go_on())["a"].state == "ready"
        assert await here.events("a") == ["submit", "send", "lose", "bind", "complete"]


async def test_row_71_a_permit_dies_with_its_holder(tmp_path: Path) -> None:
    """It had the gate's word and the ledger's, and never sent: that costs one place of one window, and no more."""
    limit, window_s = 3, 4.0
    async with world(tmp_path, rate=(limit, window_s)) as here:
        rows = await here.kill_at("post:before", "a")
        reserved_at = rows["a"].sent_at
        assert reserved_at is not None
        await here.go_on("b", "c", "d", "e")
        sent = [seen.at - reserved_at for seen in here.sim.requests_to()]
        assert len(sent) == 4
        assert all(seen.fault == "" for seen in here.sim.requests_to())
        assert [at < window_s for at in sent] == [True, True, False, False]
        assert sent[2] < window_s + 2.0
