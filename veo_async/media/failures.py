"""Why a download attempt failed, and what to do about it."""

from enum import Enum


class Advice(Enum):
    """What to do after a failed attempt."""

    #: Continue where the download was interrupted.
    RESUME = "resume"
    #: Start again at the first byte: the received bytes cannot be trusted or continued.
    RESTART = "restart"
    #: Get a fresh link: this one has expired.
    RENEW = "renew"
    #: Give up, and keep the received bytes.
    STOP = "stop"
    #: Give up, and delete the received bytes.
    DISCARD = "discard"


class AttemptFailed(Exception):
    """One download attempt failed. The reason can be shown to users: it never contains the query of a URL."""

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
        #: The HTTP status, if there was a response.
        self.status = status
        #: How long the server asked us to wait.
        self.retry_after_s = retry_after_s
        #: What the caller can do, if saving again is not enough.
        self.remedy = remedy
