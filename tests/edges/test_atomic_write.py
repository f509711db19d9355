"""`write_atomically`: the old contents or the new ones, never a mixture, and no temporary files."""

import errno
import os
import stat
from pathlib import Path

import pytest

from veo_async._base import file_lock
from veo_async._base.atomic_write import remove_abandoned, write_atomically
from veo_async._base.file_lock import try_lock


def failing(code: int) -> object:
    """Return a function that raises an `OSError` with *code*."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, "the disk failed")

    return fail


def test_file_is_created_and_replaced(tmp_path: Path) -> None:
    """A new file is created, an existing one replaced, and nothing else is left in the folder."""
    path = tmp_path / "a.csv"
    write_atomically(path, b"old")
    write_atomically(path, b"new" * 100_000)
    assert path.read_bytes() == b"new" * 100_000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_failed_write_keeps_the_old_contents(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays as it was, and the temporary file is removed."""
    path = tmp_path / "a.csv"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, step, failing(errno.ENOSPC))
    with pytest.raises(OSError, match="the disk failed"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write_removes_the_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two steps leaves no temporary file either."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.csv", b"new")
    assert list(tmp_path.iterdir()) == []


def test_partial_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may accept fewer bytes than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:2])))
    write_atomically(tmp_path / "a.csv", b"abcde")
    assert (tmp_path / "a.csv").read_bytes() == b"abcde"


@pytest.mark.skipif(os.name == "nt", reason="Windows does not flush folders")
@pytest.mark.parametrize(("sync_folder", "flushed"), [(True, ["file", "folder"]), (False, ["file"])])
def test_file_and_folder_are_flushed(
    sync_folder: bool, flushed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data reaches the disk before the rename, the new name after it."""
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        assert calls == ["file"]
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomically(tmp_path / "a.csv", b"new", sync_folder=sync_folder)
    assert calls == flushed


@pytest.mark.skipif(os.name == "nt", reason="Windows does not flush folders")
@pytest.mark.parametrize(("code", "raises"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_folder_that_cannot_be_flushed(
    code: int, raises: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that cannot flush folders is accepted; a real error is raised."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, "the folder was not flushed")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if raises:
        with pytest.raises(OSError, match="not flushed"):
            write_atomically(tmp_path / "a.csv", b"new")
    else:
        write_atomically(tmp_path / "a.csv", b"new")
    assert (tmp_path / "a.csv").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_mode_is_applied_through_the_umask(mode: int, tmp_path: Path) -> None:
    """The file gets the permissions that an ordinary new file would get, or fewer."""
    umask = os.umask(0o022)
    try:
        write_atomically(tmp_path / "a.csv", b"new", mode=mode)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == mode & ~0o022


def test_longest_possible_name_is_written(tmp_path: Path) -> None:
    """The temporary name does not depend on the target's, so a name of 255 bytes works."""
    path = tmp_path / ("a" * 255)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    """Folders are not created implicitly."""
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "a.csv", b"new")


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="needs symbolic links")
def test_symbolic_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    """The link itself is replaced; the file it points to is not written."""
    target = tmp_path / "target"
    target.write_bytes(b"kept")
    (tmp_path / "link").symlink_to(target)
    write_atomically(tmp_path / "link", b"new")
    assert not (tmp_path / "link").is_symlink()
    assert ((tmp_path / "link").read_bytes(), target.read_bytes()) == (b"new", b"kept")


def test_abandoned_temporary_files_are_removed_and_live_ones_stay(tmp_path: Path) -> None:
    """The lock of the writing process is what counts. Files of other programs are not touched."""
    abandoned, live = tmp_path / ".0123456789abcdef.tmp", tmp_path / ".fedcba9876543210.tmp"
    others = [tmp_path / "a.tmp", tmp_path / ".notes.tmp", tmp_path / ".0123456789abcdef.tmp.bak"]
    for path in (abandoned, live, *others):
        path.write_bytes(b"half")
    with live.open("rb") as file:
        assert try_lock(file.fileno())
        remove_abandoned(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([live, *others])
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)
    remove_abandoned(tmp_path / "missing")


@pytest.mark.parametrize("is_still_locked", [False, True])
def test_temporary_file_that_another_process_takes_for_abandoned_is_created_again(
    is_still_locked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That process was faster at locking it, and has removed it. The write succeeds with another file."""
    calls = []

    def steal_first(descriptor: int) -> bool:
        calls.append(descriptor)
        if len(calls) > 1:
            return try_lock(descriptor)
        [temporary] = tmp_path.iterdir()
        temporary.unlink()
        return not is_still_locked

    monkeypatch.setattr(file_lock, "try_lock", steal_first)
    write_atomically(tmp_path / "a.csv", b"new")
    assert len(calls) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_finished_temporary_file_is_not_taken_for_abandoned_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may look for abandoned files at any moment."""
    replace = file_lock.replace

    def clean_first(path: Path, target: Path) -> None:
        remove_abandoned(tmp_path)
        replace(path, target)

    monkeypatch.setattr(file_lock, "replace", clean_first)
    write_atomically(tmp_path / "a.csv", b"new")
    assert (tmp_path / "a.csv").read_bytes() == b"new"
