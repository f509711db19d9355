"""The provider together with its faults, as the frontends use it.

A request is handled in two steps, because a fault can delay it before the account sees it: `receive` logs the request
and says how long to wait, then `respond` returns the response.
"""

from collections import Counter, deque
from collections.abc import Mapping
from random import Random
from typing import Any

import attrs

from veo_async.simulator.provider.callbacks import CallbackQueue, CallbackRequest, plan_callback
from veo_async.simulator.provider.messages import CALLBACK, DOWNLOAD, SimRequest, SimResponse
from veo_async.simulator.provider.provider import Provider
from veo_async.simulator.provider.settings import ProviderSettings
from veo_async.simulator.provider.tasks import Task

from .plan import FaultPlan
from .table import Fault, FaultContext, find_kind


@attrs.frozen(kw_only=True)
class ReceivedRequest:
    """One request in the log: everything except the API key."""

    endpoint: str
    #: The same name on both routes: ``generate`` for a createTask that generates, ``record-info`` for a recordInfo.
    kind: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)
    #: Whether an API key was sent. Clients must not send it to the download host.
    has_key: bool
    #: The account that the key bills; empty for an unknown key.
    account: str
    content: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    #: Simulated epoch seconds.
    at: float
    #: The name of the fault that it triggered; empty without one.
    fault: str = ""

    @property
    def body(self) -> Any:
        """The body parsed as JSON, or None if it is not JSON."""
        return SimRequest(method=self.method, path=self.path, body=self.content).json()


@attrs.frozen(kw_only=True)
class PendingCall:
    """A request that was received and not yet handled."""

    request: SimRequest
    fault: Fault | None
    rng: Random
    #: Simulated seconds to wait before `FaultyProvider.respond` is called.
    delay_s: float


class FaultyProvider(Provider):
    """The provider, with faults that alter its requests, responses and callbacks. Each frontend owns one."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        api_key: str,
        started_at: float,
        faults: tuple[Fault, ...] = (),
        base_url: str = "",
    ) -> None:
        super().__init__(settings, api_key=api_key, started_at=started_at, base_url=base_url)
        self.faults: FaultPlan = FaultPlan(faults, settings.seed)
        #: The last requests, oldest first.
        self.log: deque[ReceivedRequest] = deque(maxlen=settings.max_logged_requests)
        #: The number of requests per endpoint.
        self.counts: Counter[str] = Counter()
        self._callbacks = CallbackQueue()

    def receive(self, request: SimRequest, now: float) -> PendingCall:
        """Log *request* and draw the fault that it triggers."""
        endpoint = request.endpoint
        fault, rng = self.faults.next_fault(endpoint, now, request.body) or (None, self.rng)
        self._log(request, endpoint, now, fault)
        delay_s = 0.0 if endpoint == DOWNLOAD else self.settings.latency_s
        if fault is not None:
            delay_s += find_kind(fault.kind).delay_s(fault)
        return PendingCall(request=request, fault=fault, rng=rng, delay_s=delay_s)

    def respond(self, call: PendingCall, now: float) -> SimResponse:
        """Return the response to *call*, altered by its fault."""
        fault = call.fault
        if fault is None:
            return self.handle(call.request, now)
        kind = find_kind(fault.kind)
        response = SimResponse()
        if fault.accepted:
            response = self.handle(kind.alter_request(fault, call.request), now)
        return kind.alter_response(fault, response, FaultContext(call.rng, self.settings.wall_clock()))

    def _log(self, request: SimRequest, endpoint: str, now: float, fault: Fault | None) -> None:
        kind = request.kind
        self.counts.update({endpoint, kind})
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        received = ReceivedRequest(
            endpoint=endpoint,
            kind=kind,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=headers,
            has_key="authorization" in request.headers,
            account=self.keys.get(request.key, ""),
            content=request.body,
            at=now,
            fault=fault.kind if fault else "",
        )
        self.log.append(received)

    def due_callbacks(self, now: float) -> list[CallbackRequest]:
        """Remove and return the callbacks that are due."""
        for task in self.finished_with_callback(now):
            self._add_callback(task, now)
        return self._callbacks.due(now)

    def _add_callback(self, task: Task, now: float) -> None:
        planned = plan_callback(task, self.settings)
        drawn = self.faults.next_fault(CALLBACK, now)
        if drawn is not None:
            fault, _ = drawn
            planned = find_kind(fault.kind).alter_callback(fault, attrs.evolve(planned, fault=fault.kind))
        self._callbacks.add(planned, now)

    def next_deadline(self, now: float) -> float:
        """Return when the next task finishes or the next callback is due; `inf` for never."""
        return min(super().next_deadline(now), self._callbacks.next_deadline())
