"""``veo-async models``: the provider's catalogue compared with our table, as text and as JSON."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fast_clock import SPEED
from tests.programs import run, run_fast
from veo_async.simulator import Simulator

CHANGES: dict[str, Any] = {
    "veo-3-1": {"pricingDesc": "Fast 70 credits \x1b[31m", "points": []},
    "veo/extend": {"openapi": {"paths": {}}},
    "veo-4": {"title": "Veo 4"},
}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(speed=SPEED, client_speed=SPEED, catalogue=CHANGES) as simulator:
        yield simulator


async def models(*options: str, sim: Simulator, cwd: Path) -> str:
    """Run the command on a fast clock, because it reads one thing per second."""
    program = cwd / "models.py"
    program.write_text("from veo_async.cli import run\nrun()\n")
    return await run_fast(program, "models", *options, sim=sim, cwd=cwd)


async def test_models_are_compared_with_our_table(sim: Simulator, tmp_path: Path) -> None:
    """Prices, success rate and differences of each; what could not be compared is named."""
    output = await models(sim=sim, cwd=tmp_path)
    lines = [line.rstrip() for line in output.splitlines()]
    assert lines[:8] == [
        "veo-3-1: Veo 3.1",
        "  success rate      no data",
        "  provider's price  Fast 70 credits \\x1b[31m",
        "  our price         veo3: 720p 250, 1080p 255, 4k 380",
        "                    veo3_fast: 720p 60, 1080p 65, 4k 180",
        "                    veo3_lite: 720p 30, 1080p 35, 4k 150",
        "  differences       The provider's price names 70 credits; our table does not.",
        "veo/extend: Veo 3.1 Extend",
    ]
    assert "  success rate      99.0 % in the last 24 hours" in lines
    assert "                    extend" not in output
    assert "The provider's schema has no fields, so the options could not be compared" in output
    assert "veo-4: Veo 4" in lines
    assert lines[-2:] == [
        "5 models, 3 differences between the provider's catalogue and our table.",
        "Next: veo-async models --schema veo-3-1",
    ]


async def test_json_has_one_object_per_model(sim: Simulator, tmp_path: Path) -> None:
    output = await models("--json", sim=sim, cwd=tmp_path)
    found = [json.loads(line) for line in output.splitlines()]
    assert [model["model"] for model in found] == [
        "veo-3-1",
        "veo/extend",
        "veo/get-1080p-video",
        "veo/get-4k-video",
        "veo-4",
    ]
    assert found[2] == {
        "model": "veo/get-1080p-video",
        "title": "Veo 3.1 1080p",
        "price": "5 credits per video.",
        "our_prices": {"upgrade": {"1080p": 5.0}},
        "success_rate": 99.0,
        "has_schema": True,
        "differences": [],
    }


async def test_schema_is_printed_as_a_document(sim: Simulator, tmp_path: Path) -> None:
    """Over several lines, or with --json in one."""
    veo = (sys.executable, "-m", "veo_async", "models", "--schema", "veo-3-1")
    output = await run(*veo, cwd=tmp_path, sim=sim)
    assert json.loads(output)["openapi"] == "3.1.0"
    assert len(output.splitlines()) > 10
    compact = await run(*veo, "--json", cwd=tmp_path, sim=sim)
    assert compact.splitlines() == [json.dumps(json.loads(output))]


async def test_missing_schema_or_model_is_an_error_that_names_it(sim: Simulator, tmp_path: Path) -> None:
    veo = (sys.executable, "-m", "veo_async", "models", "--schema")
    output = await run(*veo, "example/image", cwd=tmp_path, sim=sim, exits=2)
    assert output == "the provider has no schema of example/image; list models with veo-async models\n"
    output = await run(*veo, "veo3_fast", cwd=tmp_path, sim=sim, exits=1)
    assert "no model called 'veo3_fast'" in output
    output = await run(*veo, "../chat", cwd=tmp_path, sim=sim, exits=2)
    assert "is not the name of a model" in output


async def test_offline_prints_our_table_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KIE_BASE_URL", "http://127.0.0.1:9")
    veo = (sys.executable, "-m", "veo_async", "models", "--offline")
    output = await run(*veo, cwd=tmp_path)
    assert "veo/get-4k-video\n  our price         upgrade: 4k 120\n" in output
    assert "provider" not in output
    found = [json.loads(line) for line in (await run(*veo, "--json", cwd=tmp_path)).splitlines()]
    assert [model["our_prices"] for model in found][2:] == [{"upgrade": {"1080p": 5.0}}, {"upgrade": {"4k": 120.0}}]
    output = await run(*veo, "--schema", "veo-3-1", cwd=tmp_path, exits=2)
    assert "leave out --offline" in output
