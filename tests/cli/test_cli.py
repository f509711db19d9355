"""The command line as a process: exit codes and error messages."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from veo_async import VeoApi, VideoRequest
from veo_async.errors import NotFound


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
    """Exit code 2, and the message names the option."""
    done = veo("demo", "--no-such-option", cwd=tmp_path)
    assert done.returncode == 2
    assert "no-such-option" in done.stdout + done.stderr


def test_verbose_adds_codes_and_ids_to_an_error(tmp_path: Path) -> None:
    """Without ``-v`` an error is one or two sentences; with it, each fact has its own line."""
    unreachable = {"VEO_API_KEY": "sk-0123456789abcdef", "VEO_BASE_URL": "http://127.0.0.1:9"}
    plain, verbose = (veo("credits", *flag, cwd=tmp_path, **unreachable) for flag in ((), ("-v",)))
    assert plain.returncode == verbose.returncode == 1
    assert "bytes_sent" not in plain.stderr
    assert plain.stderr.strip() in verbose.stderr
    assert "\n  endpoint: credit\n  bytes_sent: 0\n" in verbose.stderr


def test_invalid_value_is_a_usage_error(tmp_path: Path) -> None:
    """The library's own error message instead of a traceback."""
    done = veo("simulator", "--speed", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "speed" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_cli_extra_is_reported_with_the_install_command(tmp_path: Path) -> None:
    """The library is installed, but cyclopts is not."""
    (tmp_path / "cyclopts.py").write_text("raise ModuleNotFoundError('no', name='cyclopts')")
    done = veo("demo", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "pip install 'veo-async[cli]'" in done.stderr


def test_unwritable_output_folder_is_a_usage_error(tmp_path: Path) -> None:
    """Exit code 2 and a remedy, before anything is generated."""
    (tmp_path / "file").write_text("")
    done = veo("demo", "--out", "file/clips", cwd=tmp_path)
    assert done.returncode == 2
    assert "choose a writable folder" in done.stderr


@asynccontextmanager
async def simulator(*options: str, cwd: Path) -> AsyncIterator[VeoApi]:
    """Run the command until the block ends, as Ctrl-C does; yield a client of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veo_async", "simulator", "--port", "0", "--speed", "60", "--api-key", "dummy-key"),
        *options,
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+", (await process.stdout.readline()).decode())
        assert address is not None
        async with VeoApi("dummy-key", base_url=address[0]) as api:
            yield api
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert b"Traceback" not in errors
    assert process.returncode == 130


async def test_simulator_serves_until_ctrl_c(tmp_path: Path) -> None:
    """It prints its URL and key, serves a real client and injects the requested fault."""
    async with simulator("--fault", "rate-limited:generate:1", "--dialect", "real", cwd=tmp_path) as api:
        with pytest.raises(Exception, match="too high"):
            await api.generate(VideoRequest("a dog"))
        assert (await api.generate(VideoRequest("a dog"))).task_id


async def test_simulator_closes_the_veo_route_after_the_given_number_of_clips(tmp_path: Path) -> None:
    """With read-only the record of the task that was created before can still be read."""
    async with simulator("--old-route", "read-only", "--old-route-after", "1", cwd=tmp_path) as api:
        task_id = (await api.generate(VideoRequest("a dog"))).task_id
        with pytest.raises(NotFound):
            await api.generate(VideoRequest("a cat"))
        assert (await api.record_info(task_id)).task_id == task_id


def test_unknown_fault_is_a_usage_error_that_lists_all_faults(tmp_path: Path) -> None:
    """Exit code 2."""
    done = veo("simulator", "--port", "0", "--fault", "explode:generate:1", cwd=tmp_path)
    assert done.returncode == 2
    assert "drop-after-accepting" in done.stderr
