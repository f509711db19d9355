"""The account's rate limit, as sessions and users see it. How it is enforced is described in `gate`."""

from .gate.gate import Gate as RateLimiter
from .gate.values import GateSettings as RateLimitSettings
from .gate.values import GateStatistics as RateLimitStatistics
from .gate.values import LearnedLimits

__all__ = ["LearnedLimits", "RateLimitSettings", "RateLimitStatistics", "RateLimiter"]
