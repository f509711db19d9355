"""File names from our own words: a job's key or a task's id, never from a URL or a header.

A name that is safe already stays as it is. Where something has to change, a short hash of the original follows, so
that two keys which look alike afterwards still have two files.
"""

import hashlib
import re

#: Room for ``-2`` and ``.mp4`` within the 120 characters that a name may have.
MAX_STEM = 100
_MARK_DIGITS = 10
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
#: Devices of Windows; they keep their meaning in any case, in any folder and with any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


def safe_name(text: str) -> str:
    """*text* as a file name without its ending: ``[A-Za-z0-9._-]``, 100 characters at most, safe on every system."""
    return text if text and _sanitize(text) == text else hashed_name(text)


def hashed_name(text: str, *more: str) -> str:
    """The safe form of *text* with a hash of it, and of *more*, behind it."""
    stem = _sanitize(text)[: MAX_STEM - _MARK_DIGITS - 1].rstrip(".-") or "clip"
    return f"{stem}-{stable_hash(text, *more)[:_MARK_DIGITS]}"


def file_names(stem: str, count: int, suffix: str = ".mp4") -> tuple[str, ...]:
    """``name.mp4``, ``name-2.mp4``, ``name-3.mp4`` … for the *count* files of one clip."""
    return tuple(f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}" for number in range(1, count + 1))


def stable_hash(*texts: str) -> str:
    """One hash of several texts; where one ends and the next begins counts, too."""
    digest = hashlib.sha256()
    for text in texts:
        written = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(written), written))
    return digest.hexdigest()


def _sanitize(text: str) -> str:
    """Safe characters only, no leading dot or dash, no trailing dot, no device; the same again when done twice."""
    stem = _UNSAFE.sub("_", text).lstrip(".-")[:MAX_STEM].rstrip(".")
    return f"_{stem}"[:MAX_STEM].rstrip(".") if _RESERVED.match(stem) else stem
