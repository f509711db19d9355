"""Every code block of the README and the guide runs, and their tables, diagrams and links match the code."""

import asyncio
import inspect
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path

import attrs
import pytest

from veo_async import VeoSession, errors, settings
from veo_async._rules.pauses import PauseReason
from veo_async.cli import run as run_cli
from veo_async.models import UPGRADE_CREDITS
from veo_async.simulator import Simulator
from veo_async.simulator.provider import outcomes

from .fast_clock import SPEED
from .guide.blocks import assert_output, expected_outputs
from .guide.guarantees import GUARANTEES
from .guide_tables import GENERATED, GUIDE, with_generated_parts
from .programs import run, run_fast
from .rules.state_diagram import as_mermaid

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SKILL = GUIDE.parent / ".agents" / "skills" / "veo-async" / "SKILL.md"
PAGES = {path.stem: path for path in (README, SKILL, *sorted(GUIDE.glob("*.md")))}
TEXTS = {name: path.read_text("utf-8") for name, path in PAGES.items()}

#: Blocks that take several seconds, by page and number.
SLOW_BLOCKS = {"extend-and-upgrade-1"}
#: How many charges a block causes whose text or comments make a statement about it.
CHARGES = {
    "README-1": 1,
    "README-2": 30,
    "README-4": 1,
    "many-clips-1": 1,
    "costs-and-budgets-1": 2,
    "crashes-and-jobs-in-doubt-1": 3,
    "extend-and-upgrade-1": 3,
    "errors-1": 0,
    "get-started-1": 1,
    "get-started-2": 10,
    "concepts-1": 2,
    "from-a-while-loop-4": 1,
}


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of *page* in *language*."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXTS[page], re.MULTILINE | re.DOTALL)


PYTHON = {f"{page}-{number}": code for page in PAGES for number, code in enumerate(blocks(page, "python"), start=1)}
OUTPUTS = {f"{page}-{number}": text for page in PAGES for number, text in expected_outputs(TEXTS[page]).items()}
COMMANDS = {
    page: [line for code in blocks(page, "console") for line in code.splitlines() if line.startswith("veo-async ")]
    for page in PAGES
}
ALL_COMMANDS = list(dict.fromkeys(line for commands in COMMANDS.values() for line in commands))


def test_every_code_block_is_in_a_tested_language() -> None:
    """A block in another language would not be tested here."""
    languages = {language for text in TEXTS.values() for language in re.findall(r"^```(.+)$", text, re.MULTILINE)}
    assert languages <= {"python", "console", "mermaid", "text"}
    assert len(PYTHON) >= 18
    assert PYTHON.keys() >= SLOW_BLOCKS | CHARGES.keys()


@pytest.mark.parametrize(
    "block", [pytest.param(block, marks=[pytest.mark.slow] if block in SLOW_BLOCKS else []) for block in PYTHON]
)
async def test_python_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block is a complete program and runs unchanged, on a fast clock, against a simulator."""
    code = PYTHON[block]
    if "def test_" in code:
        (tmp_path / "test_block.py").write_text(code)
        (tmp_path / "conftest.py").write_text('pytest_plugins = ["veo_async.testing"]\n')
        (tmp_path / "pytest.ini").write_text(
            "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        )
        passed = f"{code.count('def test_')} passed"
        assert passed in await run(sys.executable, "-m", "pytest", "-q", "test_block.py", cwd=tmp_path)
        return
    (tmp_path / "block.py").write_text(code)
    async with Simulator(speed=SPEED, client_speed=SPEED) as sim:
        monkeypatch.setenv("KIE_API_KEY", sim.api_key)  # for programs that do not use this library
        monkeypatch.setenv("KIE_BASE_URL", sim.url)
        output = await run_fast(tmp_path / "block.py", cwd=tmp_path, sim=sim)
    sim.assert_no_double_charge()
    assert output.strip()
    assert "Traceback" not in output
    assert len(sim.charges) == CHARGES.get(block, len(sim.charges))
    if block in OUTPUTS:
        assert_output(output, OUTPUTS[block])


@pytest.mark.parametrize("command", [line for line in ALL_COMMANDS if line.startswith("veo-async simulator")])
async def test_simulator_command(command: str, tmp_path: Path) -> None:
    """Each simulator command starts a simulator."""
    arguments = re.sub(r"--port \d+ ?", "", command).split()[1:]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veo_async", *arguments, "--port", "0"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    process.terminate()
    await process.communicate()
    assert b"The simulator listens on http://127.0.0.1:" in line


@pytest.mark.slow
async def test_demo_command(tmp_path: Path) -> None:
    """`veo-async demo` saves eight of nine clips as playable files and prints their paths."""
    output = await run(sys.executable, "-m", "veo_async", "demo", cwd=tmp_path)
    clips = sorted((tmp_path / "veo-out").glob("*.mp4"))
    assert len(clips) == 8
    assert all(clip.read_bytes()[4:8] == b"ftyp" for clip in clips)
    assert "8 of 9 clips saved under veo-out/ (8 saved, 1 refused)" in output
    assert all(str(clip.relative_to(tmp_path)) in output for clip in clips)


def test_readme_contains_the_install_and_test_commands() -> None:
    """They are the commands that CI runs."""
    readme = TEXTS["README"]
    assert "python -m venv .venv && . .venv/bin/activate && pip install -e '.[cli]' && veo-async demo\n" in readme
    assert re.search(r"^pip install -e '\.\[test\]' && python -m pytest$", readme, re.MULTILINE)


def test_readme_is_short() -> None:
    """Details belong to the guide."""
    assert len(TEXTS["README"].splitlines()) <= 200


def test_links_lead_from_the_readme_to_every_guide_page() -> None:
    """Each page of the guide can be found by following links."""
    found: set[str] = set()
    unread = ["README"]
    while unread:
        page = unread.pop()
        linked = set(re.findall(r"\((?:veo_async/guide/)?([\w-]+)\.md(?:#[\w-]+)?\)", TEXTS[page])) & PAGES.keys()
        unread += linked - found
        found |= linked
    assert found >= PAGES.keys() - {"README", "SKILL"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_existing_files_headings_and_tests(page: str) -> None:
    """Each relative link names an existing file, its anchor a heading of that page, its title a test in that file."""
    for target, anchor, title in re.findall(r'\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?(?: "(\w+)")?\)', TEXTS[page]):
        path = PAGES[page].parent / target if target else PAGES[page]
        assert path.exists(), target
        if anchor:
            assert anchor in headings(path.read_text("utf-8")), (target, anchor)
        if title:
            assert defines(path, title), (target, title)


def headings(text: str) -> set[str]:
    """Return the anchors of the headings in *text*, as code hosts derive them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def defines(path: Path, function: str) -> bool:
    """Return True if the Python file *path* defines *function*."""
    return bool(re.search(rf"^(async )?def {function}\(", path.read_text("utf-8"), re.MULTILINE))


def test_readme_reasons_name_the_tests_that_prove_them() -> None:
    """Each of the five reasons not to write a loop links to a test."""
    reasons = TEXTS["README"].partition("## Why not a while-loop?")[2].partition("\n## ")[0]
    assert len(re.findall(r"^- \*\*", reasons, re.MULTILINE)) == 5
    assert len(re.findall(r'\(\[test\]\(tests/[\w/]+\.py "test_\w+"\)\)', reasons)) == 5


def test_guarantees_name_existing_tests() -> None:
    """Every test that the list of guarantees names exists."""
    named = [test.split("::") for statements in GUARANTEES.values() for _, test in statements]
    assert len(named) >= 20
    for file, name in named:
        assert defines(ROOT / file, name), name


def test_proofs_name_exactly_the_existing_benchmarks() -> None:
    """The table of figures names all benchmarks and no others."""
    existing = {path.name for path in (ROOT / "benchmarks").glob("[a-z]*.py")}
    assert set(re.findall(r"`python benchmarks/(\w+\.py)`", TEXTS["proofs"])) == existing


@pytest.mark.parametrize("page", GENERATED)
def test_generated_part_is_up_to_date(page: str) -> None:
    """Run ``python -m tests.guide_tables`` after a change of anything that the tables list."""
    assert all(generate() in TEXTS[page] for generate in GENERATED[page])
    assert with_generated_parts(page, TEXTS[page]) == TEXTS[page]


def test_upgrade_prices_match_the_models() -> None:
    """The page about costs names the price of each upgrade."""
    for target, price in UPGRADE_CREDITS.items():
        assert re.search(rf"\b{price:g} (credits )?to {target}\b", TEXTS["costs-and-budgets"], re.IGNORECASE)


def test_simulator_page_explains_every_word_in_a_prompt() -> None:
    """The table of words lists those that the simulator understands, and no others."""
    words = set(re.findall(r"^(\[[\w-]+\])", outcomes.__doc__ or "", re.MULTILINE))
    assert len(words) >= 10
    assert set(re.findall(r"`(\[[\w-]+\])`", TEXTS["simulator"])) == words


def test_only_one_state_diagram_exists() -> None:
    """The diagram is generated from the table that the code uses; no page has another one."""
    diagrams = [diagram for page in PAGES for diagram in blocks(page, "mermaid") if "stateDiagram" in diagram]
    assert diagrams == [as_mermaid()]


def test_configuration_names_every_argument_and_setting() -> None:
    """The tables of the configuration page list all arguments of the session and all fields of the settings objects."""
    rows = "\n".join(line.split("|")[1] for line in TEXTS["configuration"].splitlines() if line.startswith("| `"))
    documented = set(re.findall(r"`(\w+)`", rows))
    arguments = {name for name in inspect.signature(VeoSession).parameters if name != "self"}
    kinds = (settings.Limits, settings.Credits, settings.Files, settings.Network, settings.Callbacks)
    fields = {field.name for kind in kinds for field in attrs.fields(kind)}
    assert arguments | fields <= documented


def test_layers_match_the_import_contract() -> None:
    """The table of layers lists the layers that import-linter enforces, from top to bottom."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = [set(re.findall(r"\w+", layer)) for layer in contracts[0]["layers"]]
    modules = {path.stem for path in (ROOT / "veo_async").iterdir()}
    existing = [layer & modules for layer in layers]
    section = TEXTS["architecture"].partition("## The layers")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == existing


def test_pause_table_lists_every_reason() -> None:
    """The page about many clips explains every reason for which a session pauses."""
    section = TEXTS["many-clips"].partition("## Pauses")[2]
    assert re.findall(r"^\| `([a-z-]+)`", section, re.MULTILINE) == [*PauseReason]


def test_architecture_names_existing_modules() -> None:
    """Each path on the architecture page exists, relative to the package or to the runtime."""
    paths = set(re.findall(r"`((?:[\w-]+/)+[\w.]*|\w+\.py)`", TEXTS["architecture"]))
    assert len(paths) >= 20
    bases = (ROOT, ROOT / "veo_async", ROOT / "veo_async" / "_runtime")
    assert [path for path in sorted(paths) if not any((base / path).exists() for base in bases)] == []


@pytest.mark.slow
async def test_commands_succeed_in_the_order_of_the_guide(tmp_path: Path) -> None:
    """A user who runs them one after the other gets exit code 0 each time."""
    lines = [
        line
        for line in COMMANDS["command-line"]
        if re.match(r"veo-async (doctor|generate|upload|batch|resume|jobs|contact-sheet) ", f"{line} ")
    ]
    assert len(lines) == 10
    (tmp_path / "first.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (tmp_path / "prompts.csv").write_text("prompt\nA cat that is not impressed\n")
    async with Simulator(duration_s=0.2) as sim:
        for line in lines:
            await run(sys.executable, "-m", "veo_async", *shlex.split(line)[1:], cwd=tmp_path, sim=sim)
    assert len(sim.charges) == 2
    assert (tmp_path / "dog.mp4").exists()
    assert (tmp_path / "prompts-out" / "index.html").exists()
    assert (tmp_path / "prompts-out" / "sheet.webp").exists()
    assert (tmp_path / "prompts-out" / "ledger.db").exists()


def test_readme_commands_are_those_of_the_guide() -> None:
    """The guide's commands are run in order; the README repeats some of them and lists the jobs of the batch."""
    batch_jobs = "veo-async jobs prompts-out/ledger.db"
    assert set(COMMANDS["README"]) <= {*COMMANDS["command-line"], batch_jobs}


@pytest.mark.parametrize("command", [line for line in ALL_COMMANDS if re.match(r"veo-async (ledger|timeline)", line)])
def test_ledger_command(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command is parsed; it fails only because the ledger file does not exist."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        run_cli(command.split()[1:])
    assert exit_.value.code == 2
    assert "veo.db does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES)
def test_session_attributes_in_text_exist(page: str) -> None:
    """Each ``veo.name`` and ``veo.name.attribute`` in the text is an attribute of a session."""
    veo = VeoSession("key-for-a-test")
    text = re.sub(r"veo\.db|/veo\.\w+", "", TEXTS[page])
    for name, attribute in set(re.findall(r"\bveo\.([a-z_]+)(?:\.([a-z_]+))?", text)):
        assert hasattr(veo, name), name
        assert not attribute or hasattr(type(getattr(veo, name)), attribute), (name, attribute)


def test_errors_page_names_existing_errors() -> None:
    """Each class that the errors page names is an error."""
    names = set(re.findall(r"`([A-Z]\w+)`", TEXTS["errors"]))
    assert len(names) >= 10
    assert all(issubclass(getattr(errors, name), errors.VeoError) for name in names)
