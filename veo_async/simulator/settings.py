"""Every option of the simulator.

Times are *simulated* seconds: with ``speed=60`` one second of the event loop is a simulated minute. This includes the
window of the rate limit and the delays of faults. The one exception is ``callback_timeout_s``, which is in seconds of
the event loop because it bounds a receiver that does not run in simulated time.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import attrs

from .faults.parsing import parse_faults
from .faults.table import Fault
from .provider.option_checks import at_least, check_port, seconds
from .provider.settings import ProviderSettings


def wall_clock() -> float:
    """Return the epoch seconds of this machine's clock."""
    return datetime.now(UTC).timestamp()


@attrs.frozen(kw_only=True)
class SimulatorSettings(ProviderSettings):
    """How the simulator behaves. Each field is a keyword argument of ``Simulator`` and `MemoryTransport`."""

    # --- faults ---
    #: The faults to inject, as `Fault` values or as text such as ``drop-after:generate:1``; see `faults.parsing`.
    faults: tuple[Fault, ...] = attrs.field(default=(), converter=parse_faults)

    # --- time ---
    #: Simulated epoch seconds at the start; None uses the wall clock.
    start_at: float | None = seconds(None)
    #: Callback signatures and HTTP dates use this clock and not simulated time, because receivers compare them with
    #: their own clock.
    wall_clock: Callable[[], float] = wall_clock

    # --- sending callbacks ---
    #: How long a receiver may take to respond, in seconds of the event loop.
    callback_timeout_s: float = attrs.field(default=15.0, validator=at_least(0, exclusive=True))
    #: The delay before each retry of a callback; one number per retry.
    callback_retry_s: tuple[float, ...] = attrs.field(default=(60.0, 300.0, 900.0), converter=tuple)
    #: Whether callbacks may be sent to other machines.
    allow_remote_callbacks: bool = False

    # --- the HTTP server ---
    #: The address to bind. The default accepts connections from this machine only.
    host: str = "127.0.0.1"
    #: The port; 0 uses any free one.
    port: int = attrs.field(default=0, validator=check_port)
