"""`veo.ledger.key_of`: the key that a request gets, without submitting it."""

from pathlib import Path
from typing import Any

import pytest

from veo_async import ExtendRequest, VideoRequest, errors

from .support import memory, session_on, world
from .test_images import PNG

pytestmark = pytest.mark.veo_virtual_time


@pytest.mark.parametrize(
    "options",
    [{}, {"take": 2}, {"tenant": "anna"}, {"model": "veo3", "aspect_ratio": "9:16"}],
    ids=["prompt", "take", "tenant", "options"],
)
async def test_key_of_a_request_is_the_one_that_submit_gives_it(options: dict[str, Any]) -> None:
    """Nothing is sent or stored for it."""
    async with world() as (veo, sim):
        key = await veo.ledger.key_of("A dog", **options)
        assert sim.requests == ()
        assert veo.jobs() == []
        assert (await veo.submit("A dog", **options)).key == key
        video = {name: value for name, value in options.items() if name in ("model", "aspect_ratio")}
        rest = {name: value for name, value in options.items() if name not in video}
        assert await veo.ledger.key_of(VideoRequest("A dog", **video), **rest) == key


async def test_key_of_a_request_with_images_depends_on_their_content(tmp_path: Path) -> None:
    """A path, its text and its bytes give the same key, and nothing is uploaded."""
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    url = "https://example.com/cat.png"
    async with world() as (veo, sim):
        keys = {await veo.ledger.key_of("A cat", image=image) for image in (path, str(path), PNG, [PNG])}
        keys.add(await veo.ledger.key_of(VideoRequest("A cat", image_urls=[str(path)])))
        assert len(keys) == 1
        assert await veo.ledger.key_of("A cat", image=url) not in keys
        assert sim.requests == ()
        assert keys == {(await veo.submit("A cat", image=path)).key}
        assert await veo.ledger.key_of("A cat", image=url) == (await veo.submit("A cat", image=url)).key
        with pytest.raises(errors.InvalidRequest, match="image"):
            await veo.ledger.key_of("A cat", image=b"text")


async def test_key_of_a_follow_up_has_the_model_and_the_tenant_of_its_source() -> None:
    """They belong to the request that is sent."""
    async with world() as (veo, _):
        await veo.generate("A dog", key="dog", model="veo3", tenant="anna")
        request = ExtendRequest(after_key="dog", prompt="It sleeps")
        key = await veo.ledger.key_of(request)
        assert (await veo.submit(request)).key == key


async def test_key_of_rejects_what_submit_rejects() -> None:
    """And a session that is not open."""
    async with world() as (veo, _):
        with pytest.raises(errors.InvalidRequest, match="modle"):
            await veo.ledger.key_of("A dog", modle="veo3")  # type: ignore[call-arg]  # the misspelling is the point
        with pytest.raises(errors.UsageError, match="take=-1"):
            await veo.ledger.key_of("A dog", take=-1)
    with pytest.raises(errors.SessionClosed):
        await session_on(memory()).ledger.key_of("A dog")
