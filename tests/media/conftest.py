"""Whatever a download leaves behind fails its test, as in the runtime."""

from tests.runtime.conftest import leaves_nothing_behind

__all__ = ["leaves_nothing_behind"]
