"""The API key: where it comes from, and how it stays unseen.

A key must not show in ``repr``, logs, exceptions, tracebacks with locals, pickles or URLs. So it lives in a type of
its own that shows its last four characters at most, and leaves it only as a header value that masks itself.
"""

import hashlib
import hmac
import logging
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn

from veo_async.errors import InvalidKey

logger = logging.getLogger(__name__)

#: A function that gives the key when it is wanted, for keys that rotate.
KeyProvider = Callable[[], Awaitable[str]]

KEY_VARIABLES = ("VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY")
KEY_FILE_VARIABLE = "KIE_API_KEY_FILE"
#: Shorter keys would be half shown by their last four characters.
_MIN_LENGTH_TO_SHOW_SUFFIX = 16


class _Masked(str):
    """A header value that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'Bearer ***'"


class ApiKey:
    """An API key that does not show itself and does not leave the process."""

    __slots__ = ("_header", "_secret", "_secret_bytes")

    def __init__(self, secret: str) -> None:
        if not isinstance(secret, str) or not secret:
            raise InvalidKey("the API key is empty or not a string")
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise InvalidKey("the API key holds a space, a line break or a character that no key has")
        self._secret = secret
        # Both are wanted at every call.
        self._header, self._secret_bytes = _Masked(f"Bearer {secret}"), secret.encode()

    def __repr__(self) -> str:
        return f"ApiKey(…{self._secret[-4:]})" if len(self._secret) >= _MIN_LENGTH_TO_SHOW_SUFFIX else "ApiKey(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.account_id)

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled: give each process its own way to it")

    @property
    def account_id(self) -> str:
        """A name for what this key bills: a hash, the same for the same key everywhere."""
        return hashlib.sha256(b"veo_async account\0" + self._secret.encode()).hexdigest()[:16]

    def as_header(self) -> str:
        """The value of the ``Authorization`` header; its ``repr`` is masked."""
        return self._header

    def redact(self, body: bytes) -> bytes:
        """*body* without the key, should a server echo it: what we keep of answers is shown and logged."""
        secret = self._secret_bytes
        return body.replace(secret, b"[key]") if secret in body else body


def resolve_key(given: "str | ApiKey | None", environ: Mapping[str, str]) -> ApiKey:
    """The key from the argument, else from the environment.

    Raises:
        InvalidKey: there is none, naming the places looked at, or it cannot be a key.
    """
    if isinstance(given, ApiKey):
        return given
    if given is not None:
        return ApiKey(given)
    for name in KEY_VARIABLES:
        if environ.get(name):
            return ApiKey(environ[name].strip())
    if path := environ.get(KEY_FILE_VARIABLE):
        return _read_key_file(Path(path))
    tried = ", ".join((*KEY_VARIABLES, KEY_FILE_VARIABLE))
    raise InvalidKey(f"no API key: neither the argument api_key nor any of {tried} is set")


def _read_key_file(path: Path) -> ApiKey:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            logger.warning("the key file %s can be read by others; chmod 600 it", path)
        return ApiKey(path.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidKey(f"{KEY_FILE_VARIABLE} names a file that cannot be read: {type(exc).__name__}") from None
