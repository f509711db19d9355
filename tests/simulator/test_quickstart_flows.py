"""The flows of the provider's two quickstart programs. They read only the fields that those programs read."""

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
    """Submit like both programs: camel case, with the options in the body."""
    body = {
        "prompt": PROMPT,
        "model": "veo3",
        "aspectRatio": "16:9",
        "callBackUrl": "https://your-website.com/callback",
    }
    headers = {"Authorization": f"Bearer {sim.api_key}", "Content-Type": "application/json"}
    async with http.post(f"{sim.url}/api/v1/veo/generate", json=body, headers=headers) as response:
        content = await response.json()
        assert response.ok
        assert content["code"] == 200
        return str(content["data"]["taskId"])


async def get_json(http: aiohttp.ClientSession, sim: Simulator, path: str) -> Any:
    """Send a GET without a Content-Type."""
    async with http.get(f"{sim.url}{path}", headers={"Authorization": f"Bearer {sim.api_key}"}) as response:
        assert response.ok
        return await response.json()


@pytest.mark.parametrize(("dialect", "flag_name"), [("quickstart-1", "status"), ("quickstart-2", "successFlag")])
async def test_quickstart_generates_and_downloads_a_video(
    http: aiohttp.ClientSession, dialect: str, flag_name: str, tmp_path: Path
) -> None:
    """Submit, poll the program's flag, parse the URLs from their string, download."""
    async with Simulator(dialect=dialect, speed=3000.0) as sim:
        task_id = await submit(http, sim)
        flags = []
        while 1 not in flags:
            data = (await get_json(http, sim, f"/api/v1/veo/record-info?taskId={task_id}"))["data"]
            flags.append(data[flag_name])
            await asyncio.sleep(0.01)
        urls = json.loads(data["resultUrls"])
        async with http.get(urls[0]) as download:
            assert download.status == 200
            (tmp_path / "cute_cat.mp4").write_bytes(await download.read())
    assert set(flags) == {0, 1}
    assert (tmp_path / "cute_cat.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("dialect", ["quickstart-1", "quickstart-2"])
async def test_quickstart_upgrades_to_1080p(http: aiohttp.ClientSession, dialect: str) -> None:
    """The first request reports "not ready", a later one returns the URL."""
    async with Simulator(dialect=dialect, duration_s=60.0) as sim:
        task_id = await submit(http, sim)
        sim.advance(60)
        path = f"/api/v1/veo/get-1080p-video?taskId={task_id}"
        assert (await get_json(http, sim, path))["code"] == 400
        sim.advance(60)
        assert (await get_json(http, sim, path))["data"]["resultUrl"].endswith(".mp4")


@pytest.mark.parametrize(("dialect", "flag_name"), [("quickstart-1", "status"), ("quickstart-2", "successFlag")])
async def test_quickstart_reads_a_failure_from_the_flag(
    http: aiohttp.ClientSession, dialect: str, flag_name: str
) -> None:
    """The message is "success" even for a failed task."""
    async with Simulator(dialect=dialect, duration_s=60.0, failure_rate=1.0) as sim:
        task_id = await submit(http, sim)
        sim.advance(60)
        content = await get_json(http, sim, f"/api/v1/veo/record-info?taskId={task_id}")
        assert (content["data"][flag_name], content["msg"]) == (3, "success")
