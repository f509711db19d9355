"""A reader finds any field of the provider's pages in one file."""

import itertools

import pytest

from veo_async._wire import fields
from veo_async._wire.fields import Field, read_fields

#: Every name in the examples and schemas of the pages, by hand.
OF_THE_PAGES = {
    # generate
    "prompt", "imageUrls", "model", "generationType", "aspectRatio", "aspect_ratio", "seeds", "callBackUrl",
    "enableFallback", "enableTranslation", "watermark", "waterMark", "resolution", "duration",
    # extend, get-1080p-video, get-4k-video, record-info
    "taskId", "index",
    # download-url and the uploads
    "url", "fileUrl", "base64Data", "file", "uploadPath", "fileName",
    # the frame
    "code", "msg", "data", "success",
    # the record
    "paramJson", "completeTime", "createTime", "resultUrls", "fullResultUrls", "originUrls", "hasAudioList",
    "mediaIds", "successFlag", "status", "errorCode", "errorMessage", "fallbackFlag",
    # 1080p and 4K
    "resultUrl",
    # callbacks
    "promptJson", "task_id", "result_urls", "media_ids", "image_urls", "creditsConsumed",
    # answers of uploads
    "filePath", "downloadUrl", "fileSize", "mimeType", "uploadedAt", "fileId", "originalName", "uploadTime",
    "expiresAt",
}  # fmt: skip

#: Containers and words that the code asks for by name; they hold fields and are none.
CONTAINERS = {"response", "info"}

TABLES: dict[str, tuple[Field, ...]] = {
    name: table for name, table in vars(fields).items() if name.isupper() and isinstance(table, tuple)
}


def test_every_name_of_the_pages_has_a_line() -> None:
    """What the pages spell is spelled in `fields`, and `fields` invents nothing but the older ``message``."""
    known = {spelling for field in itertools.chain(*TABLES.values()) for spelling in field.spellings}
    assert known - {"message"} == OF_THE_PAGES
    assert not known & CONTAINERS


def test_the_tables_cover_every_endpoint() -> None:
    """Requests, answers and callbacks: a table each."""
    assert set(TABLES) == {
        "GENERATE", "EXTEND", "UPGRADE", "DOWNLOAD_URL", "UPLOAD_REQUEST", "ENVELOPE", "ACCEPTED", "HD_VIDEO",
        "RECORD", "RECORD_PARAMS", "UPLOAD", "CALLBACK",
    }  # fmt: skip


@pytest.mark.parametrize("table", sorted(TABLES))
def test_a_table_is_unambiguous(table: str) -> None:
    """Within a table each of our names and each spelling stands once."""
    ours = [field.name for field in TABLES[table]]
    theirs = [spelling for field in TABLES[table] for spelling in field.spellings]
    assert len(set(ours)) == len(ours)
    assert len(set(theirs)) == len(theirs)
    assert all(name.islower() and name.isidentifier() for name in ours)


def test_todays_spelling_comes_first() -> None:
    """The first spelling is the one that is sent."""
    spelled = {field.name: field.spelling for field in fields.GENERATE}
    assert (spelled["aspect_ratio"], spelled["watermark"], spelled["callback_url"]) == (
        "aspect_ratio",
        "watermark",
        "callBackUrl",
    )


def test_the_first_that_says_something_wins() -> None:
    """Layers before spellings, spellings before types: null, empty and ill-typed values say nothing."""
    assert read_fields(fields.ACCEPTED, {"taskId": "a"}, {"taskId": "b"}) == {"task_id": "a"}
    assert read_fields(fields.ACCEPTED, {"task_id": "a"}, {"taskId": "b"}) == {"task_id": "a"}
    assert read_fields(fields.ACCEPTED, {"taskId": "a", "task_id": "b"}) == {"task_id": "a"}
    assert read_fields(fields.ACCEPTED, {"task_id": "b", "taskId": "a"}) == {"task_id": "a"}
    assert read_fields(fields.ACCEPTED, {"task_id": "b", "taskId": 5}) == {"task_id": "b"}
    assert read_fields(fields.ACCEPTED, {"taskId": 5, "task_id": "b"}) == {"task_id": "b"}
    assert read_fields(fields.ACCEPTED, {"taskId": None}, {"taskId": "b"}) == {"task_id": "b"}
    assert read_fields(fields.ACCEPTED, {"resultUrls": []}, {"result_urls": ["http://a.example"]}) == {
        "urls": ("http://a.example",)
    }


def test_falsehood_says_something() -> None:
    """False and 0 are values, not silence."""
    assert read_fields(
        fields.RECORD, {"fallbackFlag": False, "successFlag": 0}, {"fallbackFlag": True, "successFlag": 1}
    ) == {
        "fallback": False,
        "flag": 0,
    }


@pytest.mark.parametrize("layer", [None, [], "taskId", 5, True, [{"taskId": "a"}]])
def test_layers_that_are_no_objects_are_passed_over(layer: object) -> None:
    """What is no object holds no fields."""
    assert read_fields(fields.ACCEPTED, layer, {"taskId": "b"}) == {"task_id": "b"}


def test_nothing_deeper_is_looked_at() -> None:
    """Only the layers that are handed in are read."""
    assert (
        read_fields(fields.ACCEPTED, {"data": {"taskId": "a"}, "paramJson": {"resultUrls": ["http://a.example"]}}) == {}
    )
