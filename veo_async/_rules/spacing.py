"""The pause between requests of which the provider allows only one in a while.

The next request may be sent *every_s* seconds after the response to the last one. So they also reach the server that
far apart, however long each is on its way. One request at a time; the caller holds a lock for that.
"""

import attrs


@attrs.define(eq=False)
class Spacing:
    """Says how long to wait before the next request.

    Args:
        every_s: seconds from the end of one request to the next.
    """

    every_s: float
    _next_at: float | None = attrs.field(default=None, init=False)

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next request may be sent."""
        return 0.0 if self._next_at is None else max(0.0, self._next_at - now)

    def ended(self, now: float) -> None:
        """Note that a request has ended, with a response or without one."""
        self._next_at = now + self.every_s
