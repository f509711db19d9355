"""Lists that are run while the provider's ``veo`` route closes: whole processes, sockets, and a ledger file.

The processes run in a fast event loop, so that the two minutes between two 404s take four seconds.
"""

import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.fast_clock import SPEED
from tests.programs import read_until, run_fast, started_fast
from veo_async._rules.route_choice import MIN_GAP_S
from veo_async.ledger import JobRow, SqliteLedger
from veo_async.simulator import Simulator

pytestmark = [pytest.mark.slow, pytest.mark.realtime]

CHANGED = "The veo route is gone (404): new clips are made on the jobs route. Still polled on veo: "
#: What a run prints about its route, in this order.
STORY = ("Paused: the veo route responds with 404.", CHANGED)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return a file that runs the command line."""
    file = tmp_path / "command.py"
    file.write_text("from veo_async.cli import run\nrun()\n")
    return file


def write_list(folder: Path, rows: int) -> str:
    lines = ["key,prompt", *(f"clip-{n:03},A dog number {n}" for n in range(rows))]
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return "list.csv"


def prompts_paid_for(sim: Simulator) -> Counter[str]:
    return Counter(charge.body.get("input", charge.body)["prompt"] for charge in sim.charges)


async def rows_of(folder: Path) -> list[JobRow]:
    ledger = await SqliteLedger(folder / "list-out" / "ledger.db").open(None)
    try:
        return await ledger.jobs()
    finally:
        await ledger.close()


def assert_polled_on_its_own_route(sim: Simulator, rows: list[JobRow]) -> None:
    polled = Counter((request.query.get("taskId"), request.endpoint) for request in sim.requests)
    for row in rows:
        own, other = ("record-info", "job-record") if row.route == "veo" else ("job-record", "record-info")
        assert polled[row.task_id, own] > 0
        assert polled[row.task_id, other] == 0


def assert_in_this_order(texts: tuple[str, ...], output: str) -> None:
    places = [output.index(text) for text in texts]
    assert places == sorted(places)


async def test_list_of_a_hundred_on_auto_is_complete_although_the_veo_route_closes(
    tmp_path: Path, program: Path
) -> None:
    """Each clip is paid for once, tasks on veo are collected there, and the output says what happened and why.

    The same list again, on any route, costs nothing.
    """
    rows, on_veo = 100, 50
    source = write_list(tmp_path, rows)
    async with Simulator(speed=SPEED, client_speed=SPEED, old_route="read-only", old_route_after=on_veo) as sim:
        output = await run_fast(program, "batch", source, "--route", "auto", sim=sim, cwd=tmp_path)
        assert_in_this_order((*STORY, "100 saved;", "Next time, --route jobs saves the wait of two minutes."), output)
        assert prompts_paid_for(sim) == {f"A dog number {n}": 1 for n in range(rows)}
        assert sim.double_charges() == ()
        assert len(list((tmp_path / "list-out").glob("*.mp4"))) == rows
        jobs = await rows_of(tmp_path)
        assert Counter((row.state, row.route) for row in jobs) == {
            ("saved", "veo"): on_veo,
            ("saved", "jobs"): rows - on_veo,
        }
        assert_polled_on_its_own_route(sim, jobs)
        moved = next(row.key for row in jobs if row.route == "jobs")
        timeline = await run_fast(program, "timeline", "list-out/ledger.db", moved, sim=sim, cwd=tmp_path)
        assert re.search(r"queued → sending  \(attempt 1, token \w+, route jobs\)", timeline)
        tried = [request.at for request in sim.requests if request.endpoint == "generate"][on_veo:]
        assert tried[-1] - tried[0] >= MIN_GAP_S
        sent = len(sim.requests_to())
        for route in ("jobs", "auto", "veo"):
            output = await run_fast(program, "batch", source, "--route", route, sim=sim, cwd=tmp_path)
            assert "100 saved;" in output
        assert len(sim.requests_to()) == sent
        assert len(sim.charges) == rows


async def test_tasks_whose_records_are_gone_with_the_veo_route_stay_on_the_ledger(
    tmp_path: Path, program: Path
) -> None:
    """The others are made on jobs; once the records can be read again, the printed command collects the rest."""
    rows, on_veo = 30, 10
    source = write_list(tmp_path, rows)
    # A clip takes longer than a slow computer needs to submit the list and to pause for two minutes.
    options = {"duration_s": 600.0, "old_route": "gone", "old_route_after": on_veo}
    async with Simulator(speed=SPEED, client_speed=SPEED, **options) as sim:
        process = await started_fast(
            program, "batch", source, "--route", "auto", "--stop-timeout", "30", sim=sim, cwd=tmp_path
        )
        assert await read_until(process, f"{CHANGED}{on_veo} clips.".encode())
        assert await read_until(process, f"[{rows - on_veo}/{rows}]".encode())
        process.send_signal(signal.SIGINT)
        output = (await process.communicate())[0].decode()
        assert process.returncode == 5
        assert f"{rows - on_veo} saved, {on_veo} running;" in output
        assert f"Still running on veo: {on_veo} clips." in output
        [options_to_continue] = re.findall(r"Next: veo-async (.*?)   \(continues", output)
        assert options_to_continue.endswith("--route jobs")
        left = [row for row in await rows_of(tmp_path) if row.state == "running"]
        assert {row.route for row in left} == {"veo"}
        assert {row.task_id for row in left} == {id_ for id_, task in sim.tasks.items() if task.route == "veo"}
        sim.open_old_route()
        output = await run_fast(program, *options_to_continue.split(), sim=sim, cwd=tmp_path)
        assert f"{rows} saved;" in output
        assert prompts_paid_for(sim) == {f"A dog number {n}": 1 for n in range(rows)}
        assert sim.double_charges() == ()


async def test_list_on_a_route_that_is_gone_names_the_command_that_makes_its_clips(
    tmp_path: Path, program: Path
) -> None:
    """Nothing was charged; that command makes all of them."""
    source = write_list(tmp_path, 3)
    async with Simulator(speed=SPEED, client_speed=SPEED, old_route="gone") as sim:
        output = await run_fast(program, "batch", source, "--route=veo", sim=sim, cwd=tmp_path, exits=3)
        assert "3 refused; about 0 credits spent" in output
        [options] = re.findall(r"Next: veo-async (.*?)   \(makes the refused clips on the other route\)", output)
        assert options == f"batch {source} --route jobs"
        assert sim.charges == ()
        assert "3 saved;" in await run_fast(program, *options.split(), sim=sim, cwd=tmp_path)
        assert len(sim.charges) == 3


async def test_summary_for_programs_names_the_route(tmp_path: Path, program: Path) -> None:
    """The one of new requests at the end, and whether it has changed."""
    source = write_list(tmp_path, 2)
    async with Simulator(speed=SPEED, client_speed=SPEED, old_route="gone") as sim:
        output = await run_fast(program, "batch", source, "--route", "auto", "--json", sim=sim, cwd=tmp_path)
        assert '"route": "jobs", "is_route_changed": true' in output.splitlines()[-1]
