"""Shared by the ledger tests: short ways to build rows and transitions, and an executor without a thread."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from veo_async._ports import JobRow, RateClaim, Transition

ACCOUNT = "account-1"
ROOMY = RateClaim(limit=1000, window_s=10.0, own_calls=0)


class Inline(Executor):
    """Runs all work immediately, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as exc:  # noqa: BLE001  # the future raises it
            future.set_exception(exc)
        return future


def job(key: str = "dog", **columns: Any) -> JobRow:
    """Return a job as a session would submit it."""
    given = {"account": ACCOUNT, "state": "queued", "request": '{"prompt": "A dog"}', "submitted_at": 100.0}
    return JobRow(key=key, **(given | columns))


_EVENTS = {
    "send": ("queued", "sending"),
    "requeue": ("sending", "queued"),
    "accept": ("sending", "running"),
    "lose": ("sending", "in_doubt"),
    "fail": ("running", "failed"),
    "complete": ("running", "ready"),
    "save": ("ready", "saved"),
    "bind": ("in_doubt", "running"),
    "resubmit": ("in_doubt", "queued"),
    "abandon": ("queued", "abandoned"),
}


def transition(event: str, key: str = "dog", at: float = 101.0, evidence: Any = None, **changes: Any) -> Transition:
    """Return the transition that *event* makes according to the lifecycle table."""
    before, after = _EVENTS[event]
    return Transition(
        key=key, event=event, before=before, after=after, at=at, changes=changes, evidence=evidence or {"why": event}
    )


def sending(key: str = "dog", token: str = "", at: float = 101.0) -> Transition:
    """Return the transition to ``sending``, with the token of an attempt."""
    return transition("send", key, at, token=token or f"token-{key}", attempts=1, sent_at=at)
