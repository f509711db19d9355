"""The provider's protocol: requests, responses and callbacks of the Veo API as plain values.

Pure functions: bytes and headers in, values or typed errors out. No event loop, no sockets, no clock.

- ``models.py``      the table of models: what each supports and costs, and how long it takes
- ``fields.py``      the documented fields: our name, the spellings, the meaning
- ``routes.py``      the two routes: the endpoints and bodies of each
- ``endpoints.py``   the endpoints: path, response type, documented codes, whether a request can be charged
- ``codes.py``       the error for each code
- ``dialects/``      what providers spell, default and support differently
- ``requests.py``    the requests, ``validation.py`` their rules, ``converter.py`` their JSON
- ``responses.py``   the responses, ``callbacks.py`` the callbacks
- ``catalogue.py``   the provider's catalogue, ``comparison.py`` where it differs from our table
- ``decoding.py``    from an HTTP response to a value or an error
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
from .routes import JOBS, VEO, Route, RouteName, route_named
from .signature import sign_callback
from .validation import check, problems_of

__all__ = [
    "APIKLEY",
    "JOBS",
    "KIE",
    "MODELS",
    "VEO",
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
    "Route",
    "RouteName",
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
    "route_named",
    "sign_callback",
    "upgrade_from_name",
]
