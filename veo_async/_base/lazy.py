"""Names that a module imports when they are first used (PEP 562), so that importing the library takes little time.

::

    if TYPE_CHECKING:
        from .session import VeoSession
    else:
        __getattr__, __dir__ = lazy_names(__name__, {".session": "VeoSession"})

Type checkers and editors read the first branch, Python the second; a test compares them.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

#: What a module with lazy names imports for their sake; `dir` does not show it.
_OWN = {"TYPE_CHECKING", "lazy_names"}


def lazy_names(module: str, sources: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for *module*.

    Args:
        module: the ``__name__`` of the module.
        sources: relative names of modules, each with the names to import from it, separated by spaces. From ``"."``
            submodules are imported.
    """
    source_of = {name: source for source, names in sources.items() for name in names.split()}
    namespace = sys.modules[module].__dict__
    package = namespace["__package__"]

    def load(name: str) -> Any:
        if name not in source_of:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        source = source_of[name]
        value = import_module(f".{name}", package) if source == "." else getattr(import_module(source, package), name)
        namespace[name] = value  # the next access does not come here
        return value

    return load, lambda: sorted({*namespace, *source_of} - _OWN)
