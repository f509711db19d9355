"""Packed outcomes: small, and read again exactly."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async.ledger.sqlite.packing import pack, unpack

RECORDED = Path(__file__).parents[1] / "wire" / "recorded" / "real"


TEXTS = st.text() | st.text(st.characters(max_codepoint=127), min_size=100)


@given(text=TEXTS)
def test_packed_text_is_read_again(text: str) -> None:
    """Any text."""
    assert unpack(pack(text)) == text


def test_job_without_an_outcome_has_none() -> None:
    """Nothing is packed."""
    assert pack(None) is None
    assert unpack(None) is None


def test_text_of_an_older_ledger_is_read_as_it_is() -> None:
    """It was not packed."""
    assert unpack('{"error": {}}') == '{"error": {}}'


@pytest.mark.parametrize("cut", [0, 1, 5, -1])
def test_damaged_value_stays_bytes(cut: int) -> None:
    """So the row counts as unreadable, and is not read as another outcome."""
    packed = pack('{"record": {"taskId": "4c9a31a5bb61db65"}}')
    assert packed is not None
    assert unpack(packed[:cut]) == packed[:cut]


def test_recorded_outcome_is_packed_to_a_third() -> None:
    """A record as the provider sends it."""
    record = json.loads((RECORDED / "record-info.success.json").read_text("utf-8"))["data"]
    text = json.dumps({"record": record}, sort_keys=True)
    packed = pack(text)
    assert packed is not None
    assert len(packed) < len(text) / 3


def test_values_packed_by_earlier_versions_can_be_read() -> None:
    """The dictionary never changes: these bytes are on users' disks."""
    assert unpack(bytes.fromhex(PACKED)) == '{"record": {"successFlag": 1, "taskId": "t1"}}'


PACKED = "78bbe260efbaab464e87f8cc28310416050065210e83"
