"""Every field of the provider's pages, in one place.

Read a line as: our name, the spellings met (the first is the one of today's pages), what to make of the value, and
what is worth knowing about it. Requests are spelled from these tables by a dialect (`dialects`), answers and
callbacks are read through them (`read_fields`).

Pages read: docs.kie.ai of 2025 and 2026 and docs.apikley.ru, as they stood on 2026-11-21.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

import attrs

from . import readers


@attrs.frozen
class Field:
    """One field of the wire."""

    #: Our name, the attribute of the model.
    name: str
    #: How it is spelled on the wire; the first that says something wins.
    spellings: tuple[str, ...]
    #: From the raw value to ours; None or () means that it says nothing.
    read_fields: Callable[[Any], Any]
    #: What the pages say, and what was seen instead.
    note: str = ""

    @property
    def spelling(self) -> str:
        """How today's pages spell it."""
        return self.spellings[0]


class Table(tuple[Field, ...]):
    """Fields that are met together, findable by any of their spellings."""

    by_spelling: Mapping[str, Field]

    def __new__(cls, *fields: Field) -> Self:
        table = super().__new__(cls, fields)
        table.by_spelling = {spelling: field for field in fields for spelling in field.spellings}
        return table


def read_fields(fields: Table, *layers: Any) -> dict[str, Any]:
    """Our names and values, from the first of the *layers* in which a field says something.

    Only the layers themselves are looked at, never what lies deeper: ``paramJson`` holds the URLs of the input
    images, and taking the first URL found anywhere has cost others their results.

    It goes by what is there, not by what could be: most answers are records of running tasks, which hold nine of the
    two dozen spellings, half of them null.
    """
    found: dict[str, Any] = {}
    by_spelling = fields.by_spelling
    for layer in layers:
        if isinstance(layer, dict):
            for spelling, raw in layer.items():
                if raw is not None and (field := by_spelling.get(spelling)) and field.name not in found:
                    value = field.read_fields(raw) if len(field.spellings) == 1 else _first_value(field, layer)
                    if value is not None and value != ():
                        found[field.name] = value
    return found


def _first_value(field: Field, layer: Mapping[str, Any]) -> Any:
    """The value under the first spelling that says something, in whatever order *layer* holds them."""
    for spelling in field.spellings:
        raw = layer.get(spelling)
        if raw is not None:
            value = field.read_fields(raw)
            if value is not None and value != ():
                return value
    return None


# --- requests ---------------------------------------------------------------------------------------------------

#: ``POST /api/v1/veo/generate``
GENERATE = Table(
    Field("prompt", ("prompt",), readers.string, "Required. No maximum length is documented."),
    Field(
        "image_urls",
        ("imageUrls",),
        readers.strings,
        "1 or 2 images; 1 to 3 in reference mode. Must be public.",
    ),
    Field(
        "model",
        ("model",),
        readers.string,
        "See `models`. The default was veo3 in 2025 and is veo3_fast since.",
    ),
    Field("generation_type", ("generationType",), readers.string, "Left out, the server goes by the images."),
    Field("aspect_ratio", ("aspect_ratio", "aspectRatio"), readers.string, "16:9, 9:16, Auto. Camel case in 2025."),
    Field("seeds", ("seeds",), readers.integer, "10000 to 99999. Gone from the 2026 table, still in its example."),
    Field("callback_url", ("callBackUrl",), readers.string, "With a capital B."),
    Field("enable_fallback", ("enableFallback",), readers.boolean, "Deprecated: 'please remove this parameter'."),
    Field(
        "enable_translation",
        ("enableTranslation",),
        readers.boolean,
        "Default true in prose, false in one schema.",
    ),
    Field("watermark", ("watermark", "waterMark"), readers.string, "Text. Echoed as waterMark in paramJson."),
    Field("resolution", ("resolution",), readers.string, "720p, 1080p, 4k; since June 2026. Default 720p."),
    Field("duration", ("duration",), readers.integer, "4, 6 or 8 seconds; since August 2026. Default 8."),
)

#: ``POST /api/v1/veo/extend``
EXTEND = Table(
    Field(
        "task_id",
        ("taskId",),
        readers.string,
        "A generation or extension of this account, not one taken to 1080p.",
    ),
    Field("prompt", ("prompt",), readers.string, "Required."),
    Field("model", ("model",), readers.string, "fast, quality, lite: not the veo3 names."),
    Field("seeds", ("seeds",), readers.integer, "10000 to 99999."),
    Field("callback_url", ("callBackUrl",), readers.string),
    Field("watermark", ("watermark",), readers.string),
)

#: ``GET /api/v1/veo/get-1080p-video``, ``POST /api/v1/veo/get-4k-video`` and ``GET /api/v1/veo/record-info``
UPGRADE = Table(
    Field("task_id", ("taskId",), readers.string, "The task whose video is wanted."),
    Field("index", ("index",), readers.integer, "Which of its videos; 0 is the first."),
    Field("callback_url", ("callBackUrl",), readers.string, "4K only."),
)

#: ``POST /api/v1/common/download-url``
DOWNLOAD_URL = Table(Field("url", ("url",), readers.string, "A result URL of the provider; others get a 422."))

#: ``POST /api/file-url-upload``, ``/api/file-base64-upload`` and ``/api/file-stream-upload``
UPLOAD_REQUEST = Table(
    Field("file_url", ("fileUrl",), readers.string, "URL upload: fetched by the server within 30 s; up to 100 MB."),
    Field("base64_data", ("base64Data",), readers.string, "Base64 upload: bare or as a data URL; up to 10 MB."),
    Field("file", ("file",), readers.string, "Stream upload: the multipart part that holds the bytes."),
    Field("upload_path", ("uploadPath",), readers.string, "Required; a folder without slashes at its ends."),
    Field("file_name", ("fileName",), readers.string, "The same name overwrites; none gives a random one."),
)

# --- answers ----------------------------------------------------------------------------------------------------

#: The frame around every answer and callback.
ENVELOPE = Table(
    Field(
        "code",
        ("code",),
        readers.integer,
        "200 is success. Errors mostly come as HTTP 200 with another code here.",
    ),
    Field("message", ("msg", "message"), readers.string, "'success' even where data tells of a failed task."),
    Field("data", ("data",), lambda value: value, "An object, a string, a number or null."),
    Field("success", ("success",), readers.boolean, "Only the upload host sends it."),
)

#: Of generate, extend and get-4k-video.
ACCEPTED = Table(
    Field("task_id", ("taskId", "task_id"), readers.string, "Pages: veo_task_…; really 32 hex digits. Opaque."),
    Field("urls", ("resultUrls", "result_urls"), readers.urls, "4K only, once it is made."),
    Field("image_urls", ("imageUrls", "image_urls"), readers.urls, "4K only: stills."),
)

#: Of get-1080p-video.
HD_VIDEO = Table(Field("url", ("resultUrl",), readers.url, "Singular."))

#: Of record-info: ``data`` itself and ``data.response`` inside it.
RECORD = Table(
    Field("task_id", ("taskId", "task_id"), readers.string),
    Field(
        "flag",
        ("successFlag", "status"),
        readers.integer,
        "0 making, 1 done, 2 and 3 failed. status: only 2025.",
    ),
    Field(
        "urls",
        ("resultUrls", "result_urls"),
        readers.urls,
        "A list in response; in 2025 a JSON string in data.",
    ),
    Field(
        "full_urls",
        ("fullResultUrls",),
        readers.urls,
        "After an extension: the whole video. Else null or absent.",
    ),
    Field("origin_urls", ("originUrls",), readers.urls, "The uncropped video, when the ratio is not 16:9."),
    Field("image_urls", ("imageUrls", "image_urls"), readers.urls, "4K: stills."),
    Field("media_ids", ("mediaIds", "media_ids"), readers.strings, "4K; named in prose only."),
    Field("resolution", ("resolution",), readers.string, "720p unless asked otherwise."),
    Field("has_audio", ("hasAudioList",), readers.booleans, "Undocumented; one per video."),
    Field("seeds", ("seeds",), readers.integers, "Undocumented here; a list although the request has one number."),
    Field("created_at", ("createTime",), readers.instant, "Pages: a date-time; really epoch milliseconds."),
    Field("completed_at", ("completeTime",), readers.instant, "The same; null while it is being made."),
    Field("error_code", ("errorCode",), readers.integer, "Pages: 400, 500, 501; 422 is seen too."),
    Field(
        "error_message",
        ("errorMessage",),
        readers.string,
        "A sentence, or just 'failed'; '' or null on success.",
    ),
    Field("fallback", ("fallbackFlag",), readers.boolean, "Deprecated; absent from 4K tasks."),
)

#: Also in a record; apart, because it is JSON within JSON, rarely wanted, and a record is read at every poll.
RECORD_PARAMS = Table(
    Field("params", ("paramJson",), readers.params, "The request as the server understood it, camel case."),
)

#: Of the three uploads.
UPLOAD = Table(
    Field("url", ("downloadUrl", "fileUrl"), readers.url, "downloadUrl is what is really sent."),
    Field("file_id", ("fileId",), readers.string, "Quickstart form only."),
    Field("file_name", ("fileName",), readers.string),
    Field("original_name", ("originalName",), readers.string, "Quickstart form only."),
    Field("file_path", ("filePath",), readers.string),
    Field("upload_path", ("uploadPath",), readers.string, "Quickstart form only."),
    Field("size", ("fileSize",), readers.integer, "Bytes."),
    Field("mime_type", ("mimeType",), readers.string),
    Field("uploaded_at", ("uploadedAt", "uploadTime"), readers.instant),
    Field("expires_at", ("expiresAt",), readers.instant, "Deleted after 3 days or 24 h: the pages disagree."),
)

# --- callbacks --------------------------------------------------------------------------------------------------

#: Of generate, extend and 4K: ``data`` itself and ``data.info`` inside it.
CALLBACK = Table(
    Field("task_id", ("taskId", "task_id"), readers.string, "In data; one page shows it at the top level too."),
    Field("urls", ("resultUrls", "result_urls"), readers.urls, "A list, a JSON string or '[http://…]'."),
    Field("full_urls", ("fullResultUrls",), readers.urls),
    Field("origin_urls", ("originUrls",), readers.urls, "When the ratio is not 16:9."),
    Field("image_urls", ("imageUrls", "image_urls"), readers.urls, "4K: stills."),
    Field("media_ids", ("mediaIds", "media_ids"), readers.strings, "4K."),
    Field("resolution", ("resolution",), readers.string),
    Field("fallback", ("fallbackFlag",), readers.boolean, "Deprecated."),
    Field("params", ("promptJson", "paramJson"), readers.params, "A JSON string; an object in older pages."),
    Field("credits_consumed", ("creditsConsumed",), readers.number, "Older 4K pages only."),
)
