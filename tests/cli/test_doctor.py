"""`veo-async doctor` and `veo-async credits`: the results of the checks, and the remedies."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.programs import run
from veo_async import VeoApi, VeoSession
from veo_async.cli.doctor import _clock
from veo_async.settings import Limits
from veo_async.simulator import MemoryTransport, Simulator

VEO = (sys.executable, "-m", "veo_async")


async def test_doctor_reports_every_check_and_the_next_command(tmp_path: Path) -> None:
    """Key, base URL, balance, clock and ledger, a line each; exit code 0."""
    async with Simulator(duration_s=0.1, credits=500.0) as sim:
        async with VeoSession(
            sim.api_key, base_url=sim.url, ledger=tmp_path / "veo.db", limits=Limits(poll_every=0.1)
        ) as veo:
            await veo.generate("A dog")
        output = await run(*VEO, "doctor", "--ledger", "veo.db", cwd=tmp_path, sim=sim)
        assert output.count("ok ") == 6
        for text in (
            "from VEO_API_KEY",
            sim.url,
            "credits",
            "the provider's",
            "veo.db: 1 ready",
            "Next: veo-async generate",
        ):
            assert text in output
        assert sim.api_key not in output
        assert " credits\n" in await run(*VEO, "credits", cwd=tmp_path, sim=sim)
        assert '"credits"' in await run(*VEO, "credits", "--json", cwd=tmp_path, sim=sim)


async def test_failed_check_names_a_remedy_and_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No API key, a wrong one, an empty account, a file that cannot be a ledger."""
    for name in ("VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "notes.txt").write_text("buy milk " * 100)
    output = await run(*VEO, "doctor", "--ledger", "notes.txt", cwd=tmp_path, exits=1)
    assert "export KIE_API_KEY" in output
    assert output.count("no  key ") == 1
    assert "no  ledger" in output
    async with Simulator(credits=0.0) as sim:
        output = await run(*VEO, "doctor", cwd=tmp_path, sim=sim, exits=1)
        assert "top up" in output
        monkeypatch.setenv("VEO_BASE_URL", sim.url)
        monkeypatch.setenv("VEO_API_KEY", "sk-" + "x" * 30)
        output = await run(*VEO, "doctor", cwd=tmp_path, exits=1)
        assert "Check the API key" in output


@pytest.mark.parametrize(
    ("route", "options", "line", "exits"),
    [
        ("veo", {}, "ok  route    veo\n", 0),
        ("jobs", {}, "ok  route    jobs\n", 0),
        ("jobs", {"unknown_id": "404"}, "ok  route    jobs\n", 0),
        ("jobs", {"unknown_id": "null"}, "ok  route    jobs\n", 0),
        ("auto", {}, "ok  route    auto\n", 0),
        ("veo", {"old_route": "gone"}, "no  route    veo: the veo endpoints respond with 404; take --route jobs\n", 1),
        (
            "jobs",
            {"jobs_route": "off"},
            "no  route    jobs: the jobs endpoints respond with 404; take --route veo",
            1,
        ),
        ("auto", {"old_route": "gone"}, "ok  route    auto: the veo endpoints respond with 404; --route jobs saves", 0),
    ],
)
async def test_route_of_new_requests_is_checked(
    tmp_path: Path, route: str, options: dict[str, Any], line: str, exits: int
) -> None:
    """With a free read of a task that does not exist."""
    async with Simulator(**options) as sim:
        assert line in await run(*VEO, "doctor", "--route", route, cwd=tmp_path, sim=sim, exits=exits)
        assert sim.requests_to() == ()


async def test_clock_that_is_an_hour_ahead_fails_the_check() -> None:
    """The message says by how much, and in which direction."""
    async with Simulator() as sim, VeoApi(sim.api_key, base_url=sim.url) as api:
        server = await api.server_time()
        assert server is not None
        now = server.timestamp()
        assert (await _clock(api, now)).passed
        ahead = await _clock(api, now + 3600)
        assert not ahead.passed
        assert re.search(r"3[56]\d\d s ahead", ahead.message)


async def test_provider_without_a_date_header_passes_the_clock_check() -> None:
    """Without a server time the clock cannot be judged."""
    transport = MemoryTransport()
    async with VeoApi(transport.api_key, transport=transport) as api:
        assert await api.server_time() is None
        assert (await _clock(api, 0.0)).passed


def test_doctor_does_not_create_a_missing_ledger(tmp_path: Path) -> None:
    """A check leaves no file behind."""

    async def run_doctor() -> str:
        async with Simulator() as sim:
            return await run(*VEO, "doctor", "--ledger", "new.db", cwd=tmp_path, sim=sim)

    assert "does not exist yet" in asyncio.run(run_doctor())
    assert not (tmp_path / "new.db").exists()
