"""Run whole programs in their own process, as a user would."""

import asyncio
import os
import sys
from pathlib import Path

from veo_async.simulator import Simulator

from . import fast_clock


async def run(*command: str, cwd: Path, sim: Simulator | None = None, exits: int = 0) -> str:
    """Run *command* and return its output.

    Args:
        sim: the simulator that the environment variables of the process name.
        exits: the exit code that the process must return.
    """
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
    """Run a Python file on the clock of `fast_clock`; *sim* must have the same speed."""
    return await run(sys.executable, fast_clock.__file__, str(program), *arguments, cwd=cwd, sim=sim, exits=exits)


async def started_fast(program: Path, *arguments: str, sim: Simulator, cwd: Path) -> asyncio.subprocess.Process:
    """Start a Python file like `run_fast` and return its running process."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, fast_clock.__file__, str(program), *arguments),
        cwd=cwd,
        env={**os.environ, "VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def started(
    sim: Simulator, *arguments: str, cwd: Path, stderr: int = asyncio.subprocess.STDOUT
) -> asyncio.subprocess.Process:
    """Start a ``veo-async`` command and return its running process."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veo_async", *arguments),
        cwd=cwd,
        env={**os.environ, "VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def read_until(process: asyncio.subprocess.Process, text: bytes) -> bytes:
    """Read the output line by line until a line contains *text*, and return that line."""
    assert process.stdout is not None
    while text not in (line := await process.stdout.readline()):
        assert line, f"the output ended without {text!r}"
    return line
