"""The whole provider, without sockets: its accounts, its file and upload hosts, its callbacks, and its bad days.

A call comes in two steps, because a fault can make it wait before anybody looks at it: `receive` notes the call and
says how long to wait, `answer` lets the account decide and then lets the fault have its way.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping
from math import inf
from random import Random
from typing import Any

import attrs

from veo_async.simulator.faults.damage import alter_request, damage
from veo_async.simulator.faults.plan import Fault, FaultPlan
from veo_async.simulator.settings import SimulatorSettings

from .account import Account, Ids
from .callbacks import CallbackQueue, CallbackRequest
from .charges import Charge, double_charges, request_key
from .files import FileHost
from .messages import DOWNLOAD, UNKNOWN, ErrorResponse, SimRequest, SimResponse, is_upload, method_of
from .tasks import Task
from .uploads import UploadError, UploadHost

_NO_KEY = "Unauthorized – Authentication failed, please check your API key"


@attrs.frozen(kw_only=True)
class ReceivedRequest:
    """One request as the log keeps it: everything but the key."""

    endpoint: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)
    #: The key was sent along; to a file host it must never be.
    has_key: bool
    #: The account that the key bills; empty for a stranger.
    account: str
    content: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    #: Simulated epoch seconds.
    at: float
    #: The fault that struck it, if any.
    fault: str = ""

    @property
    def body(self) -> Any:
        """The JSON that was sent; None when it was none."""
        return SimRequest(method=self.method, path=self.path, body=self.content).json()


@attrs.frozen(kw_only=True)
class PendingCall:
    """A call that has been received and not yet answered."""

    request: SimRequest
    fault: Fault | None
    rng: Random
    #: Simulated seconds to wait before answering.
    delay_s: float


class Provider:
    """All of it; the skins own one of these each."""

    def __init__(self, settings: SimulatorSettings, *, api_key: str, started_at: float, base_url: str = "") -> None:
        self.settings = settings
        self.started_at = started_at
        self.files: FileHost = FileHost(base_url)
        self.faults: FaultPlan = FaultPlan(settings.faults, settings.seed)
        self.keys: dict[str, str] = settings.keys(api_key)
        self._rng = Random(settings.seed)
        self._ids = Ids(Random(f"ids {settings.seed}"), settings.dialect, list(settings.task_ids))
        self._uploads = UploadHost(settings, rng=self._rng, files=self.files)
        self._callback_queue = CallbackQueue(settings, self.faults)
        self.accounts: dict[str, Account] = {}
        for name in dict.fromkeys(self.keys.values()):
            self.account(name)
        self.log: deque[ReceivedRequest] = deque(maxlen=settings.max_logged_requests)
        self.counts: Counter[str] = Counter()

    def account(self, name: str) -> Account:
        """The account called *name*, opened if need be."""
        if name not in self.accounts:
            rng = Random(f"{name} {self.settings.seed}")
            self.accounts[name] = Account(name, self.settings, rng=rng, ids=self._ids, files=self.files)
        return self.accounts[name]

    # --- calls ------------------------------------------------------------------------------------------------

    def receive(self, request: SimRequest, now: float) -> PendingCall:
        """Note the call and draw what goes wrong with it."""
        endpoint = request.endpoint
        drawn = self.faults.next_fault(endpoint, now)
        fault, rng = drawn or (None, self._rng)
        self._log(request, endpoint, now, fault)
        delay_s = 0.0 if endpoint == DOWNLOAD else self.settings.latency_s
        if fault is not None and fault.kind == "delay-before":
            delay_s += fault.seconds
        return PendingCall(request=request, fault=fault, rng=rng, delay_s=delay_s)

    def answer(self, visit: PendingCall, now: float) -> SimResponse:
        """What is answered, however badly."""
        fault = visit.fault
        if fault is None:
            return self.handle(visit.request, now)
        good = self.handle(alter_request(fault, visit.request), now) if fault.accepted else SimResponse()
        return damage(fault, good, visit.rng, self.settings.wall_clock())

    def handle(self, request: SimRequest, now: float) -> SimResponse:
        """The answer of a provider on a good day."""
        endpoint = request.endpoint
        if endpoint == DOWNLOAD:
            self.catch_up(now)
            return self.files.answer(request, now)
        if is_upload(endpoint):
            return self._upload(request, now)
        try:
            return self._authorize(request, endpoint, now).handle(request, now)
        except ErrorResponse as refusal:
            return refusal.answer(self.settings.error_style)

    def _authorize(self, request: SimRequest, endpoint: str, now: float) -> Account:
        """The account that *request* may use."""
        name = self.keys.get(request.key)
        if name is None:
            raise ErrorResponse(401, _NO_KEY, form=self.settings.unknown_key_style)
        if self._in_maintenance(now):
            raise ErrorResponse(455, "Service Unavailable - System is currently undergoing maintenance")
        if not self._serves(endpoint) or request.method != method_of(endpoint):
            raise ErrorResponse(404, "The requested resource or endpoint does not exist", form="http")
        if self.settings.is_disabled((endpoint,)):
            raise ErrorResponse(505, "The requested feature is currently disabled")
        return self.account(name)

    def _serves(self, endpoint: str) -> bool:
        if self.settings.dialect == "apikley":
            return endpoint in ("generate", "record-info", "credit")
        return endpoint != UNKNOWN

    def _in_maintenance(self, now: float) -> bool:
        since_start = now - self.started_at
        return any(begin <= since_start < end for begin, end in self.settings.maintenance)

    def _upload(self, request: SimRequest, now: float) -> SimResponse:
        if request.method != "POST":
            return UploadError(405, "Method not allowed").answer()
        if request.key not in self.keys:
            return UploadError(401, "Authentication failed: Invalid API Key").answer()
        return self._uploads.handle(request, now)

    def _log(self, request: SimRequest, endpoint: str, now: float, fault: Fault | None) -> None:
        self.counts[endpoint] += 1
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        seen = ReceivedRequest(
            endpoint=endpoint,
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
        self.log.append(seen)

    # --- time -------------------------------------------------------------------------------------------------

    def catch_up(self, now: float) -> None:
        """Make up for what has happened by *now* in every account."""
        for account in self.accounts.values():
            account.catch_up(now)

    def due_callbacks(self, now: float) -> list[CallbackRequest]:
        """What is to be posted now."""
        for account in self.accounts.values():
            for task in account.due_callbacks(now):
                self._callback_queue.add(task, now)
        return self._callback_queue.due(now)

    def next_deadline(self, now: float) -> float:
        """When something will happen of itself; `inf` for never."""
        own = min((account.next_deadline(now) for account in self.accounts.values()), default=inf)
        return min(own, self._callback_queue.next_deadline())

    # --- looking inside ---------------------------------------------------------------------------------------

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every charge of every account, oldest first."""
        found = [charge for account in self.accounts.values() for charge in account.charge_log.charges]
        return tuple(sorted(found, key=lambda charge: charge.at))

    @property
    def tasks(self) -> dict[str, Task]:
        """Every task by its id."""
        return {task_id: task for account in self.accounts.values() for task_id, task in account.tasks.items()}

    def double_charges(self, key_of: Callable[[Charge], Hashable] = request_key) -> tuple[tuple[Charge, ...], ...]:
        return double_charges(self.charges, key_of)
