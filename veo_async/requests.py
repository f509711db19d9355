"""Requests without a session: build, check and identify them before anything is sent.

`VeoSession.submit` does all of this itself; use this module to validate a list, or to know a job's key in advance.
"""

from ._runtime.job.follow_ups import ChainItem, FollowUp, chain_of, follow_up_of
from ._runtime.job.rows import content_key as automatic_key
from ._runtime.queued.images import ImageSource, inspect_image
from ._wire import AnyRequest, ExtendRequest, UpgradeRequest, VideoRequest, problems_of
from ._wire.converter import from_dict as request_from_dict
from ._wire.images import is_path, local_images, with_image

__all__ = [
    "AnyRequest",
    "ChainItem",
    "ExtendRequest",
    "FollowUp",
    "ImageSource",
    "UpgradeRequest",
    "VideoRequest",
    "automatic_key",
    "chain_of",
    "follow_up_of",
    "inspect_image",
    "is_path",
    "local_images",
    "problems_of",
    "request_from_dict",
    "with_image",
]
