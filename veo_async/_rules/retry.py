"""Which call is tried again, and when.

Theory of operation
-------------------
The API client makes one attempt and gives a *verdict*; `retry_decision` answers `Retry` or `GiveUp`. One table
says what a verdict is worth, and one set says which endpoints cost money when they are called twice.

=============  =========================  ====================  ===================================
verdict        what happened              reading endpoint      creating endpoint
=============  =========================  ====================  ===================================
never-sent     no byte left us            again                 again
rate-limited   HTTP or body 429           again                 again, and it counts for nothing
broken         5xx or 408                 again                 no: may have been done and charged
lost           sent, no answer came       again                 no: the same
malformed      an answer without sense    again                 no: the same
not-yet        not ready, or not known    no: the poll schedule says when to look again
maintenance    455                        no: all pause, and a probe ends the pause
refused        a definite no              no: asking twice gives the same answer
unauthorized   401                        no: the same
no-credit      402                        no: the same
=============  =========================  ====================  ===================================

* Creating are ``generate``, ``extend``, ``get-4k-video``, and ``get-1080p-video`` although it is a GET:
  it takes credits. The uploads are POSTs but free, and a second copy lapses by itself, so they count as
  reading; whoever streams a file must be able to start it again.
* Delay: full jitter, ``random() * min(20 s, 0.5 s * 2 ** (tries - 1))``. 0.5 s is about four round trips;
  20 s is longer than a load balancer's restart and shorter than anybody's patience. Full jitter, because
  it spreads a herd best.
* Four tries, because a fault that outlives three delays is an outage, and then the poll schedule (reads)
  or the user (creations) is the better judge. 120 s in all: four read timeouts of 20 s, their delays, and
  room for one `Retry-After`.
* ``Retry-After`` beats the formula: never earlier than told, a little jitter on top. Negative, infinite
  or absent ones are ignored, and more than 120 s is taken for 120 s, so that a mistaken header stops
  nobody for days.
* All retries of a session share one `RetryQuota`, with the figures of the AWS SDKs' standard mode: 500
  tokens, 14 for a retry after a fault, 5 after a 429, given back when the retry succeeds, and 1 for a
  success at first try. When everything fails, about 35 retries are made at once and then one for 14
  successes, so an outage is not fed with retries.
* A 429 for a creating call is outside all of this but the delay: the gate decides, it uses up no try, no
  time and no quota, and so it can never fail a job.

The rule holds no time and no chance: ``elapsed_s`` and ``rng`` are arguments.
"""

import math
from collections.abc import Mapping
from typing import Final, Literal, get_args

import attrs

from veo_async.errors import (
    InsufficientCredits,
    InvalidKey,
    Maintenance,
    MalformedResponse,
    NotReady,
    NotSent,
    RateLimited,
    RecordNotFound,
    ResponseLost,
    ServerError,
    Unauthorized,
    VeoError,
)

from .rng import Rng

Endpoint = Literal[
    "record-info",
    "get-1080p-video",
    "get-4k-video",
    "credit",
    "download-url",
    "file-url-upload",
    "file-base64-upload",
    "file-stream-upload",
    "generate",
    "extend",
]
Verdict = Literal[
    "never-sent",
    "rate-limited",
    "broken",
    "lost",
    "malformed",
    "not-yet",
    "maintenance",
    "refused",
    "unauthorized",
    "insufficient-credits",
]
#: Why a call is not tried again.
GiveUpReason = Literal[
    "may-have-acted",  # a second call might be charged a second time
    "ask-later",  # somebody else decides when: the poll schedule, or the pause of the account
    "answer-stands",  # the same question would get the same answer
    "too-many-tries",
    "too-late",
    "quota-empty",  # too much fails at the moment to feed it with retries
]

CHARGED_ENDPOINTS: Final[frozenset[Endpoint]] = frozenset({"generate", "extend", "get-4k-video", "get-1080p-video"})
MAX_TRIES: Final = 4
MAX_TOTAL_S: Final = 120.0
BASE_S: Final = 0.5
CAP_S: Final = 20.0
MAX_RETRY_AFTER_S: Final = 120.0

QUOTA: Final = 500
FAULT_COST: Final = 14
THROTTLE_COST: Final = 5

#: What a retry after this verdict takes from the quota.
_COSTS: Final[Mapping[Verdict, int]] = {
    "never-sent": FAULT_COST,
    "rate-limited": THROTTLE_COST,
    "broken": FAULT_COST,
    "lost": FAULT_COST,
    "malformed": FAULT_COST,
}
#: Verdicts after which this rule never tries again.
_FINAL: Final[Mapping[Verdict, GiveUpReason]] = {
    "not-yet": "ask-later",
    "maintenance": "ask-later",
    "refused": "answer-stands",
    "unauthorized": "answer-stands",
    "insufficient-credits": "answer-stands",
}
#: What an error comes to, the first match deciding.
_VERDICTS: Final[tuple[tuple[tuple[type[VeoError], ...], Verdict], ...]] = (
    ((NotSent,), "never-sent"),
    ((RateLimited,), "rate-limited"),
    ((ServerError,), "broken"),
    ((ResponseLost,), "lost"),
    ((MalformedResponse,), "malformed"),
    ((NotReady, RecordNotFound), "not-yet"),
    ((Maintenance,), "maintenance"),
    ((Unauthorized, InvalidKey), "unauthorized"),
    ((InsufficientCredits,), "insufficient-credits"),
)
#: Verdicts that prove that a creating call has created nothing.
_HARMLESS: Final[frozenset[Verdict]] = frozenset({"never-sent", "rate-limited"})


@attrs.frozen
class Retry:
    """Try again after so many seconds."""

    delay_s: float
    cost: int = 0  #: what was taken from the quota; hand it to `RetryQuota.succeeded` if the retry succeeds


@attrs.frozen
class GiveUp:
    """Do not try again; the verdict goes to whoever called."""

    reason: GiveUpReason


@attrs.define(eq=False)
class RetryQuota:
    """How many retries a session may still make; shared by all its calls."""

    tokens: int = QUOTA

    def take(self, cost: int) -> bool:
        """Pay for a retry; False, and nothing taken, if there is not enough left."""
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def succeeded(self, cost: int = 0) -> None:
        """Note a success: give back what its last retry cost, or one token if it was the first try."""
        self.tokens = min(QUOTA, self.tokens + (cost or 1))


def retry_decision(
    endpoint: Endpoint,
    verdict: Verdict,
    *,
    attempt: int,
    elapsed_s: float,
    retry_after: float | None = None,
    quota: RetryQuota,
    rng: Rng,
) -> Retry | GiveUp:
    """Whether a call that came to *verdict* is tried again.

    Args:
        attempt: how many tries were made, this one included; 429s of a creating call need not be counted.
        elapsed: seconds since the first try began.
        retry_after: the server's wish in seconds, if it had one.

    Raises:
        ValueError: the endpoint or the verdict is unknown.
    """
    _check(endpoint, verdict)
    if verdict in _FINAL:
        return GiveUp(_FINAL[verdict])
    delay_s = _delay(attempt, retry_after, rng)
    if endpoint in CHARGED_ENDPOINTS:
        if verdict not in _HARMLESS:
            return GiveUp("may-have-acted")
        if verdict == "rate-limited":
            return Retry(delay_s)
    if attempt >= MAX_TRIES:
        return GiveUp("too-many-tries")
    if elapsed_s + delay_s > MAX_TOTAL_S:
        return GiveUp("too-late")
    cost = _COSTS[verdict]
    if not quota.take(cost):
        return GiveUp("quota-empty")
    return Retry(delay_s, cost)


def classify(error: VeoError) -> Verdict:
    """What *error* tells of the call that raised it; what is not named here is a definite no."""
    for kinds, verdict in _VERDICTS:
        if isinstance(error, kinds):
            return verdict
    return "refused"


def _delay(attempt: int, retry_after: float | None, rng: Rng) -> float:
    if retry_after is not None and 0 <= retry_after < math.inf:
        return min(retry_after, MAX_RETRY_AFTER_S) + rng.random() * BASE_S
    doublings = min(max(attempt - 1, 0), 16)  # no more, so that a large count cannot overflow
    return rng.random() * min(CAP_S, BASE_S * float(2**doublings))


def _check(endpoint: str, verdict: str) -> None:
    for word, known in ((endpoint, get_args(Endpoint)), (verdict, get_args(Verdict))):
        if word not in known:
            msg = f"unknown: {word!r}; known are {', '.join(known)}"
            raise ValueError(msg)
