"""The public surface: its names, their order, and what an import loads."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import attrs
import pytest

import veo_async
from veo_async._wire.requests import ExtendOptions, ExtendRequest, VideoOptions, VideoRequest


def test_all_is_sorted_and_complete() -> None:
    """``__all__`` lists exactly the visible public names."""
    visible = {
        name
        for name in dir(veo_async)
        if not name.startswith("_") and (not isinstance(getattr(veo_async, name), ModuleType) or name == "errors")
    }
    assert veo_async.__all__ == sorted(veo_async.__all__)
    assert set(veo_async.__all__) - {"__version__"} == visible
    assert len(veo_async.__all__) <= 22


def test_typed_options_are_the_fields_of_their_requests() -> None:
    """The keyword arguments known to type checkers are those of the requests."""
    assert set(VideoOptions.__annotations__) == {f.name for f in attrs.fields(VideoRequest)} - {"prompt"} | {"image"}
    extension = {f.name for f in attrs.fields(ExtendRequest)}
    assert set(ExtendOptions.__annotations__) == extension - {"task_id", "prompt", "after_key"}


def loaded_by(program: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after *program*."""
    command = [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_import_of_the_package_loads_nothing_else() -> None:
    """Each name is imported when it is first used."""
    loaded = loaded_by("import veo_async")
    ours = {name for name in loaded if name.startswith("veo_async")}
    assert ours == {"veo_async", "veo_async._base", "veo_async._base.lazy", "veo_async._version"}
    assert loaded & {"aiohttp", "anyio", "attrs", "cattrs"} == set()


def test_session_without_a_ledger_loads_no_optional_module() -> None:
    """Neither the simulator, the command line and optional packages, nor SQLite."""
    loaded = loaded_by("from veo_async import VeoSession; VeoSession('k' * 32)")
    assert "veo_async._runtime.engine" in loaded
    assert not loaded & OPTIONAL


#: Modules that no session needs, or only one that says so.
OPTIONAL = {
    *("av", "cyclopts", "hypothesis", "looptime", "pytest", "rich", "sqlite3"),
    *(
        "veo_async.accounts",
        "veo_async.batch",
        "veo_async.cli",
        "veo_async.simulator",
        "veo_async.sync",
        "veo_async.testing",
    ),
    *("veo_async._wire.comparison", "veo_async.ledger.memory", "veo_async.ledger.sqlite"),
    *("veo_async.media.image_probe", "veo_async.webhooks.asgi", "veo_async.webhooks.routes"),
}


def test_open_session_imports_nothing_while_it_generates_a_clip() -> None:
    """An import would block the event loop, and so all other jobs."""
    program = """
import asyncio, sys
from veo_async import VeoSession
from veo_async.settings import Network
from veo_async.simulator import MemoryTransport
from veo_async.simulator.fast_loop import fast_loop

async def main():
    transport = MemoryTransport()
    async with VeoSession(transport.api_key, network=Network(transport=transport)) as veo:
        before = set(sys.modules)
        await veo.generate("a cat")
        print(sorted(name for name in set(sys.modules) - before if name.startswith("veo_async")))

with asyncio.Runner(loop_factory=fast_loop(500.0)) as runner:
    runner.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def lazy_modules() -> list[Path]:
    """Return the modules that import names when they are first used."""
    package = Path(veo_async.__file__).parent
    paths = [path for path in package.rglob("*.py") if "lazy_names(" in path.read_text("utf-8")]
    return [path for path in paths if path.name != "lazy.py"]


@pytest.mark.parametrize("path", lazy_modules(), ids=lambda path: "/".join(path.parts[-2:]))
def test_lazy_names_are_those_of_the_type_checker(path: Path) -> None:
    """Both branches of such a module import the same names from the same modules."""
    [branch] = [
        node
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and node.orelse
    ]
    [call] = [node for node in ast.walk(branch) if isinstance(node, ast.Call)]
    lazy = {source: set(names.split()) for source, names in ast.literal_eval(call.args[1]).items()}
    imports = [node for node in branch.body if isinstance(node, ast.ImportFrom)]
    checked = {"." * node.level + (node.module or ""): {name.name for name in node.names} for node in imports}
    assert {source: checked.get(source) for source in lazy} == lazy
    assert set().union(*lazy.values()) <= set(dir(importlib.import_module(module_of(path))))


def module_of(path: Path) -> str:
    """Return the name of the module in the file *path*."""
    parts = path.relative_to(Path(veo_async.__file__).parent.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def test_unknown_name_raises_attribute_error() -> None:
    """As of any module; `hasattr` and ``from`` depend on it."""
    with pytest.raises(AttributeError, match="module 'veo_async' has no attribute 'VeoSesion'"):
        veo_async.VeoSesion  # type: ignore[attr-defined]  # noqa: B018  # the misspelling is the point


def test_logging_is_silent_by_default() -> None:
    """Without configuration, the library prints no log messages."""
    program = "import logging, veo_async; logging.getLogger('veo_async.x').warning('psst')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
