"""The command line: exit codes, help, and words that say what to do."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from veo_async import VeoApi, VideoRequest


def veo(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "veo_async", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    """Exit code 2, and the option is named."""
    done = veo("demo", "--no-such-option", cwd=tmp_path)
    assert done.returncode == 2
    assert "no-such-option" in done.stdout + done.stderr


def test_bad_value_is_a_usage_error(tmp_path: Path) -> None:
    """An error of ours, with its remedy, instead of a traceback."""
    done = veo("simulator", "--speed", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "speed" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """A library installation without cyclopts tells the one command that is missing."""
    (tmp_path / "cyclopts.py").write_text("raise ModuleNotFoundError('no', name='cyclopts')")
    done = veo("demo", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "pip install 'veo-async[cli]'" in done.stderr


def test_out_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    """Before anything is made, and with what to do: exit code 2."""
    (tmp_path / "file").write_text("")
    done = veo("demo", "--out", "file/clips", cwd=tmp_path)
    assert done.returncode == 2
    assert "choose a writable folder" in done.stderr


async def test_simulator_serves_until_it_is_stopped(tmp_path: Path) -> None:
    """It prints its address and key, serves a real client with the fault asked for, and ends on Ctrl-C."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veo_async", "simulator", "--port", "0", "--speed", "60", "--api-key", "dummy-key"),
        *("--fault", "rate-limited:generate:1", "--dialect", "real"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+", (await process.stdout.readline()).decode())
        assert address is not None
        async with VeoApi("dummy-key", base_url=address[0]) as api:
            with pytest.raises(Exception, match="too high"):
                await api.generate(VideoRequest("a dog"))
            assert (await api.generate(VideoRequest("a dog"))).task_id
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert b"Traceback" not in errors
    assert process.returncode == 130


def test_bad_fault_is_a_usage_error(tmp_path: Path) -> None:
    """The word that is wrong, and the words that there are."""
    done = veo("simulator", "--port", "0", "--fault", "explode:generate:1", cwd=tmp_path)
    assert done.returncode == 2
    assert "drop-after-accepting" in done.stderr
