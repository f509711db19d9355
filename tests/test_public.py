"""The public surface: its names, their order, and what an import loads."""

import subprocess
import sys
from types import ModuleType

import attrs

import veo_async
from veo_async._wire.requests import ExtendOptions, ExtendRequest, VideoOptions, VideoRequest


def test_all_is_sorted_and_complete() -> None:
    """``__all__`` lists exactly the visible public names."""
    visible = {
        name
        for name, value in vars(veo_async).items()
        if not name.startswith("_") and (not isinstance(value, ModuleType) or name == "errors")
    }
    assert veo_async.__all__ == sorted(veo_async.__all__)
    assert set(veo_async.__all__) - {"__version__"} == visible
    assert len(veo_async.__all__) <= 22


def test_typed_options_are_the_fields_of_their_requests() -> None:
    """The keyword arguments known to type checkers are those of the requests."""
    assert set(VideoOptions.__annotations__) == {f.name for f in attrs.fields(VideoRequest)} - {"prompt"} | {"image"}
    extension = {f.name for f in attrs.fields(ExtendRequest)}
    assert set(ExtendOptions.__annotations__) == extension - {"task_id", "prompt", "after_key"}


def test_import_loads_only_the_core() -> None:
    """The simulator, the command line and optional packages are not imported."""
    program = "import sys, veo_async; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "veo_async._api" in loaded
    optional = {"cyclopts", "rich", "pytest", "hypothesis", "looptime", "av", "sqlite3"}
    assert loaded & (optional | {"veo_async.simulator", "veo_async.cli", "veo_async.testing"}) == set()


def test_logging_is_silent_by_default() -> None:
    """Without configuration, the library prints no log messages."""
    program = "import logging, veo_async; logging.getLogger('veo_async.x').warning('psst')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
