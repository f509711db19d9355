"""`veo-async doctor` and `veo-async credits`: what is found, and what to do."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.programs import run
from veo_async import VeoApi, VeoSession
from veo_async.cli.doctor import _clock
from veo_async.simulator import MemoryTransport, Simulator

VEO = (sys.executable, "-m", "veo_async")


async def test_all_is_well(tmp_path: Path) -> None:
    """Key, address, balance, clock and ledger, a line each; exit code 0 and the next command."""
    async with Simulator(duration_s=0.1, credits=500.0) as sim:
        async with VeoSession(sim.api_key, base_url=sim.url, ledger=tmp_path / "veo.db", poll_every=0.1) as veo:
            await veo.generate("A dog")
        told = await run(*VEO, "doctor", "--ledger", "veo.db", cwd=tmp_path, sim=sim)
        assert told.count("ok ") == 5
        for piece in (
            "from VEO_API_KEY",
            sim.url,
            "credits",
            "the provider's",
            "veo.db: 1 ready",
            "Next: veo-async demo",
        ):
            assert piece in told
        assert sim.api_key not in told
        assert " credits\n" in await run(*VEO, "credits", cwd=tmp_path, sim=sim)
        assert '"credits"' in await run(*VEO, "credits", "--json", cwd=tmp_path, sim=sim)


async def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, a wrong key, an empty account, a file that is no ledger: each is a line, none stops the others."""
    for name in ("VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "notes.txt").write_text("buy milk " * 100)
    told = await run(*VEO, "doctor", "--ledger", "notes.txt", cwd=tmp_path, exits=1)
    assert "export VEO_API_KEY" in told
    assert "no  ledger" in told
    async with Simulator(credits=0.0) as sim:
        told = await run(*VEO, "doctor", cwd=tmp_path, sim=sim, exits=1)
        assert "top up" in told
        monkeypatch.setenv("VEO_BASE_URL", sim.url)
        monkeypatch.setenv("VEO_API_KEY", "sk-" + "x" * 30)
        told = await run(*VEO, "doctor", cwd=tmp_path, exits=1)
        assert "Check the API key" in told


async def test_a_clock_that_is_off_is_told() -> None:
    """By how much, which way, and what it spoils."""
    async with Simulator() as sim, VeoApi(sim.api_key, base_url=sim.url) as api:
        server = await api.server_time()
        assert server is not None
        now = server.timestamp()
        assert (await _clock(api, now)).passed
        ahead = await _clock(api, now + 3600)
        assert not ahead.passed
        assert re.search(r"3[56]\d\d s ahead", ahead.message)


async def test_a_provider_that_does_not_tell_the_time_is_no_fault() -> None:
    """Nothing is concluded from nothing."""
    transport = MemoryTransport()
    async with VeoApi(transport.api_key, transport=transport) as api:
        assert await api.server_time() is None
        assert (await _clock(api, 0.0)).passed


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Looking must not leave a file behind."""

    async def look() -> str:
        async with Simulator() as sim:
            return await run(*VEO, "doctor", "--ledger", "new.db", cwd=tmp_path, sim=sim)

    assert "not there yet" in asyncio.run(look())
    assert not (tmp_path / "new.db").exists()
