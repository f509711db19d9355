"""The complete file and its JSON sidecar, which always belong together.

The sidecar describes the clip (request, task, credits, times) and records the size and sha256 of the file. By it, a
later run recognizes a file: if the sidecar names the same clip and the file is unchanged, the video is not downloaded
again. ``destinations.py`` decides which file may be replaced.

The sidecar is renamed first, so a video never exists without one. A crash between the two renames leaves a sidecar that
does not match the old or missing video; the next run then downloads the video again. A name that was free is taken by
a hard link, which cannot replace what another program has put there since.

Everything here blocks; call it through `run_blocking`.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from veo_async._base.atomic_write import flush_folder
from veo_async._base.file_lock import folder_lock
from veo_async.errors import DownloadFailed

from . import files
from .destinations import Destination, Owner, choose_path, owner_of, sidecar_path
from .mp4 import IncompleteVideo, check_complete
from .partial_file import PartialFile
from .urls import host_of, without_query

#: How often another program may take the chosen name before we give up.
_MAX_RACES = 10


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
    #: The width and height of the video in pixels, if they are known.
    video_size: tuple[int, int] | None = None
    #: An earlier run had saved the file; nothing was downloaded.
    already_saved: bool = False


def find_saved(destination: Destination) -> SavedFile | None:
    """Return the file if it exists, belongs to this clip and matches its sidecar.

    A file that is older than its sidecar and has the same size was not changed; any other is read to the last byte.
    """
    for name in destination.names:
        path = destination.folder / name
        match owner_of(path, destination.clip_id):
            case Owner.THIS_CLIP:
                return _as_saved(path)
            case Owner.NONE:
                return None
    return None


def _as_saved(path: Path) -> SavedFile | None:
    stored = files.read_json(sidecar_path(path)) or {}
    size, digest = stored.get("size"), stored.get("sha256")
    if path.is_symlink() or (descriptor := files.open_regular(path)) is None:
        return None
    with open(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        is_old = found.st_mtime_ns < sidecar_path(path).stat().st_mtime_ns
        if found.st_size != size or not (is_old or _matches(file, digest)):
            return None
    return SavedFile(
        path=path,
        size=found.st_size,
        sha256=str(digest),
        sidecar=sidecar_path(path),
        url_host=host_of(stored.get("url")),
        video_size=_stored_size(stored),
        already_saved=True,
    )


def _stored_size(stored: Mapping[str, Any]) -> tuple[int, int] | None:
    match stored:
        case {"width": int(width), "height": int(height)}:
            return width, height
        case _:
            return None


def _matches(file: BufferedReader, digest: object) -> bool:
    try:
        check_complete(file)
    except IncompleteVideo:
        return False
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest() == digest


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
        shown = partial.video_size()
        path = _place(partial, destination, url, shown)
        flush_folder(destination.folder)
    return SavedFile(
        path=path,
        size=partial.size,
        sha256=partial.sha256,
        sidecar=sidecar_path(path),
        url_host=host_of(url),
        video_size=shown,
    )


def _place(partial: PartialFile, destination: Destination, url: str, shown: tuple[int, int] | None) -> Path:
    """Write the sidecar and give the video its name. If another program has taken it, choose again."""
    for _ in range(_MAX_RACES):
        path = choose_path(destination)
        sidecar = sidecar_path(path)
        file: dict[str, Any] = {"file": path.name, "size": partial.size, "sha256": partial.sha256}
        if shown is not None:
            file |= {"width": shown[0], "height": shown[1]}
        values = {**destination.metadata, **file, "url": without_query(url), "clip_id": destination.clip_id}
        replaces_video, replaces_sidecar = path.exists(), sidecar.exists()
        try:
            files.write_json(sidecar, values, mode=0o666, exact_mode=destination.mode, replace=replaces_sidecar)
        except FileExistsError:
            continue
        try:
            # The system has applied the umask, or the folder's access list, to the sidecar.
            partial.rename_to(path, mode=stat.S_IMODE(sidecar.stat().st_mode), replace=replaces_video)
        except FileExistsError:
            if not replaces_sidecar:
                sidecar.unlink(missing_ok=True)  # it would claim the other program's file for this clip
            continue
        return path
    raise DownloadFailed(f"another program keeps writing to {destination.folder}", remedy="Save to another folder.")


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
