"""The CPU time of importing `veo_async`, compared with importing its four dependencies.

Three rows: the package alone, the package with `VeoSession`, and both with the first session constructed, which
imports the rest. The goal counts for the second: it is what every program writes.

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
CONSTRUCTED = f"{SESSION}; VeoSession('k' * 32)"
CORE = "import aiohttp, attrs, cattrs, anyio"
STATEMENTS = (PACKAGE, SESSION, CONSTRUCTED, CORE)
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
    report.add("CPU of `import veo_async` / of the dependencies", ratio(PACKAGE), digits=3)
    # A few runs are not precise; they still show that the rest of the library is imported too.
    max_ratio = 1.35 if report.is_quick else 1.15
    report.add(f"CPU of `{SESSION}`", ratio(SESSION), at_most=max_ratio, digits=3)
    report.add("the same, and the first session", ratio(CONSTRUCTED), digits=3)
    for label, statement in (("the session", SESSION), ("the first session", CONSTRUCTED)):
        compared_with = f"{core:.0f}  aiohttp, attrs, cattrs, anyio"
        report.add(f"CPU of {label}, ms", median(times[statement] for times in rounds), compared_with=compared_with)


if __name__ == "__main__":
    main("Importing the package", compare)
