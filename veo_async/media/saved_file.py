"""The good file and the small JSON beside it, which always belong together.

The JSON tells what the clip is (request, task, credits, times), how long the file is and its sha256. It is also how a
later run knows a file again: one whose JSON names the same clip, and whose bytes are still those, is not fetched twice.
And one whose JSON names *another* clip is never written over: it was paid for, and the new clip takes a longer name.

The JSON gets its name first. So a film never stands alone, and a crash between the two leaves a JSON that its film, old
or missing, does not fit; then it is fetched again. Everything here blocks: call it through `blocking`.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from veo_async._base.atomic_write import flush_folder
from veo_async.errors import DownloadFailed

from . import files
from .mp4 import IncompleteVideo, check_complete
from .names import file_names, hashed_name, safe_name, stable_hash
from .partial_file import PartialFile
from .urls import host_of, without_query


@attrs.frozen(kw_only=True)
class SavedFile:
    """A file that is whole and on disk."""

    path: Path
    size: int
    sha256: str
    #: The small JSON beside it.
    sidecar: Path
    #: The host that it was fetched from.
    url_host: str = ""
    #: An earlier run had saved it; nothing was fetched.
    already_saved: bool = False


@attrs.frozen(kw_only=True)
class Destination:
    """Where one file of a clip belongs."""

    folder: Path
    #: The names it may have, the nicest first.
    names: tuple[str, ...]
    #: A hash that says whose file it is.
    clip_id: str
    #: What stands in the JSON, besides what the file itself tells.
    facts: Mapping[str, Any]
    #: The caller named the very file, so an older one may be replaced.
    is_explicit: bool = False


def destinations(where: Path, name: str, count: int, sidecar: Mapping[str, Any] | None) -> tuple[Destination, ...]:
    """The place of each of *count* files: in the folder *where*, or at *where* itself if that names an ``.mp4``."""
    facts = strip_queries(dict(sidecar or {}))
    clip = (name, str(facts.get("task_id") or ""))
    is_explicit = where.suffix.lower() == ".mp4" and not where.is_dir()
    stems: tuple[str, ...] = (where.stem,) if is_explicit else (safe_name(name), hashed_name(*clip))
    folder, suffix = (where.parent, where.suffix) if is_explicit else (where, ".mp4")
    named = zip(*(file_names(stem, count, suffix) for stem in stems), strict=True)
    return tuple(
        Destination(
            folder=folder, names=names, clip_id=stable_hash(*clip, str(number)), facts=facts, is_explicit=is_explicit
        )
        for number, names in enumerate(named, 1)
    )


def choose_path(place: Destination) -> Path:
    """The first of the names that holds nothing of anybody else's."""
    for name in place.names:
        path = place.folder / name
        if path.is_symlink() or sidecar_path(path).is_symlink():
            raise DownloadFailed(
                f"{path} is a symbolic link, and what it leads to could be anything",
                remedy="Remove the link, or save to the file that it leads to.",
            )
        if _is_free(path, place):
            return path
    raise DownloadFailed(
        f"{place.folder / place.names[-1]} or the JSON beside it is there already and is not of this clip",
        remedy="Move it away, or save somewhere else.",
    )


def _is_free(path: Path, place: Destination) -> bool:
    """Whether nothing is lost by writing here. A file that the caller named is the caller's to give."""
    stored = files.read_json(sidecar_path(path))
    if stored is not None and "clip" in stored:
        return stored["clip"] == place.clip_id or place.is_explicit
    if sidecar_path(path).exists():
        return False
    return place.is_explicit or not path.exists()


def sidecar_path(path: Path) -> Path:
    """Where the JSON of the film at *path* is."""
    return path.with_suffix(".json")


def find_saved(place: Destination) -> SavedFile | None:
    """The file, if it is there, is this clip's, and is as its JSON says, to the byte."""
    path = choose_path(place)
    stored = files.read_json(sidecar_path(path))
    if stored is None or stored.get("clip") != place.clip_id:
        return None
    descriptor = files.open_regular(path)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as file:
        if os.fstat(file.fileno()).st_size != stored.get("size"):
            return None
        try:
            check_complete(file)
        except IncompleteVideo:
            return None
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    if digest != stored.get("sha256"):
        return None
    host = host_of(stored.get("url"))
    return SavedFile(path=path, size=size, sha256=digest, sidecar=sidecar_path(path), url_host=host, already_saved=True)


def finalize(part: PartialFile, place: Destination, url: str) -> SavedFile:
    """Check, flush, name: from a part to a file. May be called again when the disk was full in between.

    Raises:
        IncompleteVideo: it is no complete MP4; the part stays.
        OSError: the disk does not want it; the part stays.
    """
    part.check()
    with files.folder_lock(place.folder):
        if (winner := find_saved(place)) is not None and winner.sha256 == part.sha256:
            part.discard()  # another process was faster, with the same bytes
            return winner
        path = choose_path(place)
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise DownloadFailed(f"{path} is there already and is no file", remedy="Move it away, or choose another.")
        file = {"file": path.name, "size": part.size, "sha256": part.sha256}
        stored = {**place.facts, **file, "url": without_query(url), "clip": place.clip_id}
        files.write_json(sidecar_path(path), stored)
        part.rename_to(path)
        flush_folder(place.folder)
    return SavedFile(path=path, size=part.size, sha256=part.sha256, sidecar=sidecar_path(path), url_host=host_of(url))


def strip_queries(value: Any) -> Any:
    """*value* with every URL in it cut before its query: that is where signatures and tokens stand."""
    if isinstance(value, Mapping):
        return {str(name): strip_queries(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [strip_queries(each) for each in value]
    return _cut(value) if isinstance(value, str) and value.startswith(("https://", "http://")) else value


def _cut(text: str) -> str:
    """A text that is one URL; a prompt that begins with one is a prompt."""
    try:
        is_url = bool(urlsplit(text).hostname) and not any(letter.isspace() for letter in text)
    except ValueError:
        return text.partition("?")[0]
    return without_query(text) if is_url else text
