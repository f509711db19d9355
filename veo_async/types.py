"""The types that users of `veo_async` meet, for annotations and for ``match``.

Errors are in `veo_async.errors`, events in `veo_async.events`, the arguments of a session in `veo_async.settings`.
"""

from ._api import ApiKey
from ._api.key import KeyProvider
from ._ports import BudgetUse
from ._rules.lifecycle import JobState
from ._rules.polling.durations import Eta
from ._rules.queue.fair_queue import Priority
from ._rules.rate_limit import LearnedLimits, RateLimitStatistics
from ._rules.route_choice import RouteSetting
from ._runtime.engine import Recovered
from ._runtime.hooks import Hook
from ._runtime.in_doubt.handler import OnDoubt
from ._runtime.job.follow_ups import FollowUp
from ._runtime.job.handle import Job, JobView
from ._runtime.job.live_job import exception_of
from ._runtime.job.outcome import Clip, Done, Evidence, Failed, HistoryItem, InDoubt, OnHold, Outcome, Refused
from ._runtime.job.outcomes import Outcomes
from ._runtime.queued.images import ImageSource, UploadedImage
from ._runtime.queued.spending import CreditUsage
from ._runtime.running.price_check import PriceDifferences
from ._runtime.running.watched_task import WatcherStatistics
from ._wire import (
    AnyRequest,
    AspectRatio,
    Callback,
    Dialect,
    ExtendRequest,
    GenerationType,
    Model,
    Record,
    Resolution,
    RouteName,
    TaskState,
    UpgradeRequest,
    VideoRequest,
)
from ._wire.catalogue import CatalogueModel, SuccessRate
from ._wire.comparison import ProviderModel
from ._wire.requests import ExtendOptions, VideoOptions

__all__ = [
    "AnyRequest",
    "ApiKey",
    "AspectRatio",
    "BudgetUse",
    "Callback",
    "CatalogueModel",
    "Clip",
    "CreditUsage",
    "Dialect",
    "Done",
    "Eta",
    "Evidence",
    "ExtendOptions",
    "ExtendRequest",
    "Failed",
    "FollowUp",
    "GenerationType",
    "HistoryItem",
    "Hook",
    "ImageSource",
    "InDoubt",
    "Job",
    "JobState",
    "JobView",
    "KeyProvider",
    "LearnedLimits",
    "Model",
    "OnDoubt",
    "OnHold",
    "Outcome",
    "Outcomes",
    "PriceDifferences",
    "Priority",
    "ProviderModel",
    "RateLimitStatistics",
    "Record",
    "Recovered",
    "Refused",
    "Resolution",
    "RouteName",
    "RouteSetting",
    "SuccessRate",
    "TaskState",
    "UpgradeRequest",
    "UploadedImage",
    "VideoOptions",
    "VideoRequest",
    "WatcherStatistics",
    "exception_of",
]
