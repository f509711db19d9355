"""Every text on the page about troubleshooting is what a user sees: each error is provoked."""

import re
from pathlib import Path

import pytest

import veo_async
from veo_async.simulator import Simulator

from .blocks import assert_output
from .symptoms import SYMPTOMS

pytestmark = pytest.mark.veo_virtual_time  # one of the errors needs a quarter of a minute

PAGE = (Path(veo_async.__file__).parent / "guide" / "troubleshooting.md").read_text("utf-8")
SHOWN = dict(re.findall(r"^### ([^\n]+)\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def test_page_shows_exactly_the_provoked_errors() -> None:
    """No heading without a test, and no test without a heading."""
    assert sorted(SHOWN) == sorted(SYMPTOMS)
    assert len(SHOWN) == PAGE.count("\n### ") == PAGE.count("```text")


@pytest.mark.parametrize("heading", SYMPTOMS)
async def test_shown_text_is_what_a_user_sees(heading: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Word for word, apart from the parts that differ."""
    monkeypatch.chdir(tmp_path)
    async with Simulator(duration_s=0.1) as sim:
        monkeypatch.setenv("VEO_BASE_URL", sim.url)
        monkeypatch.setenv("VEO_API_KEY", sim.api_key)
        assert_output(await SYMPTOMS[heading](sim, monkeypatch), SHOWN[heading])
