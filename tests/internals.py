"""The inner parts of a session, for the few tests that look behind the public API."""

from typing import Any

from veo_async._runtime.engine import Engine
from veo_async._session.lifetime import Lifetime
from veo_async._session.parts import Parts
from veo_async.session import VeoSession


def engine_of(veo: VeoSession) -> Engine:
    """Return the engine of a session that is open, or was."""
    return veo._lifetime.engine


def parts_of(veo: VeoSession) -> Parts:
    """Return the parts that need no event loop: rate limiter, queue, clip saver, …"""
    return veo._parts


def crash_of(veo: VeoSession) -> BaseException | None:
    """Return the internal error that stopped the session."""
    return veo._lifetime.crash


def live_job_of(job: Any) -> Any:
    """Return the live job behind a handle."""
    return job._job


def lifetime_of(veo: VeoSession) -> Lifetime:
    """Return whether a session is open, and in which loop."""
    return veo._lifetime
