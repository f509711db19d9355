"""File names, made from job keys, prompts and task ids, never from a URL or a response header.

A key that a user chose is the name of its file. If it is not safe, it is changed, and a short hash of the original is
appended, so that two keys that become the same text still get two files. An automatic key says nothing to a reader:
its file is named after the prompt, followed by the first digits of the key (``a-dog-surfing-at-dusk-3f9c1a.mp4``).
A name depends on the job alone, so the same job has the same name in every run and in every process.
"""

import hashlib
import re
import unicodedata

from veo_async._base.windows_names import RESERVED

#: Leaves space for two numbers and ``.mp4`` within the 120 characters that a name may have.
MAX_STEM = 100
_HASH_DIGITS = 10
#: Clips of one name in one folder that are numbered; any further one gets a hash.
_MAX_NUMBERED = 99
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
#: An automatic key, and the suffixes of its follow-ups. `automatic_key` builds them.
_AUTOMATIC_KEY = re.compile(r"([0-9a-f]{20})((?:\.[0-9a-z-]+)*)")
_ID_DIGITS = 6
#: Most characters and bytes of a slug: some encrypted file systems allow names of 143 bytes.
_MAX_SLUG, _MAX_SLUG_BYTES = 60, 90
#: Longest suffix of a follow-up that is part of a name: an extension and an upgrade fit.
_MAX_SUFFIX = 30
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc]")


def safe_name(text: str) -> str:
    """Return *text* as a file name without an ending: ``[A-Za-z0-9._-]``, at most 100 characters, valid everywhere."""
    return text if text and _sanitize(text) == text else hashed_name(text)


def hashed_name(text: str, *more: str) -> str:
    """Return *text* made safe, followed by a hash of *text* and *more*."""
    stem = _sanitize(text)[: MAX_STEM - _HASH_DIGITS - 1].rstrip(".-") or "clip"
    return f"{stem}-{stable_hash(text, *more)[:_HASH_DIGITS]}"


def clip_stem(key: str, prompt: str) -> str:
    """Return the file name of a job's clip without its ending: from *prompt* if the key is automatic, else the key.

    Args:
        prompt: the prompt of the first job of the chain that *key* belongs to.
    """
    match = _AUTOMATIC_KEY.fullmatch(key)
    if match is None:
        return safe_name(key)
    suffix = match[2] if len(match[2]) <= _MAX_SUFFIX else f"-{short_id(key)}"
    return f"{slug(prompt)}-{match[1][:_ID_DIGITS]}{suffix}"


def is_automatic_key(key: str) -> bool:
    """Whether *key* has the form of an automatic key, or of one of its follow-ups' keys."""
    return _AUTOMATIC_KEY.fullmatch(key) is not None


def readable_name(key: str, prompt: str) -> str:
    """Return what to call a job in a message: its key if a user chose it, else the name of its file."""
    return clip_stem(key, prompt) if is_automatic_key(key) else key


def short_id(key: str) -> str:
    """Return a short id of a job: the first digits of an automatic key, else of a hash of the key."""
    match = _AUTOMATIC_KEY.fullmatch(key)
    return (key if match and not match[2] else stable_hash(key))[:_ID_DIGITS]


def slug(text: str) -> str:
    """Return *text* as lower-case words joined by hyphens, short enough for a file name and valid everywhere.

    Letters and digits of all scripts are kept, in the normal form NFC. Everything else separates words.
    """
    plain = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).lower())
    letters = "".join(map(_letter_or_space, unicodedata.normalize("NFC", plain)))
    words = (word.lstrip(_marks_of(word)) for word in letters.split())
    stem = _shorten("-".join(filter(None, words))) or "clip"
    return f"{stem}-clip" if RESERVED.match(stem) else stem


def _letter_or_space(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":  # invisible, and inside words: soft hyphens and joiners
        return ""
    return character if category[0] in "LMN" else " "


def _marks_of(word: str) -> str:
    """Return the combining marks in *word*: at its beginning they have no letter to stand on."""
    return "".join(character for character in word if unicodedata.category(character)[0] == "M")


def _shorten(stem: str) -> str:
    """Return *stem* within both limits, cut between two words unless that loses more than half of it."""
    cut = stem[:_MAX_SLUG].encode("utf-8", "replace")[:_MAX_SLUG_BYTES].decode("utf-8", "ignore")
    if cut == stem or stem[len(cut)] == "-":
        return cut
    head = cut.rpartition("-")[0]
    return head if 2 * len(head) > len(cut) else cut


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
