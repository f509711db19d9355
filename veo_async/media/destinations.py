"""Where each file of a clip is saved, and whose files exist there already.

A file is only ever replaced by the same clip: the same job, task and number. The JSON sidecar of a video says whose
it is. A file of another clip was paid for, and a file without our sidecar is the user's. In a folder the clip then gets
the next name, ``name-2.mp4``; a file that the caller named is refused, unless ``overwrite=True``. A JSON file that is
not a sidecar is never replaced.

Everything here blocks; call it through `run_blocking`.
"""

import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from veo_async.errors import DownloadFailed

from . import files
from .names import file_names, hashed_name, numbered_names, safe_name, stable_hash
from .targets import is_file_name


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
    #: Whether to replace the file of another clip, which the caller allowed for a file that he named.
    overwrite: bool = False
    #: The permissions of the file; None leaves them to the umask.
    mode: int | None = None


class Owner(Enum):
    """Whose a file name is."""

    NONE = "none"
    THIS_CLIP = "this clip"
    ANOTHER_CLIP = "another clip"
    #: A file without one of our sidecars.
    USER = "user"
    #: A JSON file at the sidecar's place that is not a sidecar.
    USER_JSON = "user's JSON"


def destinations(
    target: str,
    name: str,
    count: int,
    metadata: Mapping[str, Any],
    *,
    stem: str | None = None,
    overwrite: bool = False,
    mode: int | None = None,
) -> tuple[Destination, ...]:
    """Return where each of *count* files belongs: in the folder *target*, or at *target* itself if it names a file.

    Args:
        name: the job's key or the task id.
        stem: what the files are called in a folder, without an ending; by default *name*, made safe.
    """
    clip, path = (name, str(metadata.get("task_id") or "")), Path(target)
    is_file = is_file_name(target)
    stems = (path.stem,) if is_file else (*numbered_names(stem or safe_name(name)), hashed_name(*clip))
    folder, suffix = (path.parent, path.suffix) if is_file else (path, ".mp4")
    names_by_file = zip(*(file_names(stem, count, suffix) for stem in stems), strict=True)
    return tuple(
        Destination(
            folder=folder,
            names=names,
            clip_id=stable_hash(*clip, str(number)),
            metadata=metadata,
            overwrite=overwrite and is_file,
            mode=mode,
        )
        for number, names in enumerate(names_by_file, 1)
    )


def sidecar_path(path: Path) -> Path:
    """Return the path of the JSON sidecar of the video at *path*."""
    return path.with_suffix(".json")


def owner_of(path: Path, clip_id: str) -> Owner:
    """Return whose the video or the sidecar at *path* is."""
    sidecar = sidecar_path(path)
    # In the reverse of the order in which another session may just be creating them.
    has_video, has_json = os.path.lexists(path), os.path.lexists(sidecar)
    stored = files.read_json(sidecar)
    if stored is not None and "clip_id" in stored:
        return Owner.THIS_CLIP if stored["clip_id"] == clip_id else Owner.ANOTHER_CLIP
    if has_json:
        return Owner.USER_JSON
    return Owner.USER if has_video else Owner.NONE


def choose_path(destination: Destination) -> Path:
    """Return the first path at which no other clip and no other file would be replaced.

    Raises:
        DownloadFailed: there is none, or one of the paths is a symbolic link or not a file.
    """
    allowed = {Owner.NONE, Owner.THIS_CLIP}
    if destination.overwrite:
        allowed |= {Owner.ANOTHER_CLIP, Owner.USER}
    path, owner = destination.folder, Owner.NONE
    for name in destination.names:
        path = destination.folder / name
        _refuse_links(path)
        if (owner := owner_of(path, destination.clip_id)) in allowed:
            if os.path.lexists(path) and not path.is_file():
                raise DownloadFailed(f"{path} exists and is not a file", remedy="Move it, or save to another path.")
            return path
    raise DownloadFailed(_taken(path, owner), remedy=remedy_for(owner))


def _refuse_links(path: Path) -> None:
    if path.is_symlink() or sidecar_path(path).is_symlink():
        raise DownloadFailed(
            f"{path} or its JSON sidecar is a symbolic link; refusing to write through it",
            remedy="Remove the link or save to its target directly.",
        )


def _taken(path: Path, owner: Owner) -> str:
    match owner:
        case Owner.ANOTHER_CLIP:
            return f"{path} belongs to another clip, so it was not replaced"
        case Owner.USER_JSON:
            return f"{sidecar_path(path)} exists and is not one of our sidecars, so it was not replaced"
        case _:
            return f"{path} exists and is not one of our clips, so it was not replaced"


def remedy_for(owner: Owner) -> str:
    """Return what to do if a named file is not this clip's."""
    if owner is Owner.USER_JSON:
        return "Move it, or save to another path."
    return "Save to another path or into a folder, or replace it with Files(overwrite=True) or --overwrite."
