"""Asyncio client for the Veo 3 / 3.1 video API that never pays twice for one clip and never loses one.

Example::

    async with VeoApi() as api:
        task = await api.generate("A dog surfing at dusk", model="veo3_fast", aspect_ratio="9:16")
        record = await api.record_info(task.task_id)
"""

import logging

from . import errors
from ._api import ApiKey, VeoApi
from ._version import __version__
from ._wire import (
    AspectRatio,
    Callback,
    Dialect,
    ExtendRequest,
    GenerationType,
    Model,
    Record,
    Resolution,
    TaskState,
    VideoRequest,
    parse_callback,
)
from .errors import VeoError

__all__ = [
    "ApiKey",
    "AspectRatio",
    "Callback",
    "Dialect",
    "ExtendRequest",
    "GenerationType",
    "Model",
    "Record",
    "Resolution",
    "TaskState",
    "VeoApi",
    "VeoError",
    "VideoRequest",
    "__version__",
    "errors",
    "parse_callback",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
