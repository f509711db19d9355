"""The flows of the provider's two quickstart programs, written anew: they read just the fields those programs read."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from veo_async.simulator import Simulator

PROMPT = "A cute cat playing in a garden on a sunny day, high quality"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def submit(http: aiohttp.ClientSession, sim: Simulator) -> str:
    """As both programs do: camel case, and options spread over the same body."""
    body = {
        "prompt": PROMPT,
        "model": "veo3",
        "aspectRatio": "16:9",
        "callBackUrl": "https://your-website.com/callback",
    }
    headers = {"Authorization": f"Bearer {sim.api_key}", "Content-Type": "application/json"}
    async with http.post(f"{sim.url}/api/v1/veo/generate", json=body, headers=headers) as answer:
        told = await answer.json()
        assert answer.ok
        assert told["code"] == 200
        return str(told["data"]["taskId"])


async def look(http: aiohttp.ClientSession, sim: Simulator, path: str) -> Any:
    """A GET without a Content-Type."""
    async with http.get(f"{sim.url}{path}", headers={"Authorization": f"Bearer {sim.api_key}"}) as answer:
        assert answer.ok
        return await answer.json()


@pytest.mark.parametrize(("dialect", "flag_name"), [("quickstart-1", "status"), ("quickstart-2", "successFlag")])
async def test_from_generation_to_download(
    http: aiohttp.ClientSession, dialect: str, flag_name: str, tmp_path: Path
) -> None:
    """Submit, poll the program's own field, parse the string of URLs, download: a film lies on the disk."""
    async with Simulator(dialect=dialect, speed=3000.0) as sim:
        task_id = await submit(http, sim)
        flags = []
        while 1 not in flags:
            data = (await look(http, sim, f"/api/v1/veo/record-info?taskId={task_id}"))["data"]
            flags.append(data[flag_name])
            await asyncio.sleep(0.01)
        urls = json.loads(data["resultUrls"])
        async with http.get(urls[0]) as film:
            assert film.status == 200
            (tmp_path / "cute_cat.mp4").write_bytes(await film.read())
    assert set(flags) == {0, 1}
    assert (tmp_path / "cute_cat.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("dialect", ["quickstart-1", "quickstart-2"])
async def test_the_1080p_step(http: aiohttp.ClientSession, dialect: str) -> None:
    """The optional step: not at once, then one URL."""
    async with Simulator(dialect=dialect, duration_s=60.0) as sim:
        task_id = await submit(http, sim)
        sim.advance(60)
        path = f"/api/v1/veo/get-1080p-video?taskId={task_id}"
        assert (await look(http, sim, path))["code"] == 400
        sim.advance(60)
        assert (await look(http, sim, path))["data"]["resultUrl"].endswith(".mp4")


@pytest.mark.parametrize(("dialect", "flag_name"), [("quickstart-1", "status"), ("quickstart-2", "successFlag")])
async def test_a_failure_shows_in_the_flag(http: aiohttp.ClientSession, dialect: str, flag_name: str) -> None:
    """2 and 3 end the programs' loops; the message that they print is "success", a slip of the pages."""
    async with Simulator(dialect=dialect, duration_s=60.0, failure_rate=1.0) as sim:
        task_id = await submit(http, sim)
        sim.advance(60)
        told = await look(http, sim, f"/api/v1/veo/record-info?taskId={task_id}")
        assert (told["data"][flag_name], told["msg"]) == (3, "success")
