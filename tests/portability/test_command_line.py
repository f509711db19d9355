"""The commands on a system without signal handlers, ``flock`` and a console that can show everything."""

import asyncio
import csv
import json
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from tests.programs import read_until
from veo_async.simulator import Simulator

from .support import SYSTEMS, command, environment, on_every_system

pytestmark = pytest.mark.realtime

#: What cp1252 does not have: a check mark, Japanese, an emoji; and what it has.
PROMPT = "Ein Café ✓ 犬 🐕 …"
#: Windows has Ctrl-C and Ctrl-Break, and programs can send each other only the latter.
if sys.platform == "win32":
    INTERRUPTIONS = [signal.CTRL_BREAK_EVENT]
elif sys.platform == "linux":
    INTERRUPTIONS = [signal.SIGINT, signal.SIGUSR1]  # the imitation receives SIGUSR1 as Ctrl-Break
else:
    INTERRUPTIONS = [signal.SIGINT]
_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


async def start(system: str, folder: Path, sim: Simulator, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *command(system, "veo_async", *arguments),
        cwd=folder,
        env=environment(sim),
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
        creationflags=_GROUP,
    )


async def run(system: str, folder: Path, sim: Simulator, *arguments: str, exits: int = 0) -> str:
    """Run a command and return its output, decoded as the console would."""
    process = await start(system, folder, sim, *arguments)
    output = (await process.communicate())[0].decode("cp1252").replace("\r\n", "\n")
    assert process.returncode == exits, output
    assert "Traceback" not in output
    return output


def write_list(folder: Path, rows: int, *, line_end: str = "\r\n") -> None:
    """Write a list as Excel does: with a byte order mark, semicolons and the line ends of Windows."""
    lines = ["key;prompt", *(f"row-{n};{PROMPT} {n}" for n in range(rows)), ""]
    (folder / "list.csv").write_bytes(line_end.join(lines).encode("utf-8-sig"))


@pytest.mark.slow
@on_every_system
async def test_demo_runs(tmp_path: Path, system: str) -> None:
    """The whole batch with its injected failures; the second run replaces the first one's ledger."""
    async with Simulator() as sim:
        for _ in range(2):
            output = await run(system, tmp_path, sim, "demo")
            assert "8 of 9 clips saved" in output
    left = [file.name for file in (tmp_path / "veo-out").iterdir() if file.name.startswith(".")]
    assert left == []


@pytest.mark.slow
@on_every_system
async def test_generate_saves_the_clip_and_prints_what_the_console_lacks_as_escapes(
    tmp_path: Path, system: str
) -> None:
    """The prompt and the key contain characters that cp1252 does not have."""
    key = "犬-✓"
    async with Simulator(duration_s=0.2) as sim:
        output = await run(system, tmp_path, sim, "generate", PROMPT, "--key", key, "--out", "clips")
        assert r"\u72ac-\u2713: saved" in output
        assert sim.charges[0].body["prompt"] == PROMPT
        output = await run(system, tmp_path, sim, "jobs", "veo.db")
        assert r"\u72ac-\u2713" in output
        output = await run(system, tmp_path, sim, "timeline", "veo.db", key)
        assert "save" in output
        values = json.loads(await run(system, tmp_path, sim, "generate", PROMPT, "--key", key, "--json"))
        assert values["key"] == key
        assert len(sim.charges) == 1


@pytest.mark.slow
async def test_json_is_valid_on_a_console_of_any_encoding(tmp_path: Path) -> None:
    """Characters outside the encoding are escaped as JSON does it; UTF-8 shows them."""
    async with Simulator(duration_s=0.2) as sim:
        for encoding, shown in (("ascii", r"\u72ac"), ("utf-8", "犬")):
            process = await asyncio.create_subprocess_exec(
                *command("this", "veo_async", "generate", PROMPT, "--key", "犬🐕", "--json"),
                cwd=tmp_path,
                env=environment(sim, encoding=encoding),
                stdout=PIPE,
                stderr=PIPE,
            )
            output = (await process.communicate())[0].decode(encoding)
            assert shown in output
            assert json.loads(output)["key"] == "犬🐕"


@pytest.mark.slow
@pytest.mark.parametrize("number", INTERRUPTIONS)
async def test_interrupted_batch_continues_without_a_second_charge(tmp_path: Path, number: int) -> None:
    """Ctrl-C or Ctrl-Break stops sending, running clips are saved, and the same command does the rest."""
    write_list(tmp_path, 25)
    system = SYSTEMS[-1]
    async with Simulator(duration_s=1.0, api_key="key-1234567890abcdef") as sim:
        process = await start(system, tmp_path, sim, "batch", "list.csv", "--stop-timeout", "60")
        await read_until(process, b"saved")
        process.send_signal(number)
        rest = (await process.communicate())[0].decode("cp1252")
        assert process.returncode == 5, rest
        assert "no new requests" in rest
        assert "Next: veo-async batch list.csv" in rest
        sent = len(sim.charges)
        assert 1 <= sent <= 22
    async with Simulator(duration_s=0.2, limiter="none", seed=2, api_key="key-1234567890abcdef") as sim:
        assert "25 saved" in await run(system, tmp_path, sim, "batch", "list.csv")
        assert len(sim.charges) == 25 - sent
    assert [row["prompt"] for row in table(tmp_path / "list-out" / "results.csv")] == [
        f"{PROMPT} {n}" for n in range(25)
    ]
    lines = (tmp_path / "list-out" / "results.jsonl").read_bytes()
    assert b"\r" not in lines
    assert {json.loads(line)["key"] for line in lines.splitlines()} == {f"row-{n}" for n in range(25)}


@pytest.mark.slow
@on_every_system
async def test_interrupted_generate_is_resumed(tmp_path: Path, system: str) -> None:
    """The clip that was running is saved by ``resume``, and charged once."""
    async with Simulator(duration_s=2.0) as sim:
        process = await start(system, tmp_path, sim, "generate", "A dog", "--key", "dog")
        await read_until(process, b"generating")
        process.send_signal(INTERRUPTIONS[0])
        rest = (await process.communicate())[0].decode("cp1252")
        assert process.returncode == 130, rest
        assert re.search(r"Next: veo-async generate .A dog. --key dog\s", rest)
        assert "dog: saved" in await run(system, tmp_path, sim, "resume", "veo.db", "--out", "clips")
        assert len(sim.requests_to()) == 1


@pytest.mark.slow
@on_every_system
async def test_killed_batch_is_continued_by_another_process_on_the_same_list(tmp_path: Path, system: str) -> None:
    """Two processes work on one list; the first is killed, and the second saves all of its clips."""
    write_list(tmp_path, 6)
    async with Simulator(duration_s=3.0) as sim:
        first = await start(system, tmp_path, sim, "batch", "list.csv", "--out", "clips")
        while len(sim.charges) < 6:  # noqa: ASYNC110  # the program is another process
            await asyncio.sleep(0.05)
        second = await start(system, tmp_path, sim, "batch", "list.csv", "--out", "clips")
        while len(list((tmp_path / "clips" / "ledger.db.d").glob("*.lock"))) < 2:  # noqa: ASYNC110  # the same
            await asyncio.sleep(0.05)
        first.kill()
        await first.communicate()
        output = (await second.communicate())[0].decode("cp1252")
        assert second.returncode == 0, output
        assert "6 saved" in output
        assert len(sim.charges) == 6


def table(path: Path) -> list[dict[str, Any]]:
    return list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
