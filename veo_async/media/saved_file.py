"""The complete file and its JSON sidecar, which always belong together.

The sidecar describes the clip (request, task, credits, times) and records the size and sha256 of the file. By it, a
later run recognizes a file: if the sidecar names the same clip and the bytes still match, the video is not downloaded
again. A file whose sidecar names *another* clip is never overwritten, because it was paid for; the new clip gets a
longer name.

The sidecar is renamed first, so a video never exists without one. A crash between the two renames leaves a sidecar that
does not match the old or missing video; the next run then downloads the video again.

Everything here blocks; call it through `run_blocking`.
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
from veo_async._base.file_lock import folder_lock
from veo_async.errors import DownloadFailed

from . import files
from .mp4 import IncompleteVideo, check_complete
from .names import file_names, hashed_name, safe_name, stable_hash
from .partial_file import PartialFile
from .urls import host_of, without_query


@attrs.frozen(kw_only=True)
class SavedFile:
    """A complete video on disk."""

    path: Path
    #: The size in bytes.
    size: int
    #: The SHA-256 digest, in hexadecimal.
    sha256: str
    #: The JSON sidecar.
    sidecar: Path
    #: The host that the video was downloaded from.
    url_host: str = ""
    #: An earlier run had saved the file; nothing was downloaded.
    already_saved: bool = False


@attrs.frozen(kw_only=True)
class Destination:
    """Where one file of a clip is saved."""

    folder: Path
    #: The names that the file may get, the preferred one first.
    names: tuple[str, ...]
    #: A hash of the job's key, the task id and the number of the file.
    clip_id: str
    #: What the sidecar contains besides the facts about the file itself.
    metadata: Mapping[str, Any]
    #: The caller named this exact file, so an existing one may be replaced.
    is_explicit: bool = False


def destinations(path: Path, name: str, count: int, metadata: Mapping[str, Any] | None) -> tuple[Destination, ...]:
    """Return where each of *count* files belongs: in the folder *path*, or at *path* itself if it names an ``.mp4``."""
    facts: Mapping[str, Any] = strip_queries(dict(metadata or {}))
    clip = (name, str(facts.get("task_id") or ""))
    is_explicit = path.suffix.lower() == ".mp4" and not path.is_dir()
    stems: tuple[str, ...] = (path.stem,) if is_explicit else (safe_name(name), hashed_name(*clip))
    folder, suffix = (path.parent, path.suffix) if is_explicit else (path, ".mp4")
    names_by_file = zip(*(file_names(stem, count, suffix) for stem in stems), strict=True)
    return tuple(
        Destination(
            folder=folder,
            names=names,
            clip_id=stable_hash(*clip, str(number)),
            metadata=facts,
            is_explicit=is_explicit,
        )
        for number, names in enumerate(names_by_file, 1)
    )


def choose_path(destination: Destination) -> Path:
    """Return the first path at which no file of another clip would be overwritten.

    Raises:
        DownloadFailed: there is none, or one of the paths is a symbolic link.
    """
    for name in destination.names:
        path = destination.folder / name
        if path.is_symlink() or sidecar_path(path).is_symlink():
            raise DownloadFailed(
                f"{path} or its JSON sidecar is a symbolic link; refusing to write through it",
                remedy="Remove the link or save to its target directly.",
            )
        if _is_free(path, destination):
            return path
    raise DownloadFailed(
        f"{destination.folder / destination.names[-1]} or its JSON sidecar already exists and belongs to another clip",
        remedy="Move it, or save to another path.",
    )


def _is_free(path: Path, destination: Destination) -> bool:
    """Whether nothing is lost by writing to *path*. A video that the caller named explicitly may be replaced."""
    stored = files.read_json(sidecar_path(path))
    if stored is not None and "clip_id" in stored:
        return stored["clip_id"] == destination.clip_id or destination.is_explicit
    if sidecar_path(path).exists():
        return False
    return destination.is_explicit or not path.exists()


def sidecar_path(path: Path) -> Path:
    """Return the path of the JSON sidecar of the video at *path*."""
    return path.with_suffix(".json")


def find_saved(destination: Destination) -> SavedFile | None:
    """Return the file if it exists, belongs to this clip and matches its sidecar to the byte."""
    path = choose_path(destination)
    stored = files.read_json(sidecar_path(path))
    if stored is None or stored.get("clip_id") != destination.clip_id:
        return None
    descriptor = files.open_regular(path)
    if descriptor is None:
        return None
    with open(descriptor, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != stored.get("size"):
            return None
        try:
            check_complete(file)
        except IncompleteVideo:
            return None
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != stored.get("sha256"):
        return None
    host = host_of(stored.get("url"))
    return SavedFile(path=path, size=size, sha256=digest, sidecar=sidecar_path(path), url_host=host, already_saved=True)


def finalize(partial: PartialFile, destination: Destination, url: str) -> SavedFile:
    """Check and flush a partial file, write the sidecar, and give the file its final name.

    The call can be repeated after the disk was full. On an error the partial file stays.

    Raises:
        IncompleteVideo: the file is not a complete MP4.
        DownloadFailed: no name is free.
        OSError: the file or its sidecar could not be written.
    """
    partial.check()
    with folder_lock(destination.folder):
        if (existing := find_saved(destination)) is not None and existing.sha256 == partial.sha256:
            partial.discard()  # another process saved the same bytes first
            return existing
        path = choose_path(destination)
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise DownloadFailed(f"{path} exists and is not a file", remedy="Move it, or save to another path.")
        file = {"file": path.name, "size": partial.size, "sha256": partial.sha256}
        stored = {**destination.metadata, **file, "url": without_query(url), "clip_id": destination.clip_id}
        files.write_json(sidecar_path(path), stored)
        partial.rename_to(path)
        flush_folder(destination.folder)
    return SavedFile(
        path=path, size=partial.size, sha256=partial.sha256, sidecar=sidecar_path(path), url_host=host_of(url)
    )


def strip_queries(value: Any) -> Any:
    """Return *value* with the query of every URL in it removed, because queries contain signatures and tokens."""
    if isinstance(value, Mapping):
        return {str(name): strip_queries(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [strip_queries(item) for item in value]
    return _strip_query(value) if isinstance(value, str) and value.startswith(("https://", "http://")) else value


def _strip_query(text: str) -> str:
    """Return *text* without its query if all of it is one URL. A prompt that begins with a URL is not changed."""
    try:
        is_url = bool(urlsplit(text).hostname) and not any(character.isspace() for character in text)
    except ValueError:
        return text.partition("?")[0]
    return without_query(text) if is_url else text
