"""An attempt's callback token: it identifies the job of a callback even if the response to the request was lost.

A token has 26 characters of base32: 80 random bits, so that it cannot be guessed, and 48 bits of an HMAC with the
ledger's secret, so that the receiver can reject other tokens without a query to the ledger.
"""

import base64
import hmac
from typing import Final

#: Random bytes that `make_token` needs.
RANDOM_BYTES: Final = 10
_SIGNATURE_BYTES: Final = 6
_LENGTH: Final = 26
_PATH: Final = "/veo/cb/"
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_LETTERS: Final = frozenset(_ALPHABET)
#: Translates base32 letters to the digits that ``int(text, 32)`` reads.
_DIGITS: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_SPARE_BITS: Final = 2
_SPARE: Final = 0b11


def make_token(random_part: bytes, secret: bytes) -> str:
    """Return the token for *random_part*, which has `RANDOM_BYTES` bytes, signed with *secret*."""
    return base64.b32encode(random_part + _signature(random_part, secret)).decode("ascii").rstrip("=").lower()


def is_valid_token(text: str, secret: bytes) -> bool:
    """Return whether *text* was created with *secret*."""
    if len(text) != _LENGTH or not _LETTERS.issuperset(text):
        return False
    # Not with `base64`: its decoder takes longer than everything else that a forged callback costs.
    bits = int(text.translate(_DIGITS), 32)
    if bits & _SPARE:  # the last letter has two unused bits; require zeros, so that a token has one spelling
        return False
    signed = (bits >> _SPARE_BITS).to_bytes(RANDOM_BYTES + _SIGNATURE_BYTES, "big")
    return hmac.compare_digest(_signature(signed[:RANDOM_BYTES], secret), signed[RANDOM_BYTES:])


def callback_url(public_url: str, token: str) -> str:
    """Return the URL to which the provider posts the result of one attempt's task."""
    return f"{public_url.rstrip('/')}{_PATH}{token}"


def _signature(random_part: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, random_part, "sha256")[:_SIGNATURE_BYTES]
