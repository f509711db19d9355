"""Every code block of the README runs, and its tables and diagrams match the code."""

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from veo_async.simulator import Simulator

from .fast_clock import SPEED
from .programs import run, run_fast
from .rules.state_diagram import as_mermaid
from .wire.error_table import as_markdown

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [
    line
    for language, code in BLOCKS
    if language == "console"
    for line in code.splitlines()
    if line.startswith("veo-async ")
]


def test_every_code_block_is_in_a_tested_language() -> None:
    """A block in another language would not be tested here."""
    assert {language for language, _ in BLOCKS} <= {"python", "console", "mermaid"}
    assert len(PYTHON) >= 9


@pytest.mark.parametrize("number", range(len(PYTHON)))
async def test_python_block_runs(number: int, tmp_path: Path) -> None:
    """Each block is a complete program and runs unchanged, on a fast clock, against a simulator."""
    code = PYTHON[number]
    if "def test_" in code:
        (tmp_path / "test_block.py").write_text(code)
        (tmp_path / "conftest.py").write_text('pytest_plugins = ["veo_async.testing"]\n')
        (tmp_path / "pytest.ini").write_text(
            "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        )
        assert "1 passed" in await run(sys.executable, "-m", "pytest", "-q", "test_block.py", cwd=tmp_path)
        return
    (tmp_path / "block.py").write_text(code)
    async with Simulator(speed=SPEED) as sim:
        output = await run_fast(tmp_path / "block.py", cwd=tmp_path, sim=sim)
    sim.assert_no_double_charge()
    assert output.strip()
    assert "Traceback" not in output


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("veo-async simulator")])
async def test_simulator_command(command: str, tmp_path: Path) -> None:
    """Each simulator command of the README starts a simulator."""
    arguments = re.sub(r"--port \d+ ?", "", command).split()[1:]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veo_async", *arguments, "--port", "0"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    process.terminate()
    await process.communicate()
    assert b"The simulator listens on http://127.0.0.1:" in line


async def test_demo_command(tmp_path: Path) -> None:
    """`veo-async demo` saves eight of nine clips as playable files and prints their paths."""
    output = await run(sys.executable, "-m", "veo_async", "demo", cwd=tmp_path)
    clips = sorted((tmp_path / "veo-out").glob("*.mp4"))
    assert len(clips) == 8
    assert all(clip.read_bytes()[4:8] == b"ftyp" for clip in clips)
    assert "8 of 9 clips saved under veo-out/ (8 saved, 1 refused)" in output
    assert all(str(clip.relative_to(tmp_path)) in output for clip in clips)


def test_readme_contains_the_install_and_test_commands() -> None:
    """They are the commands that CI runs."""
    assert "python -m venv .venv && . .venv/bin/activate && pip install -e '.[cli]' && veo-async demo\n" in TEXT
    assert "pip install -e '.[test]' && python -m pytest\n" in TEXT


def test_readme_names_exactly_the_existing_benchmarks() -> None:
    """The table of figures names all benchmarks and no others."""
    existing = {path.name for path in (README.parent / "benchmarks").glob("[a-z]*.py")}
    assert set(re.findall(r"`python benchmarks/(\w+\.py)`", TEXT)) == existing


def test_error_table_matches_the_code() -> None:
    """It is rendered from the table that the tests of the error codes use."""
    assert as_markdown() in TEXT


def test_state_diagram_matches_the_lifecycle_table() -> None:
    """The diagram is generated from the table that the code uses."""
    assert [code for language, code in BLOCKS if language == "mermaid"] == [as_mermaid()]


async def test_commands_succeed_in_the_order_of_the_readme(tmp_path: Path) -> None:
    """A user who runs them one after the other gets exit code 0 each time."""
    lines = [
        line
        for line in COMMANDS
        if re.match(r"veo-async (doctor|generate|upload|batch|resume|jobs|contact-sheet) ", f"{line} ")
    ]
    assert len(lines) == 8
    (tmp_path / "first.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (tmp_path / "prompts.csv").write_text("prompt\nA cat that is not impressed\n")
    async with Simulator(duration_s=0.2) as sim:
        for line in lines:
            await run(sys.executable, "-m", "veo_async", *shlex.split(line)[1:], cwd=tmp_path, sim=sim)
    assert len(sim.charges) == 2
    assert (tmp_path / "dog.mp4").exists()
    assert (tmp_path / "prompts-out" / "index.html").exists()
    assert (tmp_path / "prompts-out" / "sheet.webp").exists()


@pytest.mark.parametrize("command", [line for line in COMMANDS if re.match(r"veo-async (ledger|timeline)", line)])
async def test_ledger_command(command: str, tmp_path: Path) -> None:
    """Each command is parsed; it fails only because the ledger file does not exist."""
    output = await run(sys.executable, "-m", "veo_async", *command.split()[1:], cwd=tmp_path, exits=2)
    assert "veo.db does not exist" in output


def test_guarantees_name_existing_tests() -> None:
    """Every test that the table of guarantees names exists."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT)
    assert len(named) >= 12
    for file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (README.parent / file).read_text("utf-8"), re.MULTILINE), name
