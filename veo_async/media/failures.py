"""What can come between a URL and a whole file, said in one word of advice: what to do then."""

from enum import Enum


class Advice(Enum):
    """What helps after a setback."""

    #: Go on where it broke off.
    RESUME = "resume"
    #: What is there cannot be trusted or continued: begin again at the first byte.
    RESTART = "restart"
    #: The link has had its time: ask for a fresh one.
    RENEW = "renew"
    #: Nothing helps.
    STOP = "stop"
    #: Nothing helps, and what has arrived is worth nothing.
    DISCARD = "discard"


class AttemptFailed(Exception):
    """One attempt came to nothing. The reason is fit to be shown: it never holds a URL's query."""

    def __init__(
        self,
        reason: str,
        *,
        advice: Advice = Advice.RESUME,
        status: int | None = None,
        retry_after_s: float = 0.0,
        remedy: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        #: The HTTP status, where one came.
        self.status = status
        #: How long the host asked us to stay away.
        self.retry_after_s = retry_after_s
        #: What the caller can do, where it is not simply to save it again.
        self.remedy = remedy
