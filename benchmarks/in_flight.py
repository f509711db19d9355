"""Many jobs at the same time: CPU per poll, CPU per job, memory, connections, and the lag of the event loop.

Real sockets. The provider (`_provider.py`) has its own process and, on a machine with two cores, its own core. All jobs
are created, at up to 1,000 per second.

*A poll*: `_poll_slices.py`, over TCP and TLS. Clients take turns in slices within one process. A ratio is the median of
the ratios of neighbouring slices.

*A whole job*: `_in_flight_clients.py`. Each client runs in a fresh process, in turn, and the CPU time is that of its
process, from before the first job until after the last. The jobs take seconds (real ones take minutes) and are polled
about three times. Peak memory is counted from just before the first job. Ratios are medians over the rounds, because
single rounds differ by some percent. *wall* is divided by the time that sending takes at the rate, plus the longest
task: no client could be faster.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import attrs
import trustme
from _common import Report, main
from _in_flight_clients import Provider, Size, run_client

#: Jobs, their durations, the poll interval, rounds.
FULL = (Size(1000, 3, 6, 1.5, 5), Size(10_000, 18, 25, 6.0, 1))
QUICK = (Size(200, 0.9, 1.8, 0.45, 3),)
#: How much more generous the goals for CPU ratios are in a quick run.
_SLACK = 1.4
#: The goal for CPU per job against *naive*, for each of our clients, and the competent client that is comparable.
_JOB_GOALS = {"ours": ("competent", 1.0), "ledger": ("database", 1.5)}


def compare(report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        chain, trusted = Path(folder, "chain.pem"), Path(folder, "authority.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(chain)
        authority.cert_pem.write_to_path(trusted)
        program = Path(__file__).with_name("_provider.py")
        command = [sys.executable, program, chain]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own
        try:
            assert server.stdout is not None
            tcp_port, tls_port = map(int, server.stdout.readline().split())
            provider = Provider(tcp_port, tls_port, str(trusted))
            _compare_polls(report, provider)
            for size in QUICK if report.is_quick else FULL:
                _compare_jobs(report, provider, size)
        finally:
            server.kill()
            server.wait()


# --- a poll -----------------------------------------------------------------------------------------------------


def _compare_polls(report: Report, provider: Provider) -> None:
    rounds, slice_s = (6, 0.1) if report.is_quick else (40, 0.2)
    for tls in (False, True):
        found = _in_own_process("polls", provider, tls, rounds, slice_s)
        label = f"a poll over {'TLS' if tls else 'TCP'}: CPU"
        bare = median(found["bare"])
        for name, base, text, goal in (
            ("veo", "bare", "/ bare", 0.95),
            ("jobs", "veo", "on the route jobs / veo", 1.1),
        ):
            ratios = [one / other for one, other in zip(found[name], found[base], strict=True)]
            low, _, high = quantiles(ratios)
            spread = f"1.00; quartiles {low:.2f} to {high:.2f}"
            report.add(f"{label} {text}", median(ratios), at_most=goal, slack=_SLACK, digits=2, compared_with=spread)
        report.add(f"{label}, us", median(found["veo"]), compared_with=f"{bare:.0f} bare")


# --- a whole job ------------------------------------------------------------------------------------------------


def _compare_jobs(report: Report, provider: Provider, size: Size) -> None:
    rounds: dict[str, list[dict[str, float]]] = {
        name: [] for name in ("ours", "competent", "naive", "ledger", "database")
    }
    for number in range(size.rounds):
        for name in rounds if number % 2 == 0 else reversed(rounds):
            rounds[name].append(_in_own_process("client", name, provider, size))

    def values(figure: str, name: str) -> list[float]:
        return [result[figure] for result in rounds[name]]

    def others(figure: str, names: Sequence[str], digits: int) -> str:
        return ", ".join(f"{median(values(figure, name)):,.{digits}f} {name}" for name in names)

    label, is_large = f"{size.jobs:,} jobs", size.jobs >= 10_000
    for name, (opponent, goal) in _JOB_GOALS.items():
        with_file = " with SQLite" if name == "ledger" else ""
        own, other, naive = (values("cpu_ms", client) for client in (name, opponent, "naive"))
        ratios = [a / b for a, b in zip(own, naive, strict=True)]
        competent = median(a / b for a, b in zip(other, naive, strict=True))
        report.add(
            f"{label}{with_file}: CPU per job / naive",
            median(ratios),
            at_most=None if is_large else goal,
            slack=_SLACK,
            digits=2,
            compared_with=f"{competent:.2f} competent; {min(ratios):.2f} to {max(ratios):.2f}",
        )
        report.add(
            f"{label}{with_file}: CPU per job, ms",
            median(own),
            digits=2,
            compared_with=others("cpu_ms", (opponent, "naive"), 2),
        )
    names = ("competent", "naive")
    lost, extra = (max(values(figure, "ours") + values(figure, "ledger")) for figure in ("lost", "extra_tasks"))
    report.add(f"{label}: jobs lost", lost, at_most=0, compared_with=others("lost", names, 0))
    report.add(f"{label}: tasks beyond the jobs", extra, at_most=0, compared_with=others("extra_tasks", names, 0))
    for text, figure, digits, goal in (
        ("polls per job", "polls", 1, None),
        ("wall / (sending + longest task)", "wall", 2, 1.3 if is_large else None),
        ("KB per job", "kb_per_job", 1, 3 if is_large else None),
        ("connections", "connections", 0, 128),
        ("loop lag p99, ms", "lag_ms", 1, 20),
    ):
        report.add(
            f"{label}: {text}",
            median(values(figure, "ours")),
            at_most=goal,
            digits=digits,
            compared_with=others(figure, (*names, "ledger"), digits),
            needs_full_size=figure == "lag_ms",
        )


def _in_own_process(what: str, *arguments: Any) -> Any:
    encoded = [json.dumps(attrs.asdict(value) if attrs.has(type(value)) else value) for value in arguments]
    command = [sys.executable, __file__, f"--{what}", *encoded]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)  # noqa: S603  # ourselves


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--client", nargs=3)
    parser.add_argument("--polls", nargs=4)
    chosen = parser.parse_known_args()[0]
    if chosen.client:
        name, provider, size = map(json.loads, chosen.client)
        print(json.dumps(run_client(name, Provider(**provider), Size(**size))))
    elif chosen.polls:
        from _poll_slices import poll_slices  # the other clients must not pay for the import

        provider, tls, rounds, slice_s = map(json.loads, chosen.polls)
        print(json.dumps(poll_slices(Provider(**provider), tls=tls, rounds=rounds, slice_s=slice_s)))
    else:
        main("Many jobs in flight", compare)
