"""The API key: where it comes from, and how it stays hidden.

A key must not appear in ``repr``, logs, exceptions, tracebacks with locals, pickles or URLs. So it has its own type,
which shows at most the last four characters and gives the key away only as a header value that masks itself.
"""

import hashlib
import hmac
import logging
import os
import re
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn

from veo_async.errors import InvalidKey

logger = logging.getLogger(__name__)

#: A function that returns the current key, for keys that rotate.
KeyProvider = Callable[[], Awaitable[str]]

KEY_VARIABLES = ("VEO_API_KEY", "KIE_API_KEY", "KIE_AI_API_KEY")
KEY_FILE_VARIABLE = "KIE_API_KEY_FILE"
#: An escaped ASCII character: in JSON, in a URL (even twice) and in HTML.
_ESCAPE = re.compile(rb"\\u00[2-7]|%[2-7]|&#|\\/")
_COPY_AGAIN = "Copy the key again, without spaces and line breaks."
#: For shorter keys, four characters would give away too much.
_MIN_LENGTH_TO_SHOW_SUFFIX = 16


class _Masked(str):
    """A header value that hides itself in ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'Bearer ***'"


class ApiKey:
    """An API key that hides itself in ``repr`` and cannot be pickled."""

    __slots__ = ("_escaped", "_header", "_secret", "_secret_bytes")

    def __init__(self, secret: str) -> None:
        if not isinstance(secret, str) or not secret:
            raise InvalidKey("the API key is empty or not a string", remedy="Set KIE_API_KEY or pass api_key=.")
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            bad_character = "the API key contains a space, a line break or a character that keys never have"
            raise InvalidKey(bad_character, remedy=_COPY_AGAIN)
        self._secret = secret
        self._escaped: re.Pattern[bytes] | None = None
        # Every request needs both.
        self._header, self._secret_bytes = _Masked(f"Bearer {secret}"), secret.encode()

    def __repr__(self) -> str:
        return f"ApiKey(…{self._secret[-4:]})" if len(self._secret) >= _MIN_LENGTH_TO_SHOW_SUFFIX else "ApiKey(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.account_id)

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key cannot be pickled; let each process read its own")

    @property
    def account_id(self) -> str:
        """The id of the account that this key bills: a hash of the key, the same everywhere."""
        return hashlib.sha256(b"veo_async account\0" + self._secret.encode()).hexdigest()[:16]

    def as_header(self) -> str:
        """The value of the ``Authorization`` header; its ``repr`` is masked."""
        return self._header

    def redact(self, body: bytes) -> bytes:
        """Return *body* without the key, in case the server echoes it: parts of responses are shown and logged.

        The key is also found with characters in the escapes of JSON, URLs and HTML. Few bodies contain escaped ASCII
        characters, so looking for them costs next to nothing.
        """
        secret = self._secret_bytes
        if secret in body:
            body = body.replace(secret, b"[key]")
        if (b"\\u" in body or b"%" in body or b"&#" in body or b"\\/" in body) and _ESCAPE.search(body):
            self._escaped = self._escaped or _escaped_pattern(self._secret)
            if self._escaped.search(body):
                body = self._escaped.sub(b"[key]", body)
        return body


def _escaped_pattern(secret: str) -> re.Pattern[bytes]:
    """Return a pattern for *secret* in which each character may be escaped, even twice (JSON in JSON)."""
    return re.compile("".join(_escaped_character(character) for character in secret).encode())


def _escaped_character(character: str) -> str:
    code, literal = ord(character), re.escape(character)
    html = f"&#(?:0*{code}|[xX]0*(?i:{code:x}));?"
    return rf"(?:\\*{literal}|\\+u(?i:{code:04x})|%(?:25)*(?i:{code:02x})|{html})"


def resolve_key(given: "str | ApiKey | None", environ: Mapping[str, str], *, key_page: str = "") -> ApiKey:
    """Return the key from the argument, or else from the environment.

    Args:
        key_page: where users get a key, for the error.

    Raises:
        InvalidKey: there is no key, or it is malformed.
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
    checked = ", ".join((*sorted(KEY_VARIABLES, key="KIE_API_KEY".__ne__), KEY_FILE_VARIABLE))
    remedy = "Set KIE_API_KEY or pass api_key=" + (f"; get a key at {key_page}." if key_page else ".")
    raise InvalidKey(f"no API key (checked: {checked})", remedy=remedy)


def _read_key_file(path: Path) -> ApiKey:
    try:
        mode = path.stat().st_mode if hasattr(os, "getuid") else 0  # Windows reports others' permissions elsewhere
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            logger.warning("other users can read the key file %s; run chmod 600 on it", path)
        return ApiKey(path.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError) as exc:
        unreadable = f"{KEY_FILE_VARIABLE} points to a file that cannot be read ({type(exc).__name__})"
        raise InvalidKey(unreadable, remedy="Fix the path or the file's permissions, or set KIE_API_KEY.") from None
