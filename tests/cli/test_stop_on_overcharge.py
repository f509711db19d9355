"""``--stop-on-overcharge`` in real processes: a list ends when only jobs on hold remain, and nothing is lost."""

import csv
import json
import shlex
from pathlib import Path

import pytest

from tests.programs import run
from veo_async.simulator import Simulator

from .test_run_jobs import VEO

KEY = "sk-" + "h" * 30
WORDS = ("--route", "jobs", "batch", "prompts.csv")
PRICES = "(the provider charges 60 credits, the price table says 30)"


def write_list(folder: Path, lite: int) -> None:
    """A Fast clip behind all Lite ones."""
    rows = [f"lite-{number},A dog number {number},veo3_lite" for number in range(lite)]
    (folder / "prompts.csv").write_text("\n".join(["key,prompt,model", *rows, "fast,A cat,veo3_fast"]) + "\n")


def results(folder: Path) -> dict[str, dict[str, str]]:
    text = (folder / "prompts-out" / "results.csv").read_text("utf-8-sig")
    return {row["key"]: row for row in csv.DictReader(text.splitlines())}


def printed_command(output: str) -> list[str]:
    """Return the words of the next command that *output* prints."""
    [line] = [line for line in output.splitlines() if line.startswith("Next: veo-async ")]
    return shlex.split(line.removeprefix("Next: veo-async ").split("   (")[0])


@pytest.mark.slow
async def test_list_ends_when_only_clips_on_hold_remain(tmp_path: Path) -> None:
    """Exit code 3, as for a budget; running clips are saved; the printed command buys the others, and none twice."""
    write_list(tmp_path, 4)
    async with Simulator(duration_s=1.0, rate=(2, 6.0), tier_ignored=True, api_key=KEY) as sim:
        output = await run(*VEO, *WORDS, "--stop-on-overcharge", cwd=tmp_path, sim=sim, exits=3)
        bought = len(sim.charges)
        on_hold = 5 - bought
        assert on_hold > 0
        assert f"{bought} saved, {on_hold} on hold; " in output
        assert f"On hold: {on_hold} jobs of veo3_lite {PRICES}." in output
        rows = results(tmp_path)
        assert rows["fast"]["status"] == "saved"
        waiting = [row for row in rows.values() if row["status"] == "on_hold"]
        assert len(waiting) == on_hold
        assert {(row["credits"], row["credits_consumed"]) for row in waiting} == {("", "")}
        assert "charges 60 credits for veo3_lite, and the price table says 30" in waiting[0]["reason"]
        assert "--stop-on-overcharge" in waiting[0]["remedy"]
        page = (tmp_path / "prompts-out" / "index.html").read_text("utf-8")
        assert page.count('data-state="on_hold"') == on_hold + 1
        ledger = await run(*VEO, "jobs", "prompts-out/ledger.db", "--json", cwd=tmp_path)
        assert ledger.count('"state": "queued"') == on_hold

        words = printed_command(output)
        assert words == [*WORDS]
        output = await run(*VEO, *words, cwd=tmp_path, sim=sim)
        assert "5 saved" in output
        assert len(sim.charges) == 5
        sim.assert_no_double_charge()


async def test_command_says_that_the_veo_route_names_no_costs(tmp_path: Path) -> None:
    """There the option has no effect."""
    (tmp_path / "prompts.csv").write_text("prompt\nA dog\n")
    async with Simulator(credits=10.0) as sim:
        words = ("batch", "prompts.csv", "--stop-on-overcharge")
        output = await run(*VEO, *words, cwd=tmp_path, sim=sim, exits=2)
        assert "--stop-on-overcharge has no effect on the veo route" in output
        output = await run(*VEO, "--route", "jobs", *words, cwd=tmp_path, sim=sim, exits=2)
        assert "no effect" not in output


@pytest.mark.slow
async def test_json_summary_names_the_models_on_hold(tmp_path: Path) -> None:
    """Each row has an object, and the summary both prices; `resume` with the option ends in the same way."""
    write_list(tmp_path, 6)
    async with Simulator(duration_s=1.0, rate=(2, 6.0), tier_ignored=True, api_key=KEY) as sim:
        words = (*WORDS, "--json", "--stop-on-overcharge")
        output = await run(*VEO, *words, cwd=tmp_path, sim=sim, exits=3)
        objects = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        on_hold = sum(item.get("status") == "on_hold" for item in objects)
        [summary] = [item for item in objects if item["event"] == "summary"]
        assert on_hold == 7 - len(sim.charges) > 0
        expected = {"model": "veo3_lite", "jobs": on_hold, "expected": 30.0, "consumed": 60.0}
        assert (summary["on_hold"], summary["exit_code"]) == ([expected], 3)

        words = ("--route", "jobs", "resume", "prompts-out/ledger.db", "--stop-on-overcharge")
        output = await run(*VEO, *words, cwd=tmp_path, sim=sim, exits=3)
        left = 7 - len(sim.charges)
        assert left > 0
        assert f" of veo3_lite {PRICES}." in output
        assert printed_command(output) == ["--route", "jobs", "resume", "prompts-out/ledger.db"]
        sim.assert_no_double_charge()
