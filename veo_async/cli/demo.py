"""A list of clips against a simulator in this very process, with trouble on purpose: no key, no network, no cost.

What is shown is the real thing: the batch room, a session on a ledger file, sockets, files. Only the clock is not: the
loop that all of it runs in lives `SPEED` times as fast, so that minutes of rendering pass in seconds.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from veo_async import VeoSession
from veo_async._base.run_blocking import run_blocking
from veo_async._wire import KIE
from veo_async.batch.contact_sheet import INSTALL_MEDIA_EXTRA
from veo_async.batch.manifest import Manifest, read_manifest
from veo_async.batch.results import make_folder
from veo_async.batch.run import Batch, Report
from veo_async.simulator import Simulator, drop_after_accepting, rate_limited
from veo_async.simulator.fast_loop import fast_loop

from .batch import RowReporter, batch_progress
from .exit_codes import ALL_DONE, ERROR
from .ledger_commands import open_for_repair
from .output import REFRESH_S, Reporter, live_progress, reporting
from .progress import counts_of
from .progress_source import RATE
from .receiver import free_socket, receiving

#: Simulated seconds in a real one.
SPEED = 15.0

LIST = """\
key,prompt,aspect_ratio
surfing-dog,"A dog surfing at dusk, slow motion",16:9
lantern-boat,A paper boat with a lantern drifts through a flooded street at night,16:9
city-wakes,"Time lapse of a city waking up, seen from a rooftop garden",16:9
tea-steam,"Steam curls from a cup of tea, macro, morning light",9:16
fox-in-snow,"A fox listens, then dives head first into deep snow",16:9
somebody-famous,Somebody famous sells you shoes [refuse],16:9
old-projector,An old projector starts; dust dances in its beam,9:16
orange-tree,An orange tree grows from seed to fruit in eight seconds,16:9
moon-violin,"A violinist plays alone on the moon, earthrise behind her",16:9
"""

#: In the order of the requests: another program has used up the account just now; an answer gets lost.
FAULTS = (rate_limited(on=range(4, 7), retry_after=4), drop_after_accepting(on=10))


def run_demo(out: Path, console: Console) -> int:
    """Make all clips under *out*; the exit code says whether everything went as it should."""
    with asyncio.Runner(loop_factory=fast_loop(SPEED)) as runner:
        return runner.run(_demo(out, console))


async def _demo(out: Path, console: Console) -> int:
    manifest = read_manifest(LIST.encode(), "csv", KIE)
    ledger = out / "demo.db"
    await run_blocking(_make_room, out, ledger)
    console.print(f"{len(manifest.rows)} clips on the embedded simulator, at {SPEED:g} times the speed of life;")
    console.print("some things go wrong on purpose.\n")
    async with Simulator(seed=7, faults=FAULTS) as sim:
        with reporting(console, as_json=False) as teller:
            report = await _run(sim, manifest, out, ledger, teller)
    story = await _story(sim, report, ledger)
    return tell(console, report, manifest, out, ledger, story)


async def _run(sim: Simulator, manifest: Manifest, out: Path, ledger: Path, teller: Reporter) -> Report:
    with ExitStack() as stack:
        bound, public_url = free_socket()
        stack.enter_context(bound)
        async with (
            VeoSession(
                sim.api_key, base_url=sim.url, ledger=ledger, account="demo", rate=RATE, public_url=public_url
            ) as veo,
            receiving(veo, bound),
        ):
            run = Batch(veo, manifest, out, now=_clock(), on_result=RowReporter(teller, len(manifest.rows)))
            async with live_progress(teller, lambda: batch_progress(veo, run, None), every_s=REFRESH_S * SPEED):
                return await run.run()


def _make_room(out: Path, ledger: Path) -> None:
    """The demo begins anew each time: its ledger is of a provider that is gone. Clips that are there stay."""
    make_folder(out)
    for ending in ("", "-wal", "-shm", "-journal"):
        ledger.with_name(ledger.name + ending).unlink(missing_ok=True)


def _clock() -> Callable[[], float]:
    """The wall clock now, going on as fast as the loop does: its times stand beside the simulator's on the page."""
    loop = asyncio.get_running_loop()
    ahead_s = time.time() - loop.time()  # noqa: TID251  # the shell's own clock
    return lambda: loop.time() + ahead_s


async def _story(sim: Simulator, report: Report, ledger: Path) -> list[str]:
    """What went wrong and how it was survived, a line each; fewer lines when it was not."""
    fired = [fired.fault.kind for fired in sim.triggered_faults]
    told = []
    if (refusals := fired.count("rate-limited")) and report.counts["failed"] == 0:
        told.append(f"429, {refusals} times: the gate shut for all jobs at once and opened again; none failed by it.")
    if report.counts["refused"] == 1:
        told.append("one prompt was refused: it cost nothing and waits in rejected.csv to be reworded.")
    bound = await _bound(ledger)
    if "drop-after-accepting" in fired and len(bound) == 1 and not sim.double_charges():
        told.append(
            f"the answer to {bound[0]} was lost: it was not sent again; the callback to its own address told which "
            "task is its, so it was paid once."
        )
    return told


async def _bound(ledger: Path) -> list[str]:
    """The jobs whose doubt was ended by evidence."""
    async with open_for_repair(ledger) as book:
        rows = await book.jobs()
        return [row.key for row in rows if "bind" in {step.event for step in await book.transitions(row.key)}]


def tell(console: Console, report: Report, manifest: Manifest, out: Path, ledger: Path, story: list[str]) -> int:
    """What there is now and what went wrong on the way; the exit code."""

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False)

    counts = ", ".join(f"{number} {state}" for state, number in counts_of(report.counts))
    say(f"\n{report.counts['saved']} of {len(manifest.rows)} clips saved under {out}/ ({counts}).\n")
    say("What went wrong on purpose:")
    for line in story:
        say(f"  - {line}")
    say("\nWhat there is now:")
    for file in report.files:
        say(f"  {file}")
    if report.sheet_extra_missing:
        say(INSTALL_MEDIA_EXTRA)
    is_good = report.counts == {"saved": len(manifest.rows) - 1, "refused": 1} and len(story) == len(FAULTS) + 1
    if not is_good:
        say("\nThat is not all that should have come of it. Look at it with: veo-async jobs " + str(ledger))
        return ERROR
    say(f"\nNext: open {report.page}")
    say(f"      veo-async evidence {ledger} KEY      (all that happened to one job)")
    say("      veo-async simulator --speed 60   (a provider of your own to write against)")
    return ALL_DONE
