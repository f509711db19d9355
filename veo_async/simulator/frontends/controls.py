"""What both skins offer to look inside, to steer, and to make sure that nothing was paid twice."""

import secrets
from collections.abc import Callable, Hashable
from typing import Any

import attrs

from veo_async.errors import UsageError
from veo_async.simulator.clock import SimulatedClock
from veo_async.simulator.faults.parsing import parse_faults
from veo_async.simulator.faults.plan import Fault, TriggeredFault
from veo_async.simulator.provider.account import Account
from veo_async.simulator.provider.charges import Charge, request_key
from veo_async.simulator.provider.provider import Provider, ReceivedRequest
from veo_async.simulator.provider.tasks import Task
from veo_async.simulator.settings import SimulatorSettings


class SimulatorControls:
    """The simulator as a test sees it. Every option of `SimulatorSettings` is a keyword here."""

    #: Whether one call alone can find nobody listening.
    _can_be_unreachable = False

    def __init__(self, settings: SimulatorSettings | None = None, **options: Any) -> None:
        self.settings: SimulatorSettings = (
            attrs.evolve(settings, **options) if settings else SimulatorSettings(**options)
        )
        self._check(self.settings.faults)
        #: A key that is accepted: the one that was given, or a random dummy.
        self.api_key: str = self.settings.api_key or f"sim-{secrets.token_hex(16)}"
        start_at = self.settings.wall_clock() if self.settings.start_at is None else self.settings.start_at
        self._provider = Provider(self.settings, api_key=self.api_key, started_at=start_at)
        self._clock: SimulatedClock | None = None

    # --- what happened ----------------------------------------------------------------------------------------

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Everything that was charged, oldest first; what was given back says so itself."""
        self._provider.catch_up(self.now())
        return self._provider.charges

    @property
    def tasks(self) -> dict[str, Task]:
        """Every task by its id, oldest first."""
        self._provider.catch_up(self.now())
        return self._provider.tasks

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every request that arrived, oldest first, without keys."""
        return tuple(self._provider.log)

    @property
    def triggered_faults(self) -> tuple[TriggeredFault, ...]:
        """Which faults struck, in order."""
        return tuple(self._provider.faults.triggered)

    def requests_to(self, endpoint: str = "generate") -> tuple[ReceivedRequest, ...]:
        """The requests to one endpoint, whatever became of them."""
        return tuple(seen for seen in self._provider.log if seen.endpoint == endpoint)

    def count(self, endpoint: str) -> int:
        """How many requests *endpoint* has seen, those forgotten by ``max_logged_requests`` included."""
        return self._provider.counts[endpoint]

    def double_charges(self, key_of: Callable[[Charge], Hashable] = request_key) -> tuple[tuple[Charge, ...], ...]:
        """Groups of charges for one and the same request; see `book.double_charges`."""
        self._provider.catch_up(self.now())
        return self._provider.double_charges(key_of)

    def assert_no_double_charge(self, key_of: Callable[[Charge], Hashable] = request_key) -> None:
        """Fail, with the task ids, when a request was charged more than once."""
        doubles = self.double_charges(key_of)
        if doubles:
            task_ids = "; ".join(", ".join(charge.task_id for charge in group) for group in doubles)
            raise AssertionError(f"{len(doubles)} requests were charged more than once: {task_ids}")

    # --- steering ---------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Simulated epoch seconds."""
        return self._clock.now() if self._clock else self._provider.started_at

    def advance(self, seconds: float) -> None:
        """Let simulated *seconds* pass at once. Sleeping clients are not woken: their clock is the loop's."""
        self._running_clock().advance(seconds)
        self._wake()

    def inject(self, *faults: Fault | str) -> None:
        """More trouble, from now on; its calls are counted from here."""
        added = parse_faults(faults)
        self._check(added)
        self._provider.faults.add(*added)

    def _check(self, faults: tuple[Fault, ...]) -> None:
        if not self._can_be_unreachable and any(fault.kind == "unreachable" for fault in faults):
            raise UsageError("fault='unreachable': a server is there for all or for none; use go_offline()")

    def account(self, name: str = "main") -> Account:
        """An account, to look into or to change: ``sim.account().credits = 0``."""
        return self._provider.account(name)

    def add_key(self, key: str, account: str = "main") -> None:
        """Accept *key* too, on the bill of *account*."""
        self._provider.keys[key] = account

    def revoke_key(self, key: str) -> None:
        """Accept *key* no longer."""
        self._provider.keys.pop(key, None)

    def _wake(self) -> None:
        """Something may have fallen due."""

    def _running_clock(self) -> SimulatedClock:
        if self._clock is None:
            raise RuntimeError("time runs only inside `async with`")
        return self._clock

    def _start_clock(self, loop_time: Callable[[], float]) -> SimulatedClock:
        self._clock = SimulatedClock(start_at=self._provider.started_at, speed=self.settings.speed, loop_time=loop_time)
        return self._clock
