"""Each example is a short, complete program that runs unchanged against the simulator."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from veo_async.simulator import Fault, Simulator, lost_callback, rate_limited

from . import fast_clock
from .fast_clock import SPEED
from .programs import run_fast
from .webhooks.support import free_port

FOLDER = Path(__file__).parent.parent / "veo_async" / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


async def run(name: str, cwd: Path, *arguments: str, exits: int = 0) -> tuple[list[str], Simulator]:
    """Return the lines that an example prints, and the simulator that it used."""
    async with Simulator(speed=SPEED, client_speed=SPEED, seed=7) as sim:
        output = await run_fast(FOLDER / f"{name}.py", *arguments, cwd=cwd, sim=sim, exits=exits)
    sim.assert_no_double_charge()
    return output.splitlines(), sim


def test_every_example_has_a_test() -> None:
    """A new example must be added here."""
    assert EXAMPLES == ["fastapi_bot", "many_clips", "two_users"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_under_sixty_lines_and_says_how_to_start_it(name: str) -> None:
    """The docstring contains the command."""
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    assert len(text.splitlines()) < 60
    assert f"``python -m veo_async.examples.{name}" in text


async def test_many_clips_prints_a_line_per_outcome(tmp_path: Path) -> None:
    """Six clips and the balance; exit code 0."""
    lines, sim = await run("many_clips", tmp_path)
    assert [line.split()[0] for line in lines[:-1]] == ["ready"] * 6
    assert "credits left" in lines[-1]
    assert len(sim.charges) == 6


async def test_many_clips_reports_refusals_and_failures_of_a_file(tmp_path: Path) -> None:
    """A line each, and exit code 1."""
    (tmp_path / "prompts.txt").write_text("A dog\n\nA cat [refuse]\nA cow [fail]\n")
    lines, _ = await run("many_clips", tmp_path, "prompts.txt", exits=1)
    assert sorted(line.split()[0] for line in lines[:-1]) == ["failed", "ready", "refused"]


@pytest.mark.slow
async def test_two_users_gives_the_single_clip_priority_over_the_batch(tmp_path: Path) -> None:
    """Boris sees his progress and has his clip before Anna's batch has finished."""
    lines, sim = await run("two_users", tmp_path)
    assert " ahead, about" in lines[0] or lines[0] == "boris: sent"
    assert lines[-1] == "anna: 30 of 30 are ready"
    assert any("generating, about" in line for line in lines)
    assert sum(line.startswith("boris: http") for line in lines) == 1
    assert len(sim.charges) == 31


@pytest.mark.slow
@pytest.mark.parametrize("faults", [[], [lost_callback()]])
async def test_fastapi_bot_serves_two_users_with_and_without_callbacks(tmp_path: Path, faults: list[Fault]) -> None:
    """Three clips and a refusal by callback; then the same with every callback lost."""
    port = free_port()
    prompts_of = {"anna": ["A dog", "A cat"], "boris": ["A bird", "A cow [refuse-late]"]}
    bot = f"http://127.0.0.1:{port}"
    async with (
        Simulator(speed=SPEED, client_speed=SPEED, seed=7, faults=faults) as sim,
        aiohttp.ClientSession() as http,
    ):
        async with running("fastapi_bot", tmp_path, sim, PORT=str(port)):
            keys = {}
            for user, prompts in prompts_of.items():
                for prompt in prompts:
                    async with http.post(f"{bot}/clips", params={"user": user, "prompt": prompt}) as response:
                        keys[prompt] = (await response.json())["key"]
            states = {prompt: await finished(http, f"{bot}/clips/{key}") for prompt, key in keys.items()}
            async with http.get(f"{bot}/clips/unknown") as response:
                assert response.status == 404
        assert [state["state"] for state in states.values()] == ["ready", "ready", "ready", "refused"]
        assert all(state["url"] for state in list(states.values())[:3])
        assert [attempt.was_acknowledged for attempt in sim.callbacks] == ([] if faults else [True] * 4)
    sim.assert_no_double_charge()


async def test_fastapi_bot_responds_with_a_sentence_what_a_user_can_do(tmp_path: Path) -> None:
    """An empty prompt is 422, an empty budget 402, and a full queue 429; the bot continues."""
    prompts = {"A dog": 200, " ": 422, "A cat": 402, "A dog ": 402}
    async with Simulator(speed=SPEED, seed=7) as sim, aiohttp.ClientSession() as http:
        async with bot(tmp_path, sim, BUDGET="60") as url:
            responses = {prompt: await post(http, url, prompt) for prompt in prompts}
            assert {prompt: status for prompt, (status, _) in responses.items()} == prompts
            assert "must not be empty" in responses[" "][1]["detail"]
            assert "costs 60 credits" in responses["A cat"][1]["detail"]
            assert await post(http, url, "A dog") == responses["A dog"]
            assert (await finished(http, f"{url}/{responses['A dog'][1]['key']}"))["state"] == "ready"
        assert len(sim.charges) == 1
    async with Simulator(speed=SPEED, seed=7, faults=[rate_limited()]) as sim, aiohttp.ClientSession() as http:
        async with bot(tmp_path / "full", sim) as url:
            responses = {number: await post(http, url, f"A dog, number {number}") for number in range(30)}
            assert {status for status, _ in responses.values()} == {200, 429}
            assert responses[29] == (429, {"detail": "tenant 'anna' already has 20 queued jobs"})
            assert (await post(http, url, "A dog", user="boris"))[0] == 200
        assert not sim.charges


@asynccontextmanager
async def bot(folder: Path, sim: Simulator, **environment: str) -> AsyncIterator[str]:
    """Run the bot with its ledger in *folder*; yield the address of its clips."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    async with running("fastapi_bot", folder, sim, PORT=str(port), **environment):
        yield f"http://127.0.0.1:{port}/clips"


async def post(http: aiohttp.ClientSession, url: str, prompt: str, user: str = "anna") -> tuple[int, dict[str, str]]:
    """Request a clip from the bot; return the status and the body of its response."""
    async with http.post(url, params={"user": user, "prompt": prompt}) as response:
        return response.status, await response.json()


@asynccontextmanager
async def running(name: str, cwd: Path, sim: Simulator, **environment: str) -> AsyncIterator[None]:
    """Run an example that serves until Ctrl-C."""
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


async def finished(http: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """Poll a clip of the bot until it has finished; return its state."""
    while True:
        async with http.get(url) as response:
            state: dict[str, str] = await response.json()
        if state["state"] not in ("queued", "sending", "running"):
            return state
        await asyncio.sleep(0.05)
