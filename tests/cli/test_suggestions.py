"""Each command that the command line suggests, typed into a real shell as it is printed: it must do what it says.

The folder, the list and the ledger have names with blanks.
"""

import asyncio
import os
import re
import shlex
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from veo_async.cli.app import app, run
from veo_async.simulator import Simulator, delay, drop_after_accepting

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="there is no POSIX shell"),
    pytest.mark.slow,
]

#: A command after "Next:" or below it, up to a remark that three blanks set off; or at the end of a sentence.
_SUGGESTED = re.compile(r"(?:Next: |^      |\b(?:[Ss]ee|with) )(veo-async .+?)(?:   \S.*|\.)?$", re.MULTILINE)
_FUNCTION = f'veo-async() {{ {shlex.quote(sys.executable)} -m veo_async "$@"; }}; '
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def suggested(output: str) -> list[str]:
    return [found[1] for found in _SUGGESTED.finditer(output)]


class Shell:
    """A shell in one folder, whose programs use one simulator."""

    def __init__(self, folder: Path, sim: Simulator | None, *, exports_key: bool = True) -> None:
        self.folder = folder
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("KIE_", "VEO_"))}
        key = {"VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key} if sim and exports_key else {}
        self._environment = {**ours, **key, "COLUMNS": "60", "PYTHONUNBUFFERED": "1"}

    async def start(self, line: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-c", _FUNCTION + line),
            cwd=self.folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def type(self, line: str, *exits: int) -> str:
        """Type *line*; return what it prints. It must end with one of the codes *exits*, by default 0."""
        process = await self.start(line)
        output = (await process.communicate())[0].decode()
        assert process.returncode in (exits or (0,)), f"{line}\n{output}"
        assert "Traceback" not in output
        return output

    async def interrupt(self, line: str, text: bytes, exits: int) -> str:
        """Type *line*, press Ctrl-C once it has printed *text*, and return what it prints from then on."""
        process = await self.start(line)
        assert process.stdout is not None
        while text not in (printed := await process.stdout.readline()):
            assert printed, f"{line} ended without {text!r}"
        os.killpg(process.pid, signal.SIGINT)
        rest = (await process.communicate())[0].decode()
        assert process.returncode == exits, rest
        return rest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "my clips"
    path.mkdir()
    return path


async def test_suggestions_of_the_demo(folder: Path) -> None:
    """The page exists, the timeline is printed, and the simulator's options are right."""
    shell = Shell(folder, None)
    output = await shell.type("veo-async demo --out 'my demo'")
    page = re.search(r"Next: open (.+) in a browser", output)
    assert page is not None
    assert (folder / page[1]).is_file()
    timeline, simulator = suggested(output)
    assert "surfing-dog" in await shell.type(timeline)
    app.parse_args(shlex.split(simulator)[1:], exit_on_error=False, print_error=False)


async def test_suggestions_of_a_clip_that_is_saved_refused_or_in_doubt(folder: Path) -> None:
    """A job in doubt leads to the three ways to settle it, and each of them to its timeline."""
    async with Simulator(duration_s=0.1, faults=[drop_after_accepting(on=range(3, 6))]) as sim:
        shell = Shell(folder, sim)
        for prompt, code in (("A dog", 0), ("A cat [refuse]", 3)):
            [jobs] = suggested(await shell.type(f"veo-async generate '{prompt}' --ledger 'my veo.db'", code))
            assert "1 saved" in await shell.type(jobs)
        for animal in ("fox", "owl", "bee"):
            line = f"veo-async generate 'A {animal}' --ledger 'my veo.db' --key 'my {animal}'"
            [in_doubt] = suggested(await shell.type(line, 4))
        assert suggested(await shell.type("veo-async jobs 'my veo.db'")) == [in_doubt]
        assert suggested(await shell.type("veo-async doctor --ledger 'my veo.db'"))[0] == in_doubt
        task_ids = {str(charge.body["prompt"]): charge.task_id for charge in sim.charges}
        for number, state in enumerate(("running", "queued", "abandoned")):
            choices = suggested(await shell.type(in_doubt))
            assert len(choices) == 3
            animal = ("fox", "owl", "bee")[number]
            choice = choices[number].replace("TASK_ID", task_ids[f"A {animal}"])
            output = await shell.type(choice)
            assert f"Job my {animal} is {state}." in output
            [timeline] = suggested(output)
            assert f"my {animal}" in await shell.type(timeline)


async def test_suggestions_of_a_list_with_invalid_and_refused_rows(folder: Path) -> None:
    """Check, skip the invalid rows, run the rejected ones again."""
    (folder / "my list.csv").write_text("key,prompt,seeds\na b,A dog,\nc,A cat [refuse],\nd,A fox,7\n")
    async with Simulator(duration_s=0.1) as sim:
        shell = Shell(folder, sim)
        [skip] = suggested(await shell.type("veo-async batch 'my list.csv'", 2))
        assert sim.charges == ()
        [run_it] = suggested(await shell.type(f"{skip} --dry-run"))
        assert run_it == skip
        [again] = suggested(await shell.type(run_it, 3))
        assert "rejected.csv" in again
        rejected = folder / "my list-out" / "rejected.csv"
        rejected.write_bytes(rejected.read_bytes().replace(b" [refuse]", b"").replace(b",7", b","))
        output = await shell.type(again)
        assert "2 saved" in output
        page = re.search(r"Next: open (.+) in a browser", output)
        assert page is not None
        assert (folder / page[1]).is_file()
        assert len(sim.charges) == 3


async def test_suggestions_of_a_list_beyond_its_budget_or_in_doubt(folder: Path) -> None:
    """A larger budget sends the other rows; a job in doubt comes first."""
    (folder / "my list.csv").write_text("prompt\nA dog\nA cat\n")
    async with Simulator(duration_s=0.1, faults=[drop_after_accepting(on=2)]) as sim:
        shell = Shell(folder, sim)
        [larger] = suggested(await shell.type("veo-async batch 'my list.csv' --out 'my out' --budget=60", 3))
        [in_doubt] = suggested(await shell.type(larger, 4))
        assert len(suggested(await shell.type(in_doubt))) == 3


async def test_suggestions_of_interrupted_commands(folder: Path) -> None:
    """The same command continues; nothing is paid for twice."""
    (folder / "my list.csv").write_text("prompt\nA dog\nA cat\n")
    async with Simulator(duration_s=3.0) as sim:
        shell = Shell(folder, sim)
        line = "veo-async generate 'A fox' --key 'my fox' --ledger 'my veo.db' --out clips/"
        [again] = suggested(await shell.interrupt(line, b"generating", 130))
        assert "my fox: saved clips" in await shell.type(again)
        line = "veo-async batch 'my list.csv' --stop-timeout 0.1"
        process = await shell.start(line)
        while len(sim.charges) < 3:  # noqa: ASYNC110  # the simulator announces no charge
            await asyncio.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        [again] = suggested((await process.communicate())[0].decode())
        assert process.returncode == 5
        resume = "veo-async resume 'my list-out/ledger.db' --out 'my list-out' --stop-timeout 0.1"
        [resume_again] = suggested(await shell.interrupt(resume, b"On the ledger", 5))
        assert resume_again == resume
        assert "2 saved" in await shell.type(again)
        assert len(sim.charges) == 3


async def test_suggestions_of_doctor_and_of_a_missing_key(folder: Path) -> None:
    """With the file that holds the key; without one, the same check again."""
    async with Simulator(duration_s=0.1) as sim:
        shell = Shell(folder, sim, exports_key=False)
        (folder / "my keys.env").write_text(f"KIE_API_KEY={sim.api_key}\nVEO_BASE_URL={sim.url}\n")
        [generate] = suggested(await shell.type("veo-async doctor --env-file 'my keys.env'"))
        [jobs] = suggested(await shell.type(generate))
        await shell.type(jobs)
        output = await shell.type("veo-async doctor", 1)
        assert output.count("no  ") == 1
        assert "export KIE_API_KEY=KEY" in output
        [again] = suggested(output)
        assert await shell.type(again, 1) == output


async def test_suggestion_of_upload(folder: Path) -> None:
    """A clip of the images."""
    (folder / "first one.png").write_bytes(PNG)
    async with Simulator(duration_s=0.1) as sim:
        shell = Shell(folder, sim)
        [generate] = suggested(await shell.type("veo-async upload 'first one.png'"))
        await shell.type(generate)
        assert sim.charges[0].body["imageUrls"]


async def test_suggestions_of_a_restored_ledger(folder: Path) -> None:
    """List its jobs, then use it anyway with the options that were typed."""
    async with Simulator(duration_s=0.1, faults=[delay(1.0, endpoint="record-info")]) as sim:
        shell = Shell(folder, sim)
        ledger, backup = folder / "my veo.db", folder / "backup.db"
        generate = "veo-async generate 'A dog' --ledger 'my veo.db' --account studio --out 'my out/'"
        rest = await shell.interrupt(generate, b"generating", 130)
        assert suggested(rest)
        with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(backup)) as copy:
            source.backup(copy)
        await shell.type(f"{generate} --key other")
        backup.replace(ledger)
        jobs, anyway, *_ = suggested(await shell.type("veo-async resume 'my veo.db' --account studio", 1))
        assert "1 job:" in await shell.type(jobs)
        assert "--account studio --accept-restored" in anyway
        await shell.type(anyway)


async def test_suggestions_for_wrong_keys_and_words(folder: Path) -> None:
    """The list of jobs, or the help."""
    async with Simulator(duration_s=0.1) as sim:
        shell = Shell(folder, sim)
        await shell.type("veo-async generate 'A dog' --ledger 'my veo.db'")
        for line, code in (
            ("veo-async timeline 'my veo.db' none", 2),
            ("veo-async save 'my veo.db' none", 3),
            ("veo-async jbs", 2),
            ("veo-async ledger resolve 'my veo.db'", 2),
            ("veo-async generate A dog", 2),
        ):
            [suggestion] = suggested(await shell.type(line, code))
            await shell.type(suggestion)


def test_commands_of_the_short_start_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Each exists, with these arguments."""
    with pytest.raises(SystemExit):
        run([])
    commands = re.findall(r"^  (veo-async .+?)  ", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
