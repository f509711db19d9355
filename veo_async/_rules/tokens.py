"""An attempt's token: the path by which a callback finds the job whose answer was lost.

26 characters of base32: 80 random bits, so that nobody guesses one, and 48 bits of an HMAC under the ledger's secret,
so that whoever receives callbacks can throw away what is no token of ours without asking the ledger.
"""

import base64
import hmac
from typing import Final

#: Random bytes that `make_token` wants.
RANDOM_BYTES: Final = 10
_SIGNATURE_BYTES: Final = 6
_LENGTH: Final = 26
_PATH: Final = "/veo/cb/"
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_LETTERS: Final = frozenset(_ALPHABET)
#: From base32's letters to those in which Python reads numbers to the base of 32.
_DIGITS: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_SPARE_BITS: Final = 2
_SPARE: Final = 0b11


def make_token(random_part: bytes, secret: bytes) -> str:
    """The token made of *random_part*, `RANDOM_BYTES` of it, sealed with *secret*."""
    return base64.b32encode(random_part + _signature(random_part, secret)).decode("ascii").rstrip("=").lower()


def is_valid_token(text: str, secret: bytes) -> bool:
    """Whether *text* was minted with *secret*."""
    if len(text) != _LENGTH or not _LETTERS.issuperset(text):
        return False
    # By hand, as a number: the library's reader takes longer than everything else that a forged callback costs.
    bits = int(text.translate(_DIGITS), 32)
    if bits & _SPARE:  # its last letter has two bits to spare, and one token has one spelling
        return False
    sealed = (bits >> _SPARE_BITS).to_bytes(RANDOM_BYTES + _SIGNATURE_BYTES, "big")
    return hmac.compare_digest(_signature(sealed[:RANDOM_BYTES], secret), sealed[RANDOM_BYTES:])


def callback_url(public_url: str, token: str) -> str:
    """Where the provider is asked to post the end of the task that comes of one attempt."""
    return f"{public_url.rstrip('/')}{_PATH}{token}"


def _signature(random_part: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, random_part, "sha256")[:_SIGNATURE_BYTES]
