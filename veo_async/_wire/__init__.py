"""The provider's language: every request, answer and callback of the Veo family, as plain values.

Pure: bytes and headers in, values or typed errors out. No event loop, no sockets, no clock.

Where to look:

- ``fields.py``      every field of the provider's pages: our name, its spellings, what it means
- ``endpoints.py``   every endpoint: path, what it answers, which codes its page lists, whether it costs
- ``codes.py``       which code means which error
- ``dialects/``      what one provider spells, defaults and supports differently
- ``requests.py``    what we send, ``validation.py`` the rules it must keep, ``converter.py`` how it is spelled
- ``answers.py``     what comes back, ``callbacks.py`` what is pushed to us
- ``decipher.py``    the one way from an HTTP answer to a value or an error
"""

from .callbacks import Callback, parse_callback
from .decoding import decode_response
from .dialects import APIKLEY, KIE, Dialect, dialect_named
from .endpoints import Endpoint, endpoint_named
from .envelope import HttpResponse
from .models import MODELS, AspectRatio, GenerationType, Model, Resolution, VideoModel
from .requests import (
    AnyRequest,
    ExtendRequest,
    UpgradeRequest,
    VideoRequest,
    upgrade_from_name,
)
from .responses import (
    Accepted,
    Credits,
    DownloadLink,
    Failure,
    HdVideo,
    Record,
    TaskState,
    Upload,
    UpscaledVideo,
    record_from_raw,
)
from .signature import sign_callback
from .validation import check, problems_of

__all__ = [
    "APIKLEY",
    "KIE",
    "MODELS",
    "Accepted",
    "AnyRequest",
    "AspectRatio",
    "Callback",
    "Credits",
    "Dialect",
    "DownloadLink",
    "Endpoint",
    "ExtendRequest",
    "Failure",
    "GenerationType",
    "HdVideo",
    "HttpResponse",
    "Model",
    "Record",
    "Resolution",
    "TaskState",
    "UpgradeRequest",
    "Upload",
    "UpscaledVideo",
    "VideoModel",
    "VideoRequest",
    "check",
    "decode_response",
    "dialect_named",
    "endpoint_named",
    "parse_callback",
    "problems_of",
    "record_from_raw",
    "sign_callback",
    "upgrade_from_name",
]
