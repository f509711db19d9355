"""What ``import veo_async`` costs over importing the four packages it stands on.

Fresh interpreters, in turn, medians. Compiled files are kept in a folder of the run's own, so that all of them are
there for both, as they are after an installation.
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
    """CPU milliseconds of *statement* in a fresh interpreter that keeps its compiled files in *compiled*."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = compiled
    command = [sys.executable, "-c", _TIMED.format(statement)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environ)  # noqa: S603  # ourselves
    return 1000 * float(told.stdout)


def compare(report: Report) -> None:
    with tempfile.TemporaryDirectory() as compiled:
        cpu_ms(OURS, compiled)  # compiles
        cpu_ms(CORE, compiled)
        pairs = [(cpu_ms(OURS, compiled), cpu_ms(CORE, compiled)) for _ in range(3 if report.is_quick else 25)]
    ours, core = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    ratio = median(ours / core for ours, core in pairs)
    report.add("CPU of the import / the core's", ratio, most=1.15, digits=3, beside="1.000", needs_full_size=True)
    report.add("CPU of the import, ms", ours, beside=f"{core:.0f}  aiohttp, attrs, cattrs, anyio")


if __name__ == "__main__":
    main("Importing the package", compare)
