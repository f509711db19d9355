"""Asyncio client for the Veo 3 / 3.1 video API. It never pays twice for a clip and never loses one.

Example::

    async with VeoSession() as veo:
        clip = await veo.generate("A dog surfing at dusk", model="veo3_fast", aspect_ratio="9:16")
        print(clip.urls)

- `VeoSession`: many clips at the same time on one account; ``veo_async.sync`` has a version without ``await``.
- `VeoApi`: one coroutine per endpoint, one HTTP request each.
- ``veo_async.events``: the events of a job. ``veo_async.errors``: all errors.
"""

import logging
from typing import TYPE_CHECKING

from ._base.lazy import lazy_names
from ._version import __version__

if TYPE_CHECKING:
    from . import errors
    from ._api import VeoApi
    from ._runtime.job.handle import Job
    from ._runtime.job.outcome import Clip, Done, Failed, InDoubt, Refused
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
    from .session import VeoSession
else:
    # Most programs use a few of these names, and a program that only shows its help uses none.
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            ".": "errors",
            "._api": "VeoApi",
            "._runtime.job.handle": "Job",
            "._runtime.job.outcome": "Clip Done Failed InDoubt Refused",
            "._wire": "AspectRatio Callback Dialect ExtendRequest GenerationType Model Record Resolution TaskState "
            "VideoRequest parse_callback",
            ".errors": "VeoError",
            ".session": "VeoSession",
        },
    )

__all__ = [
    "AspectRatio",
    "Callback",
    "Clip",
    "Dialect",
    "Done",
    "ExtendRequest",
    "Failed",
    "GenerationType",
    "InDoubt",
    "Job",
    "Model",
    "Record",
    "Refused",
    "Resolution",
    "TaskState",
    "VeoApi",
    "VeoError",
    "VeoSession",
    "VideoRequest",
    "__version__",
    "errors",
    "parse_callback",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
