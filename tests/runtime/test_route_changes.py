"""``route="auto"``: when new requests leave the ``veo`` route, and what that costs."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from veo_async._rules.lifecycle import JobState
from veo_async._rules.pauses import ROUTE_PROBE_FIRST_S
from veo_async._runtime.job.outcome import Done, InDoubt, Refused
from veo_async.errors import InvalidRequest, NotFound, UnsupportedByProvider
from veo_async.events import JobEvent, Paused, RouteChanged
from veo_async.providers import APIKLEY
from veo_async.requests import VideoRequest
from veo_async.session import VeoSession
from veo_async.settings import Network
from veo_async.simulator import Fault, MemoryTransport, html_page, rate_limited, refuse, timeout, unreachable

from .support import check_joints, let_run, now, world

pytestmark = pytest.mark.veo_virtual_time

AUTO: dict[str, Any] = {"route": "auto"}


def prompts(n: int) -> list[str]:
    return [f"A dog, number {i}" for i in range(n)]


def creations(sim: MemoryTransport, endpoint: str) -> int:
    """Return how many requests an endpoint got."""
    return len(sim.requests_to(endpoint))
