"""Each example is a whole program, is short, and runs against the simulator as it stands."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from veo_async.simulator import Fault, Simulator, lost_callback

from . import fast_clock
from .fast_clock import SPEED
from .programs import run_fast
from .webhooks.support import free_port

FOLDER = Path(__file__).parent.parent / "veo_async" / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


async def run(name: str, cwd: Path, *arguments: str, exits: int = 0) -> tuple[list[str], Simulator]:
    """The lines that an example prints, and the simulator that it talked to."""
    async with Simulator(speed=SPEED, seed=7) as sim:
        output = await run_fast(FOLDER / f"{name}.py", *arguments, cwd=cwd, sim=sim, exits=exits)
    sim.assert_no_double_charge()
    return output.splitlines(), sim


def test_there_is_a_test_for_each() -> None:
    """An example that nothing runs would be an untested promise."""
    assert EXAMPLES == ["fastapi_bot", "many_clips", "two_users"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_is_short(name: str) -> None:
    """Under sixty lines, and it says how to start it."""
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    assert len(text.splitlines()) < 60
    assert f"``python -m veo_async.examples.{name}" in text


async def test_many_clips(tmp_path: Path) -> None:
    """One line per outcome, whatever it is, and the exit code tells of those that did not come."""
    lines, sim = await run("many_clips", tmp_path)
    assert [line.split()[0] for line in lines[:-1]] == ["ready"] * 6
    assert "credits left" in lines[-1]
    assert len(sim.charges) == 6


async def test_many_clips_from_a_file(tmp_path: Path) -> None:
    """A refusal and a failure are lines among lines."""
    (tmp_path / "prompts.txt").write_text("A dog\n\nA cat [refuse]\nA cow [fail]\n")
    lines, _ = await run("many_clips", tmp_path, "prompts.txt", exits=1)
    assert sorted(line.split()[0] for line in lines[:-1]) == ["failed", "ready", "refused"]


async def test_two_users(tmp_path: Path) -> None:
    """Boris is told where he stands and has his clip before Anna's batch is through."""
    lines, sim = await run("two_users", tmp_path)
    assert "before you, about" in lines[0] or lines[0] == "boris: on its way"
    assert lines[-1] == "anna: 30 of 30 are ready"
    assert any("being made, about" in line for line in lines)
    assert sum(line.startswith("boris: http") for line in lines) == 1
    assert len(sim.charges) == 31


@pytest.mark.parametrize("faults", [[], [lost_callback()]])
async def test_fastapi_bot(tmp_path: Path, faults: list[Fault]) -> None:
    """Two users, a refusal, and the callbacks; then the same with every callback lost."""
    port = free_port()
    wanted = {"anna": ["A dog", "A cat"], "boris": ["A bird", "A cow [refuse-late]"]}
    bot = f"http://127.0.0.1:{port}"
    async with Simulator(speed=SPEED, seed=7, faults=faults) as sim, aiohttp.ClientSession() as http:
        async with running("fastapi_bot", tmp_path, sim, PORT=str(port)):
            keys = {}
            for user, prompts in wanted.items():
                for prompt in prompts:
                    async with http.post(f"{bot}/clips", params={"user": user, "prompt": prompt}) as answer:
                        keys[prompt] = (await answer.json())["key"]
            told = {prompt: await ended(http, f"{bot}/clips/{key}") for prompt, key in keys.items()}
            async with http.get(f"{bot}/clips/nobody") as answer:
                assert answer.status == 404
        assert [each["state"] for each in told.values()] == ["ready", "ready", "ready", "refused"]
        assert all(each["url"] for each in list(told.values())[:3])
        assert [attempt.was_acknowledged for attempt in sim.callbacks] == ([] if faults else [True] * 4)
    sim.assert_no_double_charge()


@asynccontextmanager
async def running(name: str, cwd: Path, sim: Simulator, **environment: str) -> AsyncIterator[None]:
    """An example that serves until it is told to end; it must end well."""
    address = {"VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key}
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        fast_clock.__file__,
        str(FOLDER / f"{name}.py"),
        cwd=cwd,
        env={**os.environ, **address, **environment},
    )
    try:
        await until_open(int(environment["PORT"]))
        yield
    finally:
        program.send_signal(signal.SIGINT)
        await program.wait()


async def until_open(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return


async def ended(http: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """What is told of a clip once it has ended."""
    while True:
        async with http.get(url) as answer:
            told: dict[str, str] = await answer.json()
        if told["state"] not in ("queued", "sending", "running"):
            return told
        await asyncio.sleep(0.05)
