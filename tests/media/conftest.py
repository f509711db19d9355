"""A download that leaves tasks or threads behind fails its test, as in the tests of the runtime."""

from tests.runtime.conftest import leaves_nothing_behind

__all__ = ["leaves_nothing_behind"]
