"""Posts callbacks when they fall due, and again when the receiver does not answer 200."""

import asyncio
import ipaddress
from math import inf
from urllib.parse import urlsplit

import aiohttp
import attrs

from veo_async.simulator.clock import SimulatedClock
from veo_async.simulator.provider.callbacks import CallbackRequest
from veo_async.simulator.provider.provider import Provider

#: How long the sender sleeps at most, in the loop's seconds; it is woken when something changes.
_MAX_SLEEP_S = 3600.0
#: Epoch seconds have a grain of a quarter of a microsecond, and sleeping for less than a grain is no progress.
_SHORTEST_NAP_S = 0.001


@attrs.frozen(kw_only=True)
class CallbackAttempt:
    """One attempt to tell a receiver."""

    post: CallbackRequest
    #: 1 for the first try.
    attempt: int
    #: Simulated epoch seconds at its beginning.
    at: float
    #: The receiver's HTTP status; None when none came.
    status: int | None = None
    #: Why there is no status: ``withheld`` (not on this machine), ``timeout``, or the error's name.
    error: str = ""

    @property
    def was_acknowledged(self) -> bool:
        return self.status == 200


class CallbackSender:
    """The one task that watches for callbacks, and the owner of all deliveries."""

    def __init__(self, provider: Provider, clock: SimulatedClock) -> None:
        self._provider = provider
        self._settings = provider.settings
        self._clock = clock
        self._changed = asyncio.Event()
        self.attempts: list[CallbackAttempt] = []

    def wake(self) -> None:
        """Something may have fallen due."""
        self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled; deliveries under way are cancelled with it."""
        timeout = aiohttp.ClientTimeout(total=self._settings.callback_timeout_s, ceil_threshold=inf)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as deliveries,
        ):
            while True:
                self._changed.clear()
                for post in self._provider.due_callbacks(self._clock.now()):
                    deliveries.create_task(self._deliver(session, post), name=f"sim.callback:{post.task_id}")
                await self._sleep()

    async def _sleep(self) -> None:
        """Sleep until the next thing falls due, or until woken."""
        now = self._clock.now()
        span_s = self._clock.in_loop_seconds(self._provider.next_deadline(now) - now)
        try:
            async with asyncio.timeout(min(max(span_s, _SHORTEST_NAP_S), _MAX_SLEEP_S)):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _deliver(self, session: aiohttp.ClientSession, post: CallbackRequest) -> None:
        """Post until the receiver says 200, the retries are used up, or it may not leave this machine."""
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
            async with session.post(post.url, data=post.body, headers=post.headers, allow_redirects=False) as answer:
                self._note(post, attempt, at=at, status=answer.status)
                return answer.status == 200
        except TimeoutError:
            self._note(post, attempt, at=at, error="timeout")
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            self._note(post, attempt, at=at, error=type(problem).__name__)
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
        begun = self._clock.now() if at is None else at
        self.attempts.append(CallbackAttempt(post=post, attempt=attempt, at=begun, status=status, error=error))

    async def _wait(self, simulated_s: float) -> None:
        """Wait by simulated time, so that advancing the clock shortens the wait."""
        until = self._clock.now() + simulated_s
        while (left_s := until - self._clock.now()) > _SHORTEST_NAP_S:
            try:
                async with asyncio.timeout(self._clock.in_loop_seconds(left_s)):
                    await self._advanced()
            except TimeoutError:
                continue

    async def _advanced(self) -> None:
        await self._changed.wait()
        await asyncio.sleep(0)


def is_loopback(url: str) -> bool:
    """Whether *url* stays on this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
