"""The demo's callback receiver."""

from pathlib import Path

import aiohttp

from veo_async import VeoSession
from veo_async.cli.receiver import free_socket, receiving
from veo_async.settings import Limits
from veo_async.simulator import Simulator, drop_after_accepting


async def test_callback_resolves_the_job_in_doubt_and_unknown_addresses_are_rejected(tmp_path: Path) -> None:
    """A callback is matched by its token; a request to any other address gets a 404 and changes nothing."""
    bound, public_url = free_socket()
    async with Simulator(duration_s=0.3, faults=[drop_after_accepting(on=1)]) as sim:
        session = VeoSession(
            sim.api_key,
            base_url=sim.url,
            ledger=tmp_path / "veo.db",
            callbacks=public_url,
            limits=Limits(poll_every=0.1),
        )
        async with session as veo, receiving(veo, bound), aiohttp.ClientSession() as http:
            async with http.post(f"{public_url}/veo/cb/unknown", data=b"buy milk") as response:
                assert response.status == 404
            body = {"code": 200, "msg": "success", "data": {"taskId": "0" * 32}}
            async with http.post(f"{public_url}/veo/cb/unknown", json=body) as response:
                assert response.status == 404
            clip = await veo.generate("A dog")
        assert [charge.task_id for charge in sim.charges] == [clip.task_id]
        assert [attempt.status for attempt in sim.callbacks] == [200]
