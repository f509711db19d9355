"""The signature of a callback, checked with a known example."""

import base64

import pytest

from veo_async._wire import sign_callback
from veo_async._wire.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER

TASK_ID = "ee9c2715375b7837f8bb51d641ff5863"


def test_signature_matches_the_known_example() -> None:
    """Standard padded Base64 of 44 characters."""
    signature = sign_callback(TASK_ID, 1769670760, "test-hmac-key")
    assert signature == "Rnkdt30BYrQRHRTTZPVbPWvpV8NX6sTTZvi7GJmVyu4="
    assert len(base64.b64decode(signature, validate=True)) == 32


@pytest.mark.parametrize(
    ("task_id", "timestamp", "key"),
    [
        (TASK_ID[:-1] + "4", 1769670760, "test-hmac-key"),
        (TASK_ID, 1769670761, "test-hmac-key"),
        (TASK_ID, 1769670760, "x"),
    ],
)
def test_every_part_changes_the_signature(task_id: str, timestamp: int, key: str) -> None:
    """Another task, another second or another key gives another signature."""
    assert sign_callback(task_id, timestamp, key) != sign_callback(TASK_ID, 1769670760, "test-hmac-key")


def test_key_is_encoded_as_utf8() -> None:
    """Keys may contain other characters than ASCII."""
    assert len(sign_callback(TASK_ID, 1, "schlüssel")) == 44


def test_header_names_are_the_documented_ones() -> None:
    """The names on the wire."""
    assert (SIGNATURE_HEADER, TIMESTAMP_HEADER) == ("X-Webhook-Signature", "X-Webhook-Timestamp")
