"""Sends callbacks when they are due, and retries until the receiver responds with 200."""

import asyncio
import ipaddress
import time
from math import inf
from urllib.parse import urlsplit

import aiohttp
import attrs

from veo_async.simulator.clock import SimulatedClock
from veo_async.simulator.faults.faulty_provider import FaultyProvider
from veo_async.simulator.provider.callbacks import CallbackRequest
from veo_async.simulator.settings import SimulatorSettings

#: The longest sleep, in seconds of the event loop. `CallbackSender.wake` ends it early.
_MAX_SLEEP_S = 3600.0
#: The shortest sleep: epoch seconds are floats with a resolution of about 0.25 µs, and a sleep below that never ends.
#: Timers fire early by up to the resolution of the loop's clock.
_MIN_SLEEP_S = max(0.001, time.get_clock_info("monotonic").resolution)


@attrs.frozen(kw_only=True)
class CallbackAttempt:
    """One attempt to send a callback."""

    post: CallbackRequest
    #: Counted from 1.
    attempt: int
    #: Simulated epoch seconds at the start of the attempt.
    at: float
    #: The HTTP status of the response; None without one.
    status: int | None = None
    #: Why there is no status: ``withheld`` (the receiver is on another machine), ``timeout``, or the name of the error.
    error: str = ""

    @property
    def was_acknowledged(self) -> bool:
        """Whether the receiver responded with 200."""
        return self.status == 200


class CallbackSender:
    """Waits for callbacks to become due and owns the tasks that send them."""

    def __init__(self, provider: FaultyProvider, settings: SimulatorSettings, clock: SimulatedClock) -> None:
        self._provider = provider
        self._settings = settings
        self._clock = clock
        self._changed = asyncio.Event()
        self.attempts: list[CallbackAttempt] = []

    def wake(self) -> None:
        """Check for due callbacks now."""
        self._changed.set()

    async def run(self) -> None:
        """Send callbacks until cancelled. Cancelling also cancels the callbacks being sent."""
        timeout = aiohttp.ClientTimeout(total=self._settings.callback_timeout_s, ceil_threshold=inf)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as group,
        ):
            while True:
                self._changed.clear()
                for post in self._provider.due_callbacks(self._clock.now()):
                    group.create_task(self._send(session, post), name=f"sim.callback:{post.task_id}")
                await self._sleep()

    async def _sleep(self) -> None:
        """Sleep until the next task finishes or the next callback is due, or until `wake` is called."""
        now = self._clock.now()
        span_s = self._clock.in_loop_seconds(self._provider.next_deadline(now) - now)
        try:
            async with asyncio.timeout(min(max(span_s, _MIN_SLEEP_S), _MAX_SLEEP_S)):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _send(self, session: aiohttp.ClientSession, post: CallbackRequest) -> None:
        """Send *post*, with retries until the receiver responds with 200. Withhold it from other machines."""
        if not (self._settings.allow_remote_callbacks or is_loopback(post.url)):
            self._note(post, 1, error="withheld")
            return
        for attempt, pause_s in enumerate((0.0, *self._settings.callback_retry_s), start=1):
            await self._wait(pause_s)
            if await self._post(session, post, attempt):
                return

    async def _post(self, session: aiohttp.ClientSession, post: CallbackRequest, attempt: int) -> bool:
        at = self._clock.now()
        try:
            async with session.post(post.url, data=post.body, headers=post.headers, allow_redirects=False) as response:
                self._note(post, attempt, at=at, status=response.status)
                return response.status == 200
        except TimeoutError:
            self._note(post, attempt, at=at, error="timeout")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._note(post, attempt, at=at, error=type(error).__name__)
        return False

    def _note(
        self,
        post: CallbackRequest,
        attempt: int,
        *,
        at: float | None = None,
        status: int | None = None,
        error: str = "",
    ) -> None:
        started_at = self._clock.now() if at is None else at
        self.attempts.append(CallbackAttempt(post=post, attempt=attempt, at=started_at, status=status, error=error))

    async def _wait(self, simulated_s: float) -> None:
        """Wait in simulated time, so that advancing the clock shortens the wait."""
        until = self._clock.now() + simulated_s
        while (left_s := until - self._clock.now()) > _MIN_SLEEP_S:
            try:
                async with asyncio.timeout(self._clock.in_loop_seconds(left_s)):
                    await self._advanced()
            except TimeoutError:
                continue

    async def _advanced(self) -> None:
        await self._changed.wait()
        await asyncio.sleep(0)


def is_loopback(url: str) -> bool:
    """Whether *url* is on this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
