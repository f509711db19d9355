"""The CPU time of ``import veo_async``, compared with importing its four dependencies.

Fresh interpreters, alternating; medians. Compiled files are kept in a folder of this run, so that both imports find
theirs, as they do after an installation.
"""

import os
import subprocess
import sys
import tempfile
from statistics import median

from _common import Report, main

OURS, CORE = "import veo_async", "import aiohttp, attrs, cattrs, anyio"
_TIMED = "import time; before = time.process_time(); {}; print(time.process_time() - before)"


def cpu_ms(statement: str, compiled: str) -> float:
    """Return the CPU milliseconds of *statement* in a fresh interpreter with its compiled files in *compiled*."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = compiled
    command = [sys.executable, "-c", _TIMED.format(statement)]
    process = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environ)  # noqa: S603  # ourselves
    return 1000 * float(process.stdout)


def compare(report: Report) -> None:
    with tempfile.TemporaryDirectory() as compiled:
        cpu_ms(OURS, compiled)  # compile the files
        cpu_ms(CORE, compiled)
        pairs = [(cpu_ms(OURS, compiled), cpu_ms(CORE, compiled)) for _ in range(3 if report.is_quick else 25)]
    ours, core = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    ratio = median(ours / core for ours, core in pairs)
    report.add(
        "CPU of the import / of the dependencies",
        ratio,
        at_most=1.15,
        digits=3,
        compared_with="1.000",
        needs_full_size=True,
    )
    report.add("CPU of the import, ms", ours, compared_with=f"{core:.0f}  aiohttp, attrs, cattrs, anyio")


if __name__ == "__main__":
    main("Importing the package", compare)
