"""Packed outcomes: small, and read again exactly."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo_async.ledger.sqlite.packing import pack, unpack

RECORDED = Path(__file__).parents[1] / "wire" / "recorded" / "real"


TEXTS = st.text() | st.text(st.characters(max_codepoint=127), min_size=100)


@given(text=TEXTS, request=st.none() | TEXTS)
def test_packed_text_is_read_again(text: str, request: str | None) -> None:
    """Any text, whatever the job's request."""
    assert unpack(pack(text, request, None), request, None) == text


def test_text_packed_with_another_request_stays_bytes() -> None:
    """The row is damaged, and counts as unreadable."""
    packed = pack('{"record": {}}', '{"prompt": "A dog"}')
    assert unpack(packed, '{"prompt": "A cat"}') == packed
    assert unpack(packed, 7) == packed


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
    """A record as the provider sends it, of a request that is not known."""
    record = json.loads((RECORDED / "record-info.success.json").read_text("utf-8"))["data"]
    text = json.dumps({"record": record}, sort_keys=True)
    packed = pack(text)
    assert packed is not None
    assert len(packed) < len(text) / 3


def test_values_packed_by_earlier_versions_can_be_read() -> None:
    """What most records contain never changes: these bytes are on users' disks."""
    assert (
        unpack(bytes.fromhex(PACKED), '{"prompt": "A dog"}', None) == '{"record": {"successFlag": 1, "taskId": "t1"}}'
    )


PACKED = "78bbedfff5d1ab464e9af88c2d3104960e0065210e83"
