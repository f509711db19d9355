"""What a `VeoSession` is made of, imported when the first one is constructed: most of this library.

A program that imports `VeoSession` and constructs none, because it shows its help or runs tests of something else,
does not pay for it. An open session imports nothing of this while its jobs run.
"""

from veo_async._api import ApiKey, VeoApi
from veo_async._api.key import KeyProvider
from veo_async._base.checks import check_choice, check_count, check_flag, check_several, reject
from veo_async._ports import Ledger
from veo_async._rules.lifecycle import JobState
from veo_async._rules.queue.fair_queue import Priority
from veo_async._runtime.engine import Recovered
from veo_async._runtime.hooks import Hook
from veo_async._runtime.in_doubt.handler import OnDoubt
from veo_async._runtime.job.follow_ups import FollowUp, follow_up_of
from veo_async._runtime.job.handle import Job
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import Clip
from veo_async._runtime.job.outcomes import Outcomes
from veo_async._runtime.queued.images import ImageSource, UploadedImage
from veo_async._runtime.sending.key_renewal import with_timeout
from veo_async._runtime.streaming import stream_outcomes, to_async_iterator
from veo_async._runtime.uncancelled import run_to_completion
from veo_async._wire import AnyRequest, Dialect, ExtendRequest, UpgradeRequest, check
from veo_async._wire.converter import from_dict
from veo_async._wire.requests import ExtendOptions, VideoOptions
from veo_async.errors import SessionCrashed, UsageError
from veo_async.progress import ProgressCallback, callback_of
from veo_async.settings import Budget

from .account import Account
from .callbacks import CallbackReceiver
from .ledger import SessionLedger
from .lifetime import Lifetime
from .list_reporter import ListReporter
from .naming import facts_of_clip
from .options import JobOptions, check_route, checked_options, checked_target, parsed_template
from .outcome_stream import OutcomeStream
from .parts import Parts
from .statistics import Statistics
from .submitter import Submitter
from .targets import SaveTargets

__all__ = [
    "Account",
    "AnyRequest",
    "ApiKey",
    "Budget",
    "CallbackReceiver",
    "Clip",
    "Dialect",
    "ExtendOptions",
    "ExtendRequest",
    "FollowUp",
    "Hook",
    "ImageSource",
    "Job",
    "JobOptions",
    "JobState",
    "KeyProvider",
    "Ledger",
    "Lifetime",
    "ListReporter",
    "LiveJob",
    "OnDoubt",
    "OutcomeStream",
    "Outcomes",
    "Parts",
    "Priority",
    "ProgressCallback",
    "Recovered",
    "SaveTargets",
    "SessionCrashed",
    "SessionLedger",
    "Statistics",
    "Submitter",
    "UpgradeRequest",
    "UploadedImage",
    "UsageError",
    "VeoApi",
    "VideoOptions",
    "callback_of",
    "check",
    "check_choice",
    "check_count",
    "check_flag",
    "check_route",
    "check_several",
    "checked_options",
    "checked_target",
    "facts_of_clip",
    "follow_up_of",
    "from_dict",
    "parsed_template",
    "reject",
    "run_to_completion",
    "stream_outcomes",
    "to_async_iterator",
    "with_timeout",
]
