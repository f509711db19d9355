"""Partial files on systems that give no id of the system start, such as Windows and macOS."""

import json
from pathlib import Path

import pytest

from veo_async.media import partial_file
from veo_async.media.partial_file import PartialFile


@pytest.mark.parametrize(("synced", "kept"), [(None, 0), (7, 0), (10, 10)])
def test_bytes_that_may_not_have_reached_the_disk_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: int | None, kept: int
) -> None:
    """Without the id, only bytes that were flushed are continued: the system may have lost power in between."""
    monkeypatch.setattr(partial_file, "_BOOT_ID", tmp_path / "none")
    part = tmp_path / ".dog.mp4.0123abcd.part"
    part.write_bytes(bytes(10))
    stored = {"clip_id": "clip", "url_hash": "hash", "total": 20, "synced": synced, "boot_id": None}
    part.with_name(f"{part.name}.json").write_text(json.dumps(stored), "utf-8")
    partial = PartialFile(tmp_path, "dog.mp4", "clip")
    partial.open()
    assert partial.path == part
    assert partial.size == kept
    partial.discard()


def test_failed_rename_can_be_repeated(tmp_path: Path) -> None:
    """The disk may be full for a moment; the partial file stays open and locked."""
    partial = PartialFile(tmp_path, "dog.mp4", "clip")
    partial.open()
    partial.append(b"content")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        partial.rename_to(tmp_path / "folder", mode=0o644, replace=True)
    other = PartialFile(tmp_path, "dog.mp4", "clip")
    other.open()
    assert other.path != partial.path
    other.discard()
    partial.rename_to(tmp_path / "dog.mp4", mode=0o644, replace=False)
    assert [path.name for path in tmp_path.glob("*.mp4")] == ["dog.mp4"]
