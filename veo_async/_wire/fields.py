"""The tables of all documented fields.

Each entry has our name, the known spellings (today's first), the reader of the value, and a note. Dialects use the
tables to spell requests (`dialects`); `read_fields` uses them to read responses and callbacks.

Sources: docs.kie.ai of 2025 and 2026 and docs.apikley.ru, read 2026-11-21.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

import attrs

from . import readers


@attrs.frozen
class Field:
    """One field of a request, response or callback."""

    #: Our name: the attribute of the request or response class.
    name: str
    #: The names on the wire; the first that has a value counts.
    spellings: tuple[str, ...]
    #: Converts the raw value to ours; None or () means that there is no value.
    read: Callable[[Any], Any]
    #: What the documentation says, and what the provider really sends.
    note: str = ""

    @property
    def spelling(self) -> str:
        """The spelling of today's documentation."""
        return self.spellings[0]


class Table(tuple[Field, ...]):
    """Fields that occur together, indexed by all their spellings."""

    by_spelling: Mapping[str, Field]

    def __new__(cls, *fields: Field) -> Self:
        table = super().__new__(cls, fields)
        table.by_spelling = {spelling: field for field in fields for spelling in field.spellings}
        return table


def read_fields(fields: Table, *layers: Any) -> dict[str, Any]:
    """Return our names and values, each from the first of the *layers* in which the field has a value.

    Only the layers themselves are searched, nothing nested: ``paramJson`` contains the URLs of the input images, and
    other clients lost results because they used the first URL found anywhere.

    The loop goes over the keys of the layer, not over the table: most responses are records of running tasks, which
    have nine of the two dozen spellings, half of them null.
    """
    found: dict[str, Any] = {}
    by_spelling = fields.by_spelling
    for layer in layers:
        if isinstance(layer, dict):
            for spelling, raw in layer.items():
                if raw is not None and (field := by_spelling.get(spelling)) and field.name not in found:
                    value = field.read(raw) if len(field.spellings) == 1 else _first_value(field, layer)
                    if value is not None and value != ():
                        found[field.name] = value
    return found


def _first_value(field: Field, layer: Mapping[str, Any]) -> Any:
    """Return the value of the first spelling that has one, regardless of the order in *layer*."""
    for spelling in field.spellings:
        raw = layer.get(spelling)
        if raw is not None:
            value = field.read(raw)
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
    Field("generation_type", ("generationType",), readers.string, "Without it, the server decides by the images."),
    Field("aspect_ratio", ("aspect_ratio", "aspectRatio"), readers.string, "16:9, 9:16, Auto. Camel case in 2025."),
    Field("seeds", ("seeds",), readers.integer, "10000 to 99999. Not in the table of 2026, but in its example."),
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
        "A generation or extension of this account that was not upgraded to 1080p.",
    ),
    Field("prompt", ("prompt",), readers.string, "Required."),
    Field("model", ("model",), readers.string, "fast, quality, lite: not the veo3 names."),
    Field("seeds", ("seeds",), readers.integer, "10000 to 99999."),
    Field("callback_url", ("callBackUrl",), readers.string),
    Field("watermark", ("watermark",), readers.string),
)

#: ``GET /api/v1/veo/get-1080p-video``
UPGRADE_1080P = Table(
    Field("task_id", ("taskId",), readers.string, "The task of the source video."),
    Field("index", ("index",), readers.integer, "Which of its videos; 0 is the first."),
)

#: ``POST /api/v1/veo/get-4k-video``
UPGRADE_4K = Table(*UPGRADE_1080P, Field("callback_url", ("callBackUrl",), readers.string))

#: ``POST /api/v1/common/download-url``
DOWNLOAD_URL = Table(Field("url", ("url",), readers.string, "A result URL of the provider; others get a 422."))

#: ``POST /api/file-url-upload``, ``/api/file-base64-upload`` and ``/api/file-stream-upload``
UPLOAD_REQUEST = Table(
    Field("file_url", ("fileUrl",), readers.string, "URL upload: fetched by the server within 30 s; up to 100 MB."),
    Field("base64_data", ("base64Data",), readers.string, "Base64 upload: bare or as a data URL; up to 10 MB."),
    Field("file", ("file",), readers.string, "Stream upload: the multipart part with the bytes."),
    Field("upload_path", ("uploadPath",), readers.string, "Required; a folder without slashes at its ends."),
    Field(
        "file_name",
        ("fileName",),
        readers.string,
        "An existing name is overwritten; without one the server chooses a random name.",
    ),
)

# --- responses --------------------------------------------------------------------------------------------------

#: The envelope of every response and callback.
ENVELOPE = Table(
    Field(
        "code",
        ("code",),
        readers.integer,
        "200 is success. Errors mostly come as HTTP 200 with another code here.",
    ),
    Field("message", ("msg", "message"), readers.string, "'success' even if data reports a failed task."),
    Field("data", ("data",), lambda value: value, "An object, a string, a number or null."),
    Field("success", ("success",), readers.boolean, "Only the upload host sends it."),
)

#: Of generate, extend and get-4k-video.
ACCEPTED = Table(
    Field("task_id", ("taskId", "task_id"), readers.string, "Documented: veo_task_…; real: 32 hex digits. Opaque."),
    Field("urls", ("resultUrls", "result_urls"), readers.urls, "4K only, once it is ready."),
    Field("image_urls", ("imageUrls", "image_urls"), readers.urls, "4K only: still images."),
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
        "0 generating, 1 succeeded, 2 and 3 failed. status: only 2025.",
    ),
    Field(
        "urls",
        ("resultUrls", "result_urls", "resultUrl"),
        readers.urls,
        "A list in response; in 2025 a JSON string in data.",
    ),
    Field(
        "full_urls",
        ("fullResultUrls",),
        readers.urls,
        "After an extension: the whole video; perhaps in the callback only.",
    ),
    Field(
        "origin_urls",
        ("originUrls", "origin_urls"),
        readers.urls,
        "The uncropped video, if the ratio is not 16:9; on the jobs route the video before 1080p or 4K.",
    ),
    Field("image_urls", ("imageUrls", "image_urls"), readers.urls, "4K: still images."),
    Field("media_ids", ("mediaIds", "media_ids"), readers.strings, "4K; named in prose only."),
    Field("resolution", ("resolution",), readers.string, "720p unless requested otherwise."),
    Field("has_audio", ("hasAudioList",), readers.booleans, "Undocumented; one per video."),
    Field("seeds", ("seeds",), readers.integers, "Undocumented here; a list although the request has one number."),
    Field("created_at", ("createTime",), readers.instant, "Documented: a date-time; real: epoch milliseconds."),
    Field("completed_at", ("completeTime",), readers.instant, "The same format; null while the task is running."),
    Field("error_code", ("errorCode", "failCode"), readers.integer, "Documented: 400, 500, 501; 422 occurs too."),
    Field(
        "error_message",
        ("errorMessage", "failMsg"),
        readers.string,
        "A sentence, or just 'failed'; '' or null on success.",
    ),
    Field("fallback", ("fallbackFlag",), readers.boolean, "Deprecated; absent from 4K tasks."),
    Field("word", ("state",), readers.string, "Jobs route: waiting, queuing, generating, success, fail."),
    Field("model", ("model",), readers.string, "Jobs route: veo-3-1, veo/extend, veo/get-1080p-video, …"),
    Field("credits_consumed", ("creditsConsumed",), readers.number, "Filled while the task waits; not always there."),
)

#: Also part of a record. Separate, because it is JSON within JSON, rarely used, and every poll reads a record.
RECORD_PARAMS = Table(
    Field(
        "params",
        ("paramJson", "param"),
        readers.nested_params,
        "The request as the server understood it, camel case. On the jobs route the names of its input, which is JSON "
        "within the JSON.",
    ),
)

#: Of the three uploads.
UPLOAD = Table(
    Field("url", ("downloadUrl", "fileUrl"), readers.url, "The provider really sends downloadUrl."),
    Field("file_id", ("fileId",), readers.string, "Quickstart form only."),
    Field("file_name", ("fileName",), readers.string),
    Field("original_name", ("originalName",), readers.string, "Quickstart form only."),
    Field("file_path", ("filePath",), readers.string),
    Field("upload_path", ("uploadPath",), readers.string, "Quickstart form only."),
    Field("size", ("fileSize",), readers.integer, "Bytes."),
    Field("mime_type", ("mimeType",), readers.string),
    Field("uploaded_at", ("uploadedAt", "uploadTime"), readers.instant),
    Field(
        "expires_at",
        ("expiresAt",),
        readers.instant,
        "Deleted after 24 h; 3 days in older documentation.",
    ),
)

# --- callbacks --------------------------------------------------------------------------------------------------

#: Of generate, extend and 4K: ``data`` itself and ``data.info`` inside it.
CALLBACK = Table(
    Field("task_id", ("taskId", "task_id"), readers.string, "In data; one example has it at the top level too."),
    Field("urls", ("resultUrls", "result_urls", "resultUrl"), readers.urls, "A list, a JSON string or '[http://…]'."),
    Field("full_urls", ("fullResultUrls",), readers.urls),
    Field("origin_urls", ("originUrls", "origin_urls"), readers.urls, "If the ratio is not 16:9."),
    Field("image_urls", ("imageUrls", "image_urls"), readers.urls, "4K: still images."),
    Field("media_ids", ("mediaIds", "media_ids"), readers.strings, "4K."),
    Field("resolution", ("resolution",), readers.string),
    Field("fallback", ("fallbackFlag",), readers.boolean, "Deprecated."),
    Field(
        "params",
        ("promptJson", "paramJson", "param"),
        readers.nested_params,
        "A JSON string; in older documentation an object.",
    ),
    Field(
        "credits_consumed",
        ("creditsConsumed", "consumeCredits"),
        readers.number,
        "Jobs route, and 4K in older documentation.",
    ),
    Field("word", ("state",), readers.string, "Jobs route: success or fail."),
    Field("error_code", ("failCode",), readers.integer, "Jobs route."),
    Field("error_message", ("failMsg",), readers.string, "Jobs route; msg is the same for every failure."),
)
