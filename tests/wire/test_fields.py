"""The tables of fields contain all documented fields."""

import itertools

import pytest

from veo_async._wire import fields, job_fields
from veo_async._wire.fields import Field, read_fields

#: Every name in the documented examples and schemas, collected by hand.
DOCUMENTED = {
    # generate
    "prompt", "imageUrls", "model", "generationType", "aspectRatio", "aspect_ratio", "seeds", "callBackUrl",
    "enableFallback", "enableTranslation", "watermark", "waterMark", "resolution", "duration",
    # extend, get-1080p-video, get-4k-video, record-info
    "taskId", "index",
    # download-url and the uploads
    "url", "fileUrl", "base64Data", "file", "uploadPath", "fileName",
    # the envelope
    "code", "msg", "data", "success",
    # the record
    "paramJson", "completeTime", "createTime", "resultUrls", "fullResultUrls", "originUrls", "hasAudioList",
    "mediaIds", "successFlag", "status", "errorCode", "errorMessage", "fallbackFlag",
    # 1080p and 4K
    "resultUrl",
    # callbacks
    "promptJson", "task_id", "result_urls", "media_ids", "image_urls", "creditsConsumed",
    # the jobs route
    "param", "state", "origin_urls", "failCode", "failMsg", "consumeCredits",
    # responses to uploads
    "filePath", "downloadUrl", "fileSize", "mimeType", "uploadedAt", "fileId", "originalName", "uploadTime",
    "expiresAt",
}  # fmt: skip

#: Objects that contain fields and are read by name; they are not fields themselves.
CONTAINERS = {"response", "info"}

TABLES: dict[str, tuple[Field, ...]] = {
    name: table for name, table in vars(fields).items() if name.isupper() and isinstance(table, tuple)
}


def test_tables_have_exactly_the_documented_names() -> None:
    """The only exception is the older ``message``."""
    known = {spelling for field in itertools.chain(*TABLES.values()) for spelling in field.spellings}
    assert known - {"message"} == DOCUMENTED
    assert not known & CONTAINERS


def test_input_of_the_jobs_route_has_the_documented_names() -> None:
    """Snake case, except the task id of the 1080p upgrade."""
    tables = (job_fields.GENERATE, job_fields.EXTEND, job_fields.UPGRADE_1080P, job_fields.UPGRADE_4K)
    assert [[field.spelling for field in table] for table in tables] == [
        ["prompt", "model", "image_urls", "generation_type", "aspect_ratio", "resolution", "duration",
         "enable_translation", "watermark"],
        ["task_id", "prompt", "seeds", "watermark"],
        ["taskId", "index"],
        ["task_id", "index"],
    ]  # fmt: skip


def test_tables_cover_every_endpoint() -> None:
    """There is a table for each request, response and callback."""
    assert set(TABLES) == {
        "GENERATE", "EXTEND", "UPGRADE_1080P", "UPGRADE_4K", "DOWNLOAD_URL", "UPLOAD_REQUEST", "ENVELOPE", "ACCEPTED",
        "HD_VIDEO", "RECORD", "RECORD_PARAMS", "UPLOAD", "CALLBACK",
    }  # fmt: skip


@pytest.mark.parametrize("table", sorted(TABLES))
def test_names_in_a_table_are_unique(table: str) -> None:
    """Within a table, each of our names and each spelling occurs once."""
    ours = [field.name for field in TABLES[table]]
    spellings = [spelling for field in TABLES[table] for spelling in field.spellings]
    assert len(set(ours)) == len(ours)
    assert len(set(spellings)) == len(spellings)
    assert all(name.islower() and name.isidentifier() for name in ours)


def test_todays_spelling_comes_first() -> None:
    """The first spelling is the one that is sent."""
    spellings = {field.name: field.spelling for field in fields.GENERATE}
    assert (spellings["aspect_ratio"], spellings["watermark"], spellings["callback_url"]) == (
        "aspect_ratio",
        "watermark",
        "callBackUrl",
    )


def test_first_usable_value_counts() -> None:
    """Layers come before spellings, and null, empty and wrongly typed values are skipped."""
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


def test_false_and_zero_are_values() -> None:
    """Only null and empty values are skipped."""
    assert read_fields(
        fields.RECORD, {"fallbackFlag": False, "successFlag": 0}, {"fallbackFlag": True, "successFlag": 1}
    ) == {
        "fallback": False,
        "flag": 0,
    }


@pytest.mark.parametrize("layer", [None, [], "taskId", 5, True, [{"taskId": "a"}]])
def test_layers_that_are_not_objects_are_skipped(layer: object) -> None:
    """Only objects have fields."""
    assert read_fields(fields.ACCEPTED, layer, {"taskId": "b"}) == {"task_id": "b"}


def test_nested_objects_are_not_searched() -> None:
    """Only the given layers are read."""
    assert (
        read_fields(fields.ACCEPTED, {"data": {"taskId": "a"}, "paramJson": {"resultUrls": ["http://a.example"]}}) == {}
    )
