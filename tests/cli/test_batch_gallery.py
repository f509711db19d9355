"""The gallery of `veo-async batch`: its title, and the page for a client."""

import sys
from pathlib import Path

import pytest

from tests.programs import run
from veo_async.simulator import Simulator

VEO = (sys.executable, "-m", "veo_async")


def title_of(page: Path) -> str:
    return page.read_text("utf-8").partition('<h1 dir="auto">')[2].partition("</h1>")[0]


@pytest.mark.slow  # it runs the command three times
async def test_title_is_that_of_the_list_or_the_option_and_stays_for_rejected_rows(tmp_path: Path) -> None:
    """``client.html`` is written with --client, listed in the output, and written again afterwards."""
    (tmp_path / "spring_campaign.csv").write_text("key,prompt\nsurfing-dog,A dog\nshoes,Shoes [refuse]\n")
    out = tmp_path / "spring_campaign-out"
    async with Simulator(duration_s=0.2) as sim:
        output = await run(*VEO, "batch", "spring_campaign.csv", cwd=tmp_path, sim=sim, exits=3)
        assert title_of(out / "index.html") == "Spring campaign"
        assert "client.html" not in output
        arguments = ("spring_campaign.csv", "--title", "Spring, second cut", "--client")
        output = await run(*VEO, "batch", *arguments, cwd=tmp_path, sim=sim, exits=3)
        assert str(Path("spring_campaign-out") / "client.html") in output
        assert title_of(out / "index.html") == title_of(out / "client.html") == "Spring, second cut"
        rejected = out / "rejected.csv"
        rejected.write_bytes(rejected.read_bytes().replace(b" [refuse]", b""))
        await run(*VEO, "batch", str(rejected), cwd=tmp_path, sim=sim)
    assert title_of(out / "index.html") == "Spring, second cut"
    assert "Surfing dog" in (out / "client.html").read_text("utf-8")
    assert "Shoes" in (out / "client.html").read_text("utf-8")
