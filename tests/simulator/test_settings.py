"""Options are checked when they are given."""

from typing import Any

import pytest

from veo_async.errors import UsageError
from veo_async.simulator import MemoryTransport, Simulator, SimulatorSettings


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dialect", "klingon"),
        ("speed", 0),
        ("credits", -1),
        ("rate", (0, 10.0)),
        ("rate", 20),
        ("limiter", "leaky"),
        ("failure_rate", 1.5),
        ("port", 70000),
        ("rate_limit_style", "both"),
        ("retry_after", "minutes"),
        ("max_running", 0),
        ("record_delay_form", "404"),
    ],
)
def test_a_wrong_option_names_itself(option: str, value: Any) -> None:
    """The message holds the field, the value and what to write."""
    with pytest.raises(UsageError, match=f"{option}=.*write"):
        SimulatorSettings(**{option: value})


def test_an_unknown_option_is_refused() -> None:
    """A typing mistake does not pass silently."""
    with pytest.raises(TypeError, match="sped"):
        Simulator(sped=60)


def test_settings_and_options_go_together() -> None:
    """Both skins take a value, keywords, or a value changed by keywords."""
    settings = SimulatorSettings(speed=5)
    for skin in (Simulator, MemoryTransport):
        assert skin(settings, seed=3).settings == SimulatorSettings(speed=5, seed=3)


def test_no_key_shows_in_a_repr() -> None:
    """Neither the API key nor the webhook's."""
    told = repr(SimulatorSettings(api_key="secret-a", webhook_secret="secret-b", api_keys={"secret-c": "x"}))
    assert "secret" not in told


def test_a_key_is_made_up_when_none_is_given() -> None:
    """A different dummy for each simulator."""
    assert Simulator().api_key != Simulator().api_key
    assert Simulator(api_key="mine").api_key == "mine"
