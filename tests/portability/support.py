"""Starts programs on this system, or as if on Windows."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from veo_async.simulator import Simulator

ROOT = Path(__file__).parents[2]
#: The systems on which a program can run here: this one, and Windows as `windows` imitates it.
SYSTEMS = ("this", "windows") if sys.platform == "linux" else ("this",)
on_every_system = pytest.mark.parametrize("system", SYSTEMS)
#: For what only the imitation can show.
imitated = pytest.mark.skipif(sys.platform != "linux", reason="the imitation of Windows needs Linux")


def command(system: str, module: str, *arguments: object) -> list[str]:
    """Return the command that runs *module* on *system*."""
    imitation = ("tests.portability.windows",) if system == "windows" else ()
    return [sys.executable, "-m", *imitation, module, *map(str, arguments)]


def environment(sim: Simulator | None = None, *, encoding: str = "cp1252") -> dict[str, str]:
    """Return the environment of a program, whose console has *encoding*."""
    values = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "PYTHONUNBUFFERED": "1"}
    if sim is not None:
        values |= {"VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key, "COLUMNS": "200"}
    return values


def start(system: str, name: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start one of `programs`."""
    return subprocess.Popen(
        command(system, "tests.portability.programs", name, *arguments),
        env=environment(),
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def line_of(process: "subprocess.Popen[str]") -> Any:
    """Return the next line that a program reports."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return json.loads(line)


def run(system: str, name: str, *arguments: object) -> Any:
    """Run one of `programs` until it ends, and return the last line that it reports."""
    with start(system, name, *arguments) as process:
        out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]) if out else None
