"""The fields of requests on the jobs route: one table per model of ``createTask``, by our names.

They are spelled with underscores, except the ``taskId`` of the 1080p upgrade. ``callBackUrl`` is not part of the input.

Source: the provider's documentation of September and October 2026.
"""

from . import readers
from .fields import Field, Table

#: ``veo-3-1``. It has no seeds, and never gets the deprecated enable_fallback.
GENERATE = Table(
    Field("prompt", ("prompt",), readers.string, "Required."),
    Field("model", ("model",), readers.string, "The tier, documented since October; without it: probably Fast."),
    Field("image_urls", ("image_urls",), readers.strings, "1 or 2 frames; 1 to 3 in reference mode."),
    Field("generation_type", ("generation_type",), readers.string, "Without it, the server decides by the images."),
    Field("aspect_ratio", ("aspect_ratio",), readers.string, "16:9, 9:16, Auto."),
    Field("resolution", ("resolution",), readers.string, "720p, 1080p, 4k. Default 720p."),
    Field("duration", ("duration",), readers.integer, "4, 6 or 8. Default 8."),
    Field("enable_translation", ("enable_translation",), readers.boolean, "The default is not clear: always sent."),
    Field("watermark", ("watermark",), readers.string),
)

#: ``veo/extend``. It has no model: the one of the source clip counts.
EXTEND = Table(
    Field("task_id", ("task_id",), readers.string, "Not of a clip produced at or upgraded to 1080p."),
    Field("prompt", ("prompt",), readers.string, "Required."),
    Field("seeds", ("seeds",), readers.integer, "10000 to 99999."),
    Field("watermark", ("watermark",), readers.string),
)

#: ``veo/get-1080p-video``
UPGRADE_1080P = Table(
    Field("task_id", ("taskId",), readers.string, "The only name in camel case."),
    Field("index", ("index",), readers.integer, "A string in the schema, a number in its example."),
)

#: ``veo/get-4k-video``
UPGRADE_4K = Table(
    Field("task_id", ("task_id",), readers.string),
    Field("index", ("index",), readers.integer, "Default 0."),
)
