"""Simulate batches of jobs under faults of the network, the provider, the ledger and callbacks; sessions are killed.

Every session draws its route. Everything is drawn from seeds and runs in virtual time, so every failure can be
reproduced: its report names the seed and the command that runs it alone. *Safety* is what must never happen: a job
charged twice without a resubmission, a received task id that is not on the ledger, an illegal transition, more
requests than the account allows. *Liveness* is checked once the faults stop: every job finishes, and no job stays in
doubt if its callback was stored. The checks are in `_simulation/invariants.py`.

``--seeds N``  ``--first SEED``  ``--jobs N`` (per batch)  ``--workers N``  ``--seed SEED`` (only this one, in detail)
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
from typing import get_args

from _common import Report
from _simulation import SimulationResult, simulate

from veo_async.types import RouteName

JOBS = 300


def _prepare_worker() -> None:
    logging.disable(logging.CRITICAL)  # the injected faults fill the log
    gc.collect()
    gc.freeze()  # imported modules stay, so the collector need not walk through them in every simulation


def results(seeds: range, *, jobs: int, workers: int) -> Iterator[SimulationResult]:
    """Yield the result of every seed, in order."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker) as pool:
        yield from pool.map(partial(simulate, jobs=jobs), seeds, chunksize=5)


def describe(result: SimulationResult, jobs: int) -> str:
    """Return what went wrong with one seed, and the command that reproduces it."""
    found = [f"  safety: {text}" for text in result.violations]
    found += [f"  liveness: {text}" for text in result.unfinished]
    more = [f"  and {len(found) - 10} more"] if len(found) > 10 else []
    command = f"python benchmarks/simulate.py --seed {result.seed} --jobs {jobs}"
    return "\n".join([f"seed {result.seed}: {command}", *found[:10], *more])


def compare(report: Report, seeds: range, *, jobs: int, workers: int) -> None:
    began = time.monotonic()  # noqa: TID251  # real seconds
    found = list(results(seeds, jobs=jobs, workers=workers))
    elapsed_s = time.monotonic() - began  # noqa: TID251  # real seconds
    for result in found:
        if result.has_failed:
            print(describe(result, jobs))
    report.add("batches", len(found), at_least=len(seeds))
    report.add("  jobs per batch", jobs)
    report.add("charges", sum(result.charges for result in found))
    for route in get_args(RouteName):
        report.add(f"  on the route {route}", sum(result.charges_by_route[route] for result in found), at_least=1)
    report.add("sessions", sum(result.sessions for result in found))
    report.add("  killed", sum(result.kills for result in found))
    report.add("jobs in doubt", sum(result.in_doubt for result in found))
    report.add("  bound to their task by a callback", sum(result.bound for result in found))
    report.add("batches with a safety violation", sum(bool(result.violations) for result in found), at_most=0)
    report.add("batches with an unfinished job", sum(bool(result.unfinished) for result in found), at_most=0)
    report.add("seconds", elapsed_s, digits=1)
    report.add("  simulated seconds per second", sum(result.virtual_s for result in found) / elapsed_s)


def run_one(seed: int, jobs: int) -> int:
    """Run one seed, print its result in detail, and return the exit status."""
    result = simulate(seed, jobs)
    print(result.conditions)
    print(f"{result.sessions} sessions, {result.kills} killed, {result.in_doubt} jobs in doubt, {result.digest}")
    print(describe(result, jobs))
    return 1 if result.has_failed else 0


def main() -> None:
    title = "Batches under random faults"
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="20 seeds")
    parser.add_argument("--seeds", type=int, help="the number of seeds (default: 200)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--seed", type=int, help="run only this seed, and show the log")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"jobs per batch (default: {JOBS})")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        sys.exit(run_one(arguments.seed, arguments.jobs))
    report = Report(title, arguments.quick)
    seeds = range(arguments.first, arguments.first + (arguments.seeds or (20 if arguments.quick else 200)))
    compare(report, seeds, jobs=arguments.jobs, workers=arguments.workers)
    sys.exit(report.show())


if __name__ == "__main__":
    main()
