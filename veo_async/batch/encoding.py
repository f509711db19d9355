"""From the bytes of a list to its text.

UTF-8 and UTF-16 are certain: they have a byte order mark, or are invalid for anything else. The plain "CSV" of Excel
is neither: it is in the code page of the machine, which the file does not name. Two code pages can be recognized by
what they contain: Windows-1252 (Western Europe) and Windows-1251 (Cyrillic). A text that looks like neither is refused,
because a wrong guess would change prompts that are paid for. A guess is reported together with a word to check.
"""

import re
from collections.abc import Callable

import attrs

from veo_async.errors import UsageError

#: Letters and signs that Western European texts contain. Others, such as ``š`` or ``³`` within a word, are what
#: Central European and Macintosh files look like when they are read as Windows-1252.
_LETTERS = "àáâãäåæçèéêëìíîïñòóôõöøùúûüýœ"
_WESTERN = frozenset(f"{_LETTERS}{_LETTERS.upper()}ßÿ“”„‚‘’–—…€£§©®™°±·•«»‹›¡¿×²³½¼¾ºª¹¨´\xa0\xad")
#: Signs between two letters, an opening mark behind a letter, or two signs together: letters of another code page.
_SIGN_IN_WORD = re.compile(r"[^\W\d_][¿¡²³¹¼½¾±¨´×°§©®£¤¦¬][^\W\d_]|[^\W\d_][¿¡]|[¿¡²³¹¼½¾±¨´×°§©®£ªº]{2}")
_WORD = re.compile(r"[^\W\d_]+")


@attrs.frozen
class DecodedList:
    """The text of a list."""

    text: str
    #: What the user should know about how it was read; empty if that is certain.
    warning: str = ""


def decode_list(content: bytes) -> DecodedList:
    """Decode the bytes of a list.

    Raises:
        UsageError: the encoding is not recognized; it names the first line that is not UTF-8.
    """
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return DecodedList(content.decode("utf-16" if is_utf16 else "utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        guess = None if is_utf16 else _guess(content)
        if guess is None:
            name = "UTF-16" if is_utf16 else "UTF-8"
            raise UsageError(f"line {line}: not valid {name}; save the file as UTF-8 (in Excel: CSV UTF-8)") from None
    text, encoding = guess
    return DecodedList(text, _warning(line, encoding, text))


def _warning(line: int, encoding: str, text: str) -> str:
    sample = next(word for word in re.split(r'[\s;,"]+', text) if not word.isascii())
    return (
        f"line {line}: not UTF-8, so the list was read as {encoding}, as the plain CSV of Excel often is. "
        f'It has the word "{sample[:40]}"; if that is wrong, save the list as CSV UTF-8.'
    )


def _guess(content: bytes) -> tuple[str, str] | None:
    """Return the text and the name of the code page that *content* is probably in; None if neither."""
    candidates: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
        ("cp1252", "Windows-1252", _is_western),
        ("cp1251", "Windows-1251", _is_cyrillic),
    )
    for codec, name, is_plausible in candidates:
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        if is_plausible(text) and not _SIGN_IN_WORD.search(text):
            return text, name
    return None


def _words(text: str) -> list[str]:
    """Return the words with a letter beyond ASCII."""
    return [word for word in _WORD.findall(text) if not word.isascii()]


def _is_western(text: str) -> bool:
    """Whether *text* has only signs of Western European languages, and no word that consists of accents."""
    if any(not character.isascii() and character not in _WESTERN for character in text):
        return False
    return all(len(word) < 3 or any(map(str.isascii, word)) for word in _words(text))


def _is_cyrillic(text: str) -> bool:
    """Whether all words beyond ASCII are Cyrillic, and are written like words: no capital after a small letter."""
    words = _words(text)
    is_cyrillic = all("а" <= letter <= "я" or letter in "ёіїєґў" for word in words for letter in word.lower())
    return bool(words) and is_cyrillic and all(word.isupper() or word[1:].islower() or not word[1:] for word in words)
