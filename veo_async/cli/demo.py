"""A list of clips against a simulator in this process, with injected faults: no key, no network, no cost.

The batch, the session on a ledger file, the sockets and the files are real. Only the clock is not: the event loop of
the demo runs `SPEED` times as fast, so that minutes of rendering pass in seconds.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, Final

import attrs

from veo_async import VeoSession
from veo_async._base.run_blocking import run_blocking
from veo_async.batch.contact_sheet import INSTALL_MEDIA_EXTRA
from veo_async.batch.manifest import Manifest, read_manifest
from veo_async.batch.results import make_folder, translate_os_errors
from veo_async.batch.run import Batch, Report
from veo_async.errors import UsageError
from veo_async.providers import KIE
from veo_async.settings import Limits, Network, route_from
from veo_async.simulator import Fault, Simulator, drop_after_accepting, rate_limited

from .batch import RowReporter, batch_progress
from .console import console, print_line, print_note
from .exit_codes import ALL_DONE, ERROR
from .formatting import command, format_count, format_number
from .ledger_file import open_ledger
from .output import REFRESH_S, Reporter, live_progress, reporting
from .progress import counts_text
from .progress_source import RATE
from .receiver import free_socket, receiving

#: Simulated seconds per real second.
SPEED = 15.0

LIST = """\
key,prompt,aspect_ratio
surfing-dog,"A dog surfing at dusk, slow motion",16:9
lantern-boat,A paper boat with a lantern drifts through a flooded street at night,16:9
city-wakes,"Timelapse of a city waking up, seen from a rooftop garden",16:9
tea-steam,"Steam curls from a cup of tea, macro, morning light",9:16
fox-in-snow,"A fox listens, then dives head first into deep snow",16:9
celebrity-shoes,A celebrity sells you shoes [refuse],16:9
old-projector,An old projector starts; dust dances in its beam,9:16
orange-tree,An orange tree grows from seed to fruit in eight seconds,16:9
moon-violin,"A violinist plays alone on the moon, earthrise behind her",16:9
"""

#: With ``--route auto`` the ``veo`` route closes after this many clips; those can still be read there.
CLIPS_ON_VEO = 5
_CLOSING: Final[dict[str, Any]] = {"old_route": "read-only", "old_route_after": CLIPS_ON_VEO}


def faults_on(route: str) -> tuple[Fault, Fault]:
    """Return the injected faults: another program has used up the rate limit; a response is lost.

    Where the route closes, the response is lost before that: a callback can then identify its task.
    """
    lost = "A paper boat" if route == "auto" else "An old projector"
    return rate_limited(on=range(4, 7), retry_after=4), drop_after_accepting(prompt=lost, times=1)


@attrs.frozen(kw_only=True)
class DemoRun:
    """A finished demo."""

    folder: Path
    ledger: Path
    manifest: Manifest
    report: Report
    #: What each injected fault did, one line each; a fault that did harm has no line.
    faults_survived: list[str]
    #: The route that was chosen.
    route: str = "veo"

    @property
    def is_as_expected(self) -> bool:
        counts = {"saved": len(self.manifest.rows) - 1, "refused": 1}
        faults = len(faults_on(self.route)) + 1 + (self.route == "auto")
        return self.report.counts == counts and len(self.faults_survived) == faults


async def run_demo(folder: Path, reporter: Reporter | None = None) -> DemoRun:
    """Generate the clips of `LIST` under *folder*, in an event loop that runs `SPEED` times as fast.

    Args:
        reporter: shows the run; by default what fits the terminal.
    """
    manifest = read_manifest(LIST.encode(), "csv", KIE)
    ledger, route = folder / "demo.db", route_from(os.environ)
    await run_blocking(_prepare_folder, folder, ledger)
    clips = format_count(len(manifest.rows), "clip")
    print_note(f"{clips} on the built-in simulator, on the route {route}, at {format_number(SPEED)} times real time;")
    closing = f", and the veo route closes after {CLIPS_ON_VEO} of them" if route == "auto" else ""
    print_note(f"some failures are injected on purpose{closing}.\n")
    async with Simulator(seed=7, faults=faults_on(route), **(_CLOSING if route == "auto" else {})) as sim:
        with nullcontext(reporter) if reporter else reporting(console, as_json=False) as shown:
            report = await _run(sim, manifest, folder, ledger, shown)
    survived = await _faults_survived(sim, report, ledger, route)
    return DemoRun(
        folder=folder, ledger=ledger, manifest=manifest, report=report, faults_survived=survived, route=route
    )


async def _run(sim: Simulator, manifest: Manifest, folder: Path, ledger: Path, reporter: Reporter) -> Report:
    with ExitStack() as stack:
        bound, public_url = free_socket()
        stack.enter_context(bound)
        async with (
            VeoSession(
                sim.api_key,
                base_url=sim.url,
                ledger=ledger,
                account="demo",
                callbacks=public_url,
                limits=Limits(rate=RATE),
                network=Network(trust_env=False),  # the simulator is on this machine
            ) as veo,
            receiving(veo, bound),
        ):
            on_result = RowReporter(reporter, len(manifest.rows), ledger)
            now, to_real_time = _clocks()
            run = Batch(
                veo,
                manifest,
                folder,
                now=now,
                to_real_time=to_real_time,
                on_result=on_result,
                title="Demo",
                for_client=True,
            )
            async with live_progress(reporter, lambda: batch_progress(veo, run, None), every_s=REFRESH_S * SPEED):
                return await run.run()


def _prepare_folder(folder: Path, ledger: Path) -> None:
    """Create *folder* and delete the last demo's ledger, whose simulator no longer exists. Clips are kept."""
    make_folder(folder)
    with translate_os_errors(ledger, UsageError, "; close the programs that have it open"):
        for ending in ("", "-wal", "-shm", "-journal"):
            ledger.with_name(ledger.name + ending).unlink(missing_ok=True)


def _clocks() -> tuple[Callable[[], float], Callable[[float], float]]:
    """Return a clock that starts now and runs as fast as the loop, and what converts its times to the user's."""
    loop = asyncio.get_running_loop()
    started_at, loop_start = time.time(), loop.time()  # noqa: TID251  # the command owns the clock

    def now() -> float:
        return started_at + loop.time() - loop_start

    return now, lambda at: started_at + (at - started_at) / SPEED


async def _faults_survived(sim: Simulator, report: Report, ledger: Path, route: str) -> list[str]:
    rate_limit, lost_response = faults_on(route)
    triggered = [triggered.fault for triggered in sim.triggered_faults]
    lines = []
    if (refusals := triggered.count(rate_limit)) and report.counts["failed"] == 0:
        lines.append(f"429, {refusals} times: all jobs paused together and resumed; none failed.")
    if report.counts["refused"] == 1:
        lines.append("One prompt was refused: not charged; reword it in rejected.csv.")
    bound = await _keys_of_bound_jobs(ledger)
    if lost_response in triggered and len(bound) == 1 and not sim.double_charges():
        lines.append(
            f"The response to {bound[0]} was lost: it was not resent; its callback identified its task, so it was "
            "charged once."
        )
    routes = Counter(task.route for task in sim.tasks.values())
    if route == "auto" and routes["veo"] == CLIPS_ON_VEO and not sim.double_charges():
        lines.append(
            f"The veo route closed: its {CLIPS_ON_VEO} clips were collected there, the other {routes['jobs']} were "
            "made on the jobs route two minutes later."
        )
    return lines


async def _keys_of_bound_jobs(ledger: Path) -> list[str]:
    """Return the keys of the jobs in doubt that evidence has bound to their tasks."""
    async with open_ledger(ledger) as session:
        rows = await session.jobs()
        return [row.key for row in rows if "bind" in {item.event for item in await session.transitions(row.key)}]


def print_result(run: DemoRun) -> int:
    """Print what was saved, what went wrong on purpose, and what to do next; return the exit code."""
    report = run.report
    clips = format_count(len(run.manifest.rows), "clip")
    print_line(f"\n{report.counts['saved']} of {clips} saved under {run.folder}/ ({counts_text(report.counts)}).\n")
    print_line("What went wrong on purpose:")
    for line in run.faults_survived:
        print_line(f"  - {line}")
    print_line("\nOutput:")
    for file in report.files:
        print_line(f"  {file}")
    if report.sheet_extra_missing:
        print_line(INSTALL_MEDIA_EXTRA)
    if not run.is_as_expected:
        print_line(f"\nThe demo did not finish as expected. Inspect it with: {command('jobs', run.ledger)}")
        return ERROR
    print_note(f"\nNext: open {report.page} in a browser")
    print_note(f"      {command('timeline', run.ledger, run.manifest.rows[0].key)}   (the full timeline of one job)")
    print_note(f"      {command('simulator', '--speed', 60)}   (a local stand-in for the provider)")
    return ALL_DONE
