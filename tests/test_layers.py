"""Rules of the package's structure that import-linter cannot express."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "veo_async"
UPPER = [
    PACKAGE / "sync.py",
    *(file for name in ("cli", "batch", "accounts", "examples") for file in (PACKAGE / name).rglob("*.py")),
]


def private_attributes(source: str) -> Iterator[str]:
    """Yield ``object._name`` for every private attribute of another object than ``self`` or ``cls``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls"):
                yield f"{owner}.{node.attr}"


@pytest.mark.parametrize("file", UPPER, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_upper_packages_use_no_private_attribute(file: Path) -> None:
    """The public API is enough for our own command line, batches, examples and the synchronous session."""
    assert list(private_attributes(file.read_text("utf-8"))) == []


def test_private_attributes_are_found() -> None:
    """The check above can fail."""
    assert set(private_attributes("self._a = job._b.c + super()._d")) == {"job._b", "super()._d"}
