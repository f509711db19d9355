"""Runs whole programs as a user would, in a process of their own."""

import asyncio
import os
import sys
from pathlib import Path

from veo_async.simulator import Simulator

from . import fast_clock


async def run(*command: str, cwd: Path, sim: Simulator | None = None, exits: int = 0) -> str:
    """What *command* prints; it finds *sim* by the environment, and its exit code must be *exits*."""
    environment = {**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "200"}
    if sim is not None:
        environment |= {"VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == exits, output.decode()
    return output.decode()


async def run_fast(program: Path, *arguments: str, sim: Simulator, cwd: Path, exits: int = 0) -> str:
    """The same for a Python file, in the time of a *sim* with the speed of `fast_clock`."""
    return await run(sys.executable, fast_clock.__file__, str(program), *arguments, cwd=cwd, sim=sim, exits=exits)


async def started(
    sim: Simulator, *words: str, cwd: Path, stderr: int = asyncio.subprocess.STDOUT
) -> asyncio.subprocess.Process:
    """A command of ours that runs on by itself."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veo_async", *words),
        cwd=cwd,
        env={**os.environ, "VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def read_until(process: asyncio.subprocess.Process, piece: bytes) -> bytes:
    """Read line by line up to the one that holds *piece*."""
    assert process.stdout is not None
    while piece not in (line := await process.stdout.readline()):
        assert line, f"it ended without {piece!r}"
    return line
