"""The CPU time of importing `veo_async`, compared with importing its four dependencies.

Two rows: the package alone, and with `VeoSession`, which imports most of it. Names are imported when they are first
used, so the goal counts for the first; the second shows what a program pays that makes clips.

Fresh interpreters, in turn; medians. Compiled files are kept in a folder of this run, so that all imports find theirs,
as they do after an installation.
"""

import os
import subprocess
import sys
import tempfile
from statistics import median

from _common import Report, main

PACKAGE = "import veo_async"
SESSION = "from veo_async import VeoSession"
CORE = "import aiohttp, attrs, cattrs, anyio"
STATEMENTS = (PACKAGE, SESSION, CORE)
_TIMED = "import time; before = time.process_time(); {}; print(time.process_time() - before)"


def cpu_ms(statement: str, compiled: str) -> float:
    """Return the CPU milliseconds of *statement* in a fresh interpreter with its compiled files in *compiled*."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = compiled
    command = [sys.executable, "-c", _TIMED.format(statement)]
    process = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environ)  # noqa: S603  # ourselves
    return 1000 * float(process.stdout)


def measure(rounds: int) -> list[dict[str, float]]:
    """Return the CPU milliseconds of each statement, for each of *rounds* rounds."""
    with tempfile.TemporaryDirectory() as compiled:
        for statement in STATEMENTS:  # compile the files
            cpu_ms(statement, compiled)
        return [{statement: cpu_ms(statement, compiled) for statement in STATEMENTS} for _ in range(rounds)]


def compare(report: Report) -> None:
    rounds = measure(5 if report.is_quick else 25)

    def ratio(statement: str) -> float:
        return median(times[statement] / times[CORE] for times in rounds)

    core = median(times[CORE] for times in rounds)
    report.add(f"CPU of `{PACKAGE}` / of the dependencies", ratio(PACKAGE), at_most=1.15, digits=2)
    report.add(f"CPU of `{SESSION}`", ratio(SESSION), at_most=2.2 if report.is_quick else None, digits=2)
    milliseconds = median(times[SESSION] for times in rounds)
    report.add("  in ms", milliseconds, compared_with=f"{core:.0f}  aiohttp, attrs, cattrs, anyio")


if __name__ == "__main__":
    main("Importing the package", compare)
