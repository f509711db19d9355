"""Batches of jobs in hostile worlds, each drawn by a seed: the network, the provider, the ledger, callbacks, and death.

Everything is deterministic and in virtual time, so that a story that goes wrong can be told again: each failure names
its seed and how to run it alone. *Safety* is what must never be: a job paid twice without being asked for, an answered
task id on no ledger, a step off the table of states, more requests than the account takes. *Liveness* is looked at once
the faults have stopped: every job comes to its end, and no doubt is left that a callback could have ended.

``--seeds N``  ``--first SEED``  ``--jobs N`` (in a batch)  ``--workers N``  ``--seed SEED`` (one, alone, in detail)
"""

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from _common import Report
from _simulation import Story, simulate

JOBS = 300


def _prepare() -> None:
    logging.disable(logging.CRITICAL)  # what is logged here is what was ordered
    gc.collect()
    gc.freeze()  # what was imported stays: collections need not walk it in every story


def stories(seeds: range, *, jobs: int, workers: int) -> Iterator[Story]:
    """What became of each seed, in order."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare) as pool:
        yield from pool.map(partial(simulate, jobs=jobs), seeds, chunksize=5)


def how_to(story: Story, jobs: int) -> str:
    """The broken promises of one seed, and how to see them again."""
    told = [*(f"  safety: {each}" for each in story.broken), *(f"  liveness: {each}" for each in story.stuck)]
    more = [f"  and {len(told) - 10} more"] if len(told) > 10 else []
    again = f"python benchmarks/simulate.py --seed {story.seed} --jobs {jobs}"
    return "\n".join([f"seed {story.seed}: {again}", *told[:10], *more])


def compare(report: Report, seeds: range, *, jobs: int, workers: int) -> None:
    began = time.monotonic()  # noqa: TID251  # real seconds
    found = list(stories(seeds, jobs=jobs, workers=workers))
    spent = time.monotonic() - began  # noqa: TID251
    for story in found:
        if story.broken or story.stuck:
            print(how_to(story, jobs))
    report.add("batches", len(found), least=len(seeds))
    report.add("  jobs of each", jobs)
    report.add("charges", sum(story.charges for story in found))
    report.add("sessions", sum(story.lives for story in found))
    report.add("  killed", sum(story.deaths for story in found))
    report.add("doubts", sum(story.in_doubt for story in found))
    report.add("  bound by a callback", sum(story.bound for story in found))
    report.add("batches in which safety was broken", sum(bool(story.broken) for story in found), most=0)
    report.add("batches in which something never ended", sum(bool(story.stuck) for story in found), most=0)
    report.add("seconds", spent, digits=1)
    report.add("  simulated for each", sum(story.virtual_s for story in found) / spent)


def alone(seed: int, jobs: int) -> int:
    """One story in detail; the exit status."""
    story = simulate(seed, jobs)
    print(f"{story.weather}\n{story.lives} sessions, {story.deaths} killed, {story.doubts} doubts, {story.digest}")
    print(how_to(story, jobs))
    return 1 if story.broken or story.stuck else 0


def main() -> None:
    title = "Batches in hostile worlds"
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="20 seeds")
    parser.add_argument("--seeds", type=int, help="how many, 200 if nothing is said")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="this one alone, with everything that is logged")
    parser.add_argument("--jobs", type=int, default=JOBS, help="jobs of a batch")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    given = parser.parse_args()
    if given.seed is not None:
        sys.exit(alone(given.seed, given.jobs))
    report = Report(title, given.quick)
    seeds = range(given.first, given.first + (given.seeds or (20 if given.quick else 200)))
    compare(report, seeds, jobs=given.jobs, workers=given.workers)
    sys.exit(report.show())


if __name__ == "__main__":
    main()
