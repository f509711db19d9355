"""What the provider posts when a task has ended: which, when, signed how, and what goes wrong with it. Pure."""

import heapq
from collections.abc import Mapping
from itertools import count
from math import inf
from typing import Any

import attrs

from veo_async._wire.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign_callback
from veo_async.simulator.faults.plan import Fault, FaultPlan
from veo_async.simulator.settings import SimulatorSettings

from .messages import CALLBACK, encode
from .shapes import callback
from .tasks import Task

_SHIFTS_S = {"stale": -3600, "future": 3600}


@attrs.frozen(kw_only=True)
class CallbackRequest:
    """One callback, ready to be posted."""

    task_id: str
    url: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    #: The misfortune that it carries, if any.
    fault: str = ""


class CallbackQueue:
    """Turns ended tasks into posts, and keeps those whose time has not come."""

    def __init__(self, settings: SimulatorSettings, faults: FaultPlan) -> None:
        self._settings = settings
        self._faults = faults
        self._waiting: list[tuple[float, int, CallbackRequest]] = []
        self._delayed: list[CallbackRequest] = []
        self._order = count()

    def add(self, task: Task, now: float) -> None:
        """*task* has ended and wants its callback."""
        drawn = self._faults.next_fault(CALLBACK, now)
        fault = drawn[0] if drawn else None
        kind = fault.kind if fault else ""
        post = self._post(task, fault)
        if kind == "swapped":
            self._delayed.append(post)
        elif kind != "lost":
            copies = fault.size if fault and kind == "doubled" else 1
            for each in [post] * copies + self._release():
                heapq.heappush(self._waiting, (now + _delay_s(fault), next(self._order), each))

    def due(self, now: float) -> list[CallbackRequest]:
        """What is to be posted now."""
        posts = []
        while self._waiting and self._waiting[0][0] <= now:
            posts.append(heapq.heappop(self._waiting)[2])
        return posts

    def next_deadline(self) -> float:
        return self._waiting[0][0] if self._waiting else inf

    def _release(self) -> list[CallbackRequest]:
        held, self._delayed = self._delayed, []
        return held

    def _post(self, task: Task, fault: Fault | None) -> CallbackRequest:
        kind, how = (fault.kind, fault.variant) if fault else ("", "")
        told: Any = callback(task, self._settings)
        if kind == "forged":
            told = {"code": 400, "msg": "failed", "data": {"taskId": task.id}}
        if fault is not None and kind == "malformed":
            told = [{"event": "done", "filler": "x" * fault.size}]
        headers = {"Content-Type": "application/json", **self._signature(task.id, how)}
        return CallbackRequest(
            task_id=task.id, url=task.callback_url or "", headers=headers, body=encode(told), fault=kind
        )

    def _signature(self, task_id: str, how: str) -> dict[str, str]:
        """The two headers of a signature, made *how* it was ordered; none while there is no key."""
        key = "not the key" if how == "key" else self._settings.webhook_secret
        if key is None or how == "unsigned":
            return {}
        stamp = int(self._settings.wall_clock()) + _SHIFTS_S.get(how, 0)
        return {TIMESTAMP_HEADER: str(stamp), SIGNATURE_HEADER: sign_callback(task_id, stamp, key)}


def _delay_s(fault: Fault | None) -> float:
    return fault.seconds if fault and fault.kind == "late" else 0.0
