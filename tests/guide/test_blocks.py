"""The comparison of outputs with what a page shows."""

import pytest

from .blocks import assert_output, expected_outputs

PAGE = """
```python
print(1)
```

```text
1
```

Text between them.

```python
print(2)
```

Not an output:

```text
2
```
"""


def test_text_right_after_a_block_is_its_output() -> None:
    """Another text block is not."""
    assert expected_outputs(PAGE) == {1: "1\n"}


def test_ellipsis_stands_for_any_text() -> None:
    """In a line, or for several lines."""
    assert_output("a 17 b\nc\nd\n", "a ... b\n...d\n")


@pytest.mark.parametrize("actual", ["a", "a 1 b", "x a 1 b c"])
def test_different_output_fails(actual: str) -> None:
    """All of the output counts, to its end."""
    with pytest.raises(AssertionError):
        assert_output(actual, "a ... b c")
