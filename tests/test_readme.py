"""The README tells the truth: every block of code runs, every table is the code's own."""

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


def test_every_block_has_a_test() -> None:
    """A block in a language that nothing here runs would be an untested promise."""
    assert {language for language, _ in BLOCKS} <= {"python", "console", "mermaid"}
    assert len(PYTHON) >= 9


@pytest.mark.parametrize("number", range(len(PYTHON)))
async def test_python_block_runs(number: int, tmp_path: Path) -> None:
    """Each block is a whole program; it runs as it stands, in the time of a simulator that runs fast."""
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
    """Each way to start it that the README shows starts it."""
    words = re.sub(r"--port \d+ ?", "", command).split()[1:]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veo_async", *words, "--port", "0"),
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
    """`veo-async demo` of the README makes eight playable clips of nine and says where they are."""
    output = await run(sys.executable, "-m", "veo_async", "demo", cwd=tmp_path)
    clips = sorted((tmp_path / "veo-out").glob("*.mp4"))
    assert len(clips) == 8
    assert all(clip.read_bytes()[4:8] == b"ftyp" for clip in clips)
    assert "8 of 9 clips saved under veo-out/ (8 saved, 1 refused)" in output
    assert all(str(clip.relative_to(tmp_path)) in output for clip in clips)


def test_the_two_commands_stand_in_the_readme() -> None:
    """What a newcomer copies is what CI runs."""
    assert "python -m venv .venv && . .venv/bin/activate && pip install -e '.[cli]' && veo-async demo\n" in TEXT
    assert "pip install -e '.[test]' && python -m pytest\n" in TEXT


def test_every_benchmark_named_is_there_and_every_one_there_is_named() -> None:
    """The table of figures leaves none out, and each of its lines can be run."""
    there = {path.name for path in (README.parent / "benchmarks").glob("[a-z]*.py")}
    assert set(re.findall(r"`python benchmarks/(\w+\.py)`", TEXT)) == there


def test_error_table_is_the_tested_one() -> None:
    """The table of codes is rendered from the table that drives the tests."""
    assert as_markdown() in TEXT


def test_the_diagram_is_drawn_from_the_table() -> None:
    """What is shown of a job's life is what the code goes by."""
    assert [code for language, code in BLOCKS if language == "mermaid"] == [as_mermaid()]


async def test_the_commands_of_the_command_line(tmp_path: Path) -> None:
    """In their order, as somebody would type them; each ends well."""
    driving = [
        line
        for line in COMMANDS
        if re.match(r"veo-async (doctor|generate|upload|batch|resume|jobs|contact-sheet) ", f"{line} ")
    ]
    assert len(driving) == 8
    (tmp_path / "first.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (tmp_path / "prompts.csv").write_text("prompt\nA cat that is not impressed\n")
    async with Simulator(duration_s=0.2) as sim:
        for line in driving:
            await run(sys.executable, "-m", "veo_async", *shlex.split(line)[1:], cwd=tmp_path, sim=sim)
    assert len(sim.charges) == 2
    assert (tmp_path / "dog.mp4").exists()
    assert (tmp_path / "prompts-out" / "index.html").exists()
    assert (tmp_path / "prompts-out" / "sheet.webp").exists()


@pytest.mark.parametrize("command", [line for line in COMMANDS if re.match(r"veo-async (ledger|timeline)", line)])
async def test_ledger_command(command: str, tmp_path: Path) -> None:
    """Each is understood: what it lacks here is the file, and it says so."""
    output = await run(sys.executable, "-m", "veo_async", *command.split()[1:], cwd=tmp_path, exits=2)
    assert "veo.db does not exist" in output


def test_every_promise_names_a_test_that_is_there() -> None:
    """Each line of the table leads to a function that pytest runs."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT)
    assert len(named) >= 12
    for file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (README.parent / file).read_text("utf-8"), re.MULTILINE), name
