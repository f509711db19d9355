"""Run a program in a pseudo-terminal, as a user who sits in front of it."""

import asyncio
import os
import re
import struct
from pathlib import Path

from veo_async.simulator import Simulator

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


async def run_in_terminal(
    *command: str, cwd: Path, sim: Simulator, columns: int = 100, lines: int = 30, exits: int = 0
) -> str:
    """Run *command* in a terminal of this size and return everything it has drawn, without control sequences."""
    import fcntl  # these do not exist on Windows
    import pty
    import termios

    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key, "TERM": "xterm-256color"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    drawn = await asyncio.get_running_loop().run_in_executor(None, _read_all, screen)
    assert await process.wait() == exits, drawn
    return _CONTROL.sub("", drawn)


def _read_all(descriptor: int) -> str:
    """Read until the program has closed the terminal."""
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # how Linux reports the end of a pseudo-terminal
        pass
    finally:
        os.close(descriptor)
    return b"".join(parts).decode()
