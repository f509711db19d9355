"""An attempt's token: the path by which a callback finds the job whose answer was lost.

26 characters of base32: 80 random bits, so that nobody guesses one, and 48 bits of an HMAC under the ledger's secret,
so that whoever receives callbacks can throw away what is no token of ours without asking the ledger.
"""

import base64
import hashlib
import hmac
from typing import Final

#: Random bytes that `mint` wants.
CHANCE_BYTES: Final = 10
_SEAL_BYTES: Final = 6
_LENGTH: Final = 26
_PATH: Final = "/veo/cb/"


def mint(chance: bytes, secret: bytes) -> str:
    """The token made of *chance*, `CHANCE_BYTES` of it, sealed with *secret*."""
    return base64.b32encode(chance + _seal(chance, secret)).decode("ascii").rstrip("=").lower()


def is_token(text: str, secret: bytes) -> bool:
    """Whether *text* was minted with *secret*."""
    if len(text) != _LENGTH or not text.isascii() or text != text.lower():
        return False
    try:
        sealed = base64.b32decode(text.upper() + "=" * (-_LENGTH % 8))
    except ValueError:
        return False
    # Minted again and compared as text: its last letter has two bits to spare, and one token has one spelling.
    return hmac.compare_digest(mint(sealed[:CHANCE_BYTES], secret), text)


def callback_url(public_url: str, token: str) -> str:
    """Where the provider is asked to post the end of the task that comes of one attempt."""
    return f"{public_url.rstrip('/')}{_PATH}{token}"


def _seal(chance: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, chance, hashlib.sha256).digest()[:_SEAL_BYTES]
