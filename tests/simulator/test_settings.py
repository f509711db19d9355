"""Options are checked when they are given."""

import re
from typing import Any

import pytest

from veo_async.errors import UsageError
from veo_async.simulator import MemoryTransport, Simulator, SimulatorSettings


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("dialect", "klingon", "is not a valid value; use one of 'real', "),
        ("speed", 0, "must be more than 0"),
        ("client_speed", 0, "must be more than 0"),
        ("credits", -1, "must be at least 0"),
        ("credits", "all", "must be a number"),
        ("rate", (0, 10.0), "must be a count and a window in seconds, e.g. (20, 10.0)"),
        ("rate", 20, "must be a count and a window in seconds, e.g. (20, 10.0)"),
        ("task_poll_rate", (0, 1.0), "must be a count and a window in seconds, e.g. (20, 10.0)"),
        ("limiter", "leaky", "is not a valid value; use one of 'sliding', "),
        ("failure_rate", 1.5, "must be between 0 and 1, e.g. 0.05"),
        ("port", 70000, "is not a port; use 1 to 65535"),
        ("rate_limit_style", "both", "is not a valid value; use one of 'body', 'http'"),
        ("retry_after", "minutes", "is not a valid value; use one of 'seconds', 'date'"),
        ("max_running", 0, "must be at least 1"),
        ("record_delay_form", "404", "is not a valid value; use one of '422', 'null'"),
    ],
)
def test_invalid_option_is_rejected(option: str, value: Any, rule: str) -> None:
    """The error names the option, its value and what is allowed."""
    with pytest.raises(UsageError, match=re.escape(f"{option}={value!r}: {rule}")):
        SimulatorSettings(**{option: value})


def test_unknown_option_raises_type_error() -> None:
    """A typo does not pass silently."""
    with pytest.raises(TypeError, match="sped"):
        Simulator(sped=60)


def test_options_override_settings() -> None:
    """Both frontends accept settings, options, or both."""
    settings = SimulatorSettings(speed=5)
    for frontend in (Simulator, MemoryTransport):
        assert frontend(settings, seed=3).settings == SimulatorSettings(speed=5, seed=3)


def test_repr_contains_no_secret() -> None:
    """Neither the API keys nor the webhook secret are shown."""
    text = repr(SimulatorSettings(api_key="secret-a", webhook_secret="secret-b", api_keys={"secret-c": "x"}))
    assert "secret" not in text


def test_api_key_is_random_by_default() -> None:
    """Each simulator has a different key."""
    assert Simulator().api_key != Simulator().api_key
    assert Simulator(api_key="mine").api_key == "mine"
