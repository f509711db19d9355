"""What ``import veo_async`` costs over importing the four packages it stands on. Fresh interpreters, in turn, medians."""

import subprocess
import sys
from statistics import median

from _common import Report, main

OURS, CORE = "import veo_async", "import aiohttp, attrs, cattrs, anyio"
_TIMED = "import time; before = time.process_time(); {}; print(time.process_time() - before)"


def cpu_ms(statement: str) -> float:
    """CPU milliseconds of *statement* in a fresh interpreter."""
    command = [sys.executable, "-c", _TIMED.format(statement)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603  # ourselves
    return 1000 * float(told.stdout)


def compare(report: Report) -> None:
    cpu_ms(OURS)  # writes the .pyc files
    pairs = [(cpu_ms(OURS), cpu_ms(CORE)) for _ in range(3 if report.is_quick else 25)]
    ours, core = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    ratio = median(ours / core for ours, core in pairs)
    report.add("CPU of the import / the core's", ratio, most=1.15, digits=3, beside="1.000", needs_full_size=True)
    report.add("CPU of the import, ms", ours, beside=f"{core:.0f}  aiohttp, attrs, cattrs, anyio")


if __name__ == "__main__":
    main("Importing the package", compare)
