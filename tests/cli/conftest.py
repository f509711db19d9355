"""What the tests of the command line share."""

import pytest

from veo_async.cli.invocation import Invocation, begin


@pytest.fixture(autouse=True)
def _no_options() -> None:
    """Let no test see the options of another one's command."""
    begin(Invocation())
