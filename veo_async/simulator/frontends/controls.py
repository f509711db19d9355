"""What both frontends offer tests: inspection, control, and a check for double charges."""

import secrets
from collections.abc import Callable, Hashable
from typing import Any

import attrs

from veo_async.errors import UsageError
from veo_async.simulator.clock import SimulatedClock
from veo_async.simulator.faults.faulty_provider import FaultyProvider, ReceivedRequest
from veo_async.simulator.faults.parsing import parse_faults
from veo_async.simulator.faults.plan import TriggeredFault
from veo_async.simulator.faults.table import Fault, find_kind
from veo_async.simulator.provider.account import Account
from veo_async.simulator.provider.charges import Charge, request_key
from veo_async.simulator.provider.tasks import Task
from veo_async.simulator.settings import SimulatorSettings


class SimulatorControls:
    """The part that both frontends share. Every field of `SimulatorSettings` is a keyword argument."""

    #: Whether this frontend is the in-memory one, which can do more.
    _in_memory = False

    def __init__(self, settings: SimulatorSettings | None = None, **options: Any) -> None:
        self.settings: SimulatorSettings = (
            attrs.evolve(settings, **options) if settings else SimulatorSettings(**options)
        )
        self._check(self.settings.faults)
        #: An accepted API key: the one given, or a random one.
        self.api_key: str = self.settings.api_key or f"sim-{secrets.token_hex(16)}"
        start_at = self.settings.wall_clock() if self.settings.start_at is None else self.settings.start_at
        self._provider = FaultyProvider(
            self.settings, faults=self.settings.faults, api_key=self.api_key, started_at=start_at
        )
        self._clock: SimulatedClock | None = None

    # --- inspection -------------------------------------------------------------------------------------------

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every charge, oldest first. Refunded ones are included and have ``refunded_at`` set."""
        self._provider.catch_up(self.now())
        return self._provider.charges

    @property
    def tasks(self) -> dict[str, Task]:
        """Every task by its id, oldest first."""
        self._provider.catch_up(self.now())
        return self._provider.tasks

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """The log of received requests, oldest first, without API keys."""
        return tuple(self._provider.log)

    @property
    def triggered_faults(self) -> tuple[TriggeredFault, ...]:
        """The faults that were triggered, oldest first."""
        return tuple(self._provider.faults.triggered)

    def requests_to(self, endpoint: str = "generate") -> tuple[ReceivedRequest, ...]:
        """Return the logged requests to *endpoint*, with the same kind of request on the jobs route."""
        return tuple(request for request in self._provider.log if endpoint in (request.endpoint, request.kind))

    def count(self, endpoint: str) -> int:
        """Return the number of requests to *endpoint*, including those that the log no longer holds."""
        return self._provider.counts[endpoint]

    def double_charges(self, key_of: Callable[[Charge], Hashable] = request_key) -> tuple[tuple[Charge, ...], ...]:
        """Return groups of charges for the same request; see `charges.double_charges`."""
        self._provider.catch_up(self.now())
        return self._provider.double_charges(key_of)

    def assert_no_double_charge(self, key_of: Callable[[Charge], Hashable] = request_key) -> None:
        """Raise `AssertionError` with the task ids if any request was charged more than once."""
        doubles = self.double_charges(key_of)
        if doubles:
            task_ids = "; ".join(", ".join(charge.task_id for charge in group) for group in doubles)
            raise AssertionError(f"{len(doubles)} requests were charged more than once: {task_ids}")

    # --- control ----------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the simulated epoch seconds."""
        return self._clock.now() if self._clock else self._provider.started_at

    def advance(self, seconds: float) -> None:
        """Advance simulated time by *seconds*. Sleeping clients are not woken: they use the loop's clock."""
        self._running_clock().advance(seconds)
        self._wake()

    def inject(self, *faults: Fault | str) -> None:
        """Add faults. They count requests from now on."""
        added = parse_faults(faults)
        self._check(added)
        self._provider.faults.add(*added)

    def _check(self, faults: tuple[Fault, ...]) -> None:
        for fault in faults:
            if find_kind(fault.kind).memory_only and not self._in_memory:
                raise UsageError(f"fault={fault.kind!r}: not supported by the HTTP server; use go_offline()")

    def account(self, name: str = "main") -> Account:
        """Return an account, to inspect or to change it: ``sim.account().credits = 0``."""
        return self._provider.account(name)

    def close_old_route(self, *, read_only: bool = False) -> None:
        """Respond with code 404 to requests to the dedicated Veo endpoints; with *read_only*, records stay."""
        self._provider.veo_route = "read-only" if read_only else "gone"

    def open_old_route(self) -> None:
        """Serve the dedicated Veo endpoints again."""
        self._provider.veo_route = "on"

    def add_key(self, key: str, account: str = "main") -> None:
        """Accept the API key *key* and bill it to *account*."""
        self._provider.keys[key] = account

    def revoke_key(self, key: str) -> None:
        """Stop accepting the API key *key*."""
        self._provider.keys.pop(key, None)

    def _wake(self) -> None:
        """Check for due callbacks, if this frontend sends them."""

    def _running_clock(self) -> SimulatedClock:
        if self._clock is None:
            raise RuntimeError("the simulated clock runs only inside `async with`")
        return self._clock

    def _start_clock(self, loop_time: Callable[[], float]) -> SimulatedClock:
        self._clock = SimulatedClock(start_at=self._provider.started_at, speed=self.settings.speed, loop_time=loop_time)
        return self._clock
