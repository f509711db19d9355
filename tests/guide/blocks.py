"""The output that a page shows: a block of text right after a block of Python."""

import re

_SHOWN = re.compile(r"^```python\n(?:.*?)^```\n(?:\n```text\n(?P<output>.*?)^```)?", re.MULTILINE | re.DOTALL)


def expected_outputs(page: str) -> dict[int, str]:
    """Return the outputs that the text of a *page* shows, by the number of the block of Python."""
    shown = [block["output"] for block in _SHOWN.finditer(page)]
    return {number: output for number, output in enumerate(shown, start=1) if output is not None}


def assert_output(actual: str, expected: str) -> None:
    """Check that *actual* is what the page shows; ``...`` there stands for any text."""
    assert matches(actual, expected), f"the page shows\n{expected.rstrip()}\nbut this is printed\n{actual.rstrip()}"


def matches(actual: str, expected: str) -> bool:
    """Return True if *actual* is *expected*, in which ``...`` stands for any text."""
    pattern = ".*".join(map(re.escape, expected.rstrip().split("...")))
    return re.fullmatch(pattern, actual.rstrip(), re.DOTALL) is not None
