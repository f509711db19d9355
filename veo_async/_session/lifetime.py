"""Whether a session is open, and in which loop and process. Everything a session offers asks here for its engine."""

import asyncio
import os

from veo_async._runtime.engine import Engine
from veo_async._runtime.job.live_job import copy_error
from veo_async.errors import RESUME, SessionClosed, SessionCrashed, UsageError


class Lifetime:
    """The state of one session: not opened yet, open, closed or crashed."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.crash: BaseException | None = None
        self.is_closed = False
        self._engine: Engine | None = None
        self._process: int | None = None

    def begin(self) -> None:
        """Bind the session to the running loop.

        Raises:
            UsageError: it was opened before.
        """
        if self.loop is not None:
            raise UsageError("a session can be opened only once. Create another VeoSession.")
        self.loop, self._process = asyncio.get_running_loop(), os.getpid()

    def now(self) -> float:
        """Return the time of the session's loop; 0.0 before it was opened."""
        return self.loop.time() if self.loop else 0.0

    @property
    def has_engine(self) -> bool:
        """Whether the session was opened."""
        return self._engine is not None

    @property
    def engine(self) -> Engine:
        """The engine of a session that is open or was closed.

        Raises:
            SessionClosed: the session was never opened.
        """
        if self._engine is None:
            raise SessionClosed(
                "the session is not open", remedy="Write `async with VeoSession() as veo:` around the calls."
            )
        return self._engine

    @engine.setter
    def engine(self, engine: Engine | None) -> None:
        self._engine = engine

    def require_open(self) -> Engine:
        """Return the engine of an open session.

        Raises:
            SessionClosed: it is not open, or belongs to another process or event loop.
            SessionCrashed: an internal error stopped it.
            ClientClosed: the caller closed the HTTP session that he passed.
        """
        engine = self.engine
        if self.is_closed:
            raise SessionClosed("this session is closed", remedy=RESUME)
        if os.getpid() != self._process:
            raise SessionClosed(
                "this session was opened before a fork", remedy="Open another one in the child process."
            )
        if self.crash is not None:
            raise SessionCrashed(f"a background task failed: {self.crash!r}") from self.crash
        if engine.client_closed is not None:
            raise copy_error(engine.client_closed)
        if running_loop() is not self.loop:
            raise SessionClosed("this session belongs to another event loop", remedy="Open one session per loop.")
        return engine

    def require_own_loop(self) -> None:
        """Raise `SessionClosed` in another loop than the one in which the session was opened."""
        if self.loop not in (None, running_loop()):
            raise SessionClosed("this session belongs to another event loop", remedy="Close it there.")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the running event loop; None in a thread without one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
