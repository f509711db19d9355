"""File names, made from job keys and task ids, never from a URL or a response header.

A name that is already safe is not changed. If it has to be changed, a short hash of the original is appended, so that
two keys that become the same text still get two files.
"""

import hashlib
import re

from veo_async._base.windows_names import RESERVED

#: Leaves space for two numbers and ``.mp4`` within the 120 characters that a name may have.
MAX_STEM = 100
_HASH_DIGITS = 10
#: Clips of one name in one folder that are numbered; any further one gets a hash.
_MAX_NUMBERED = 99
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_name(text: str) -> str:
    """Return *text* as a file name without an ending: ``[A-Za-z0-9._-]``, at most 100 characters, valid everywhere."""
    return text if text and _sanitize(text) == text else hashed_name(text)


def hashed_name(text: str, *more: str) -> str:
    """Return *text* made safe, followed by a hash of *text* and *more*."""
    stem = _sanitize(text)[: MAX_STEM - _HASH_DIGITS - 1].rstrip(".-") or "clip"
    return f"{stem}-{stable_hash(text, *more)[:_HASH_DIGITS]}"


def file_names(stem: str, count: int, suffix: str = ".mp4") -> tuple[str, ...]:
    """Return ``name.mp4``, ``name-2.mp4``, ``name-3.mp4`` and so on, for the *count* files of one clip."""
    return tuple(f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}" for number in range(1, count + 1))


def numbered_names(stem: str) -> tuple[str, ...]:
    """Return ``name``, ``name-2``, ``name-3`` and so on, for the clips that want to be called *stem*."""
    return (stem, *(f"{stem}-{number}" for number in range(2, _MAX_NUMBERED + 1)))


def stable_hash(*texts: str) -> str:
    """Return one hash of several texts. ``("ab", "c")`` and ``("a", "bc")`` have different hashes."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(data), data))
    return digest.hexdigest()


def _sanitize(text: str) -> str:
    """Return *text* with safe characters only, no leading dot or dash, no trailing dot, and no device name.

    Sanitizing the result again does not change it.
    """
    stem = _UNSAFE.sub("_", text).lstrip(".-")[:MAX_STEM].rstrip(".")
    return f"_{stem}"[:MAX_STEM].rstrip(".") if RESERVED.match(stem) else stem
