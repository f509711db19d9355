"""Provoke each error of the page about troubleshooting, by its heading there, and return the text that a user sees."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.programs import run
from veo_async import VeoApi, VeoSession
from veo_async.errors import VeoError
from veo_async.events import Paused
from veo_async.ledger import SqliteLedger
from veo_async.settings import Limits
from veo_async.simulator import Simulator, drop_after_accepting

#: Returns what the user sees. The environment names a simulator without faults; the current folder is empty.
Provoke = Callable[[Simulator, pytest.MonkeyPatch], Awaitable[str]]
SYMPTOMS: dict[str, Provoke] = {}


def symptom(heading: str) -> Callable[[Provoke], Provoke]:
    """Register the function for a heading of the page."""

    def register(provoke: Provoke) -> Provoke:
        SYMPTOMS[heading] = provoke
        return provoke

    return register


async def text_of(action: Awaitable[object]) -> str:
    """Return the text of the error that *action* raises."""
    with pytest.raises(VeoError) as caught:
        await action
    return str(caught.value)


async def outcome_of(veo: VeoSession, prompt: str) -> str:
    """Return the outcome of one request as text."""
    (outcome,) = await veo.gather(prompt)
    return str(outcome)


@symptom("There is no API key")
async def no_key(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(VeoError) as caught:
        VeoSession()
    return str(caught.value)


@symptom("The API key has a space")
async def key_with_a_space(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    with pytest.raises(VeoError) as caught:
        VeoSession("my key")
    return str(caught.value)


@symptom("The API key is rejected")
async def wrong_key(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession("another-key") as veo:
        return await text_of(veo.generate("A dog"))


@symptom("The address does not exist")
async def wrong_address(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoApi(base_url="http://127.0.0.1:9") as api:
        return await text_of(api.credit())


@symptom("A request was refused for its content")
async def refused(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession() as veo:
        return await outcome_of(veo, "A dog [refuse]")


@symptom("A clip failed")
async def failed(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession() as veo:
        return await outcome_of(veo, "A dog [fail]")


@symptom("A job is in doubt")
async def in_doubt(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with (
        Simulator(faults=[drop_after_accepting(on=1)]) as other,
        VeoSession(other.api_key, base_url=other.url) as veo,
    ):
        return await outcome_of(veo, "A dog")


@symptom("The wait timed out")
async def still_running(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession() as veo:
        job = await veo.submit("A dog [stuck]")
        await job.accepted()
        return await text_of(job.wait(timeout=0.1))


@symptom("The key was used before")
async def key_reused(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession() as veo:
        await veo.submit("A dog", key="row-17")
        return await text_of(veo.submit("A cat", key="row-17"))


@symptom("The session is closed")
async def closed(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession() as veo:
        pass
    return await text_of(veo.submit("A dog"))


@symptom("The session was not opened")
async def not_opened(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    return await text_of(VeoSession().submit("A dog"))


@symptom("`with` instead of `async with`")
async def with_instead(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    with pytest.raises(VeoError) as caught, VeoSession():
        pass
    return str(caught.value)


@symptom("A running event loop in a notebook")
async def running_loop(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async def main() -> None:
        """Do nothing."""

    coroutine = main()
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(coroutine)
    coroutine.close()
    return str(caught.value)


@symptom("The file belongs to something else")
async def file_taken(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    Path("dog.mp4").write_text("mine")
    async with VeoSession() as veo:
        return await text_of(veo.submit("A dog", save_to="dog.mp4"))


@symptom("The ending is not .mp4")
async def wrong_ending(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession() as veo:
        return await text_of(veo.submit("A dog", save_to="dog.mov"))


@symptom("The provider cannot load an image")
async def private_image(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession() as veo:
        return await text_of(veo.submit("A dog", image="http://192.168.0.7/dog.png"))


@symptom("The budget is spent")
async def budget_spent(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession(budget=100) as veo:
        await veo.submit("A dog")
        return await text_of(veo.submit("A cat"))


@symptom("The queue is full")
async def queue_full(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession(max_in_flight=1, limits=Limits(max_queued=2)) as veo:
        await (await veo.submit("A dog [stuck]", tenant="anna")).accepted()
        await veo.submit("A cat", tenant="anna")
        await veo.submit("A hen", tenant="anna")
        return await text_of(veo.submit("A fox", tenant="anna"))


@symptom("Nothing is sent")
async def paused(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with Simulator(credits=10) as poor, VeoSession(poor.api_key, base_url=poor.url) as veo:
        job = await veo.submit("A dog")
        async for event in job.events():
            if isinstance(event, Paused):
                break
        return str(veo.statistics())


@symptom("Not enough credits")
async def no_credits(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with Simulator(credits=10) as poor, VeoApi(poor.api_key, base_url=poor.url) as api:
        return await text_of(api.generate("A dog"))


@symptom("The ledger is a copy")
async def copied_ledger(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession(ledger="veo.db", max_in_flight=1) as veo:
        for number in range(2):
            await veo.submit(f"Dog number {number} [stuck]")
    Path("copy.db").write_bytes(Path("veo.db").read_bytes())
    ledger = SqliteLedger("copy.db")
    with pytest.raises(VeoError) as caught:
        async with VeoSession(ledger=ledger):
            pass
    return str(caught.value)


async def command(*words: str, exits: int) -> str:
    """Return what a command prints."""
    return (await run(sys.executable, "-m", "veo_async", *words, cwd=Path.cwd(), exits=exits)).strip()


@symptom("A command finds no API key")
async def command_without_key(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    return await command("credits", exits=2)


@symptom("Some rows of a list are wrong")
async def wrong_rows(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    Path("prompts.csv").write_text("prompt,aspect_ratio\n,9:16\nA dog,9x16\n")
    return await command("batch", "prompts.csv", exits=2)


@symptom("A prompt without quotes")
async def no_quotes(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    return await command("generate", "A", "dog", "surfing", exits=2)


@symptom("The command needs an extra")
async def no_extra(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    program = "import sys; sys.modules['cyclopts'] = None; from veo_async.__main__ import main; main()"
    return (await run(sys.executable, "-c", program, cwd=Path.cwd(), exits=2)).strip()


@symptom("An option is unknown")
async def unknown_option(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    async with VeoSession() as veo:
        return await text_of(veo.submit("A dog", aspectratio="9:16"))  # type: ignore[call-arg]  # what the page is about
