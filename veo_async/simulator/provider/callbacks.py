"""The callbacks that the provider sends when tasks finish: their content, signature and order. Pure."""

import heapq
from collections.abc import Mapping
from itertools import count
from math import inf
from typing import Any

import attrs

from veo_async._wire.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign_callback

from .messages import encode
from .settings import ProviderSettings
from .shapes import callback
from .tasks import Task


@attrs.frozen(kw_only=True)
class CallbackRequest:
    """One callback, ready to be sent."""

    task_id: str
    url: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    #: The name of the fault that altered it; empty without one.
    fault: str = ""


@attrs.frozen(kw_only=True)
class PlannedCallback:
    """A callback before it is signed and encoded, so that a fault can still alter it."""

    task_id: str
    url: str
    body: Any
    #: Signs the callback; None leaves it unsigned.
    secret: str | None = attrs.field(repr=False)
    #: The timestamp to sign, in epoch seconds of the wall clock.
    signed_at: int
    #: Never send it.
    is_lost: bool = False
    #: How often to send it.
    copies: int = 1
    #: Simulated seconds to wait before it is sent.
    delay_s: float = 0.0
    #: Send it after the next callback.
    waits_for_next: bool = False
    fault: str = ""

    def to_request(self) -> CallbackRequest:
        """Return the signed and encoded request."""
        headers = {"Content-Type": "application/json"}
        if self.secret is not None:
            headers[TIMESTAMP_HEADER] = str(self.signed_at)
            headers[SIGNATURE_HEADER] = sign_callback(self.task_id, self.signed_at, self.secret)
        return CallbackRequest(
            task_id=self.task_id, url=self.url, headers=headers, body=encode(self.body), fault=self.fault
        )


def plan_callback(task: Task, settings: ProviderSettings) -> PlannedCallback:
    """Return the callback for *task*, which has finished."""
    return PlannedCallback(
        task_id=task.id,
        url=task.callback_url or "",
        body=callback(task, settings),
        secret=settings.webhook_secret,
        signed_at=int(settings.wall_clock()),
    )


class CallbackQueue:
    """The callbacks that have not been sent, ordered by when they are due."""

    def __init__(self) -> None:
        self._queued: list[tuple[float, int, CallbackRequest]] = []
        self._waiting_for_next: list[CallbackRequest] = []
        self._order = count()

    def add(self, planned: PlannedCallback, now: float) -> None:
        """Queue *planned*, followed by any callbacks that were waiting for it."""
        if planned.is_lost:
            return
        request = planned.to_request()
        if planned.waits_for_next:
            self._waiting_for_next.append(request)
            return
        waiting, self._waiting_for_next = self._waiting_for_next, []
        for queued in [request] * planned.copies + waiting:
            heapq.heappush(self._queued, (now + planned.delay_s, next(self._order), queued))

    def due(self, now: float) -> list[CallbackRequest]:
        """Remove and return the callbacks that are due, in order."""
        requests = []
        while self._queued and self._queued[0][0] <= now:
            requests.append(heapq.heappop(self._queued)[2])
        return requests

    def next_deadline(self) -> float:
        """Return when the next callback is due; `inf` if none is queued."""
        return self._queued[0][0] if self._queued else inf
