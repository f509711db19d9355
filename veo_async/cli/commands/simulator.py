"""``veo-async simulator``: the simulator as a server. Loaded only when it runs, because its help lists all faults."""

from typing import Annotated, Any, Literal

import attrs
from cyclopts import Parameter

from veo_async.cli.console import print_line
from veo_async.cli.formatting import environment_lines
from veo_async.simulator import Simulator, fault_names

_FAULT_HELP = (
    f'Inject a fault, e.g. "drop-after:generate:1"; repeatable. Faults: {", ".join(fault_names(in_memory=False))}.'
)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class SimulatorOptions:
    """The fields of `SimulatorSettings` that the command offers."""

    port: int = 8080
    """Port (0: any free port)."""

    dialect: Literal["real", "quickstart-1", "quickstart-2", "openapi", "apikley"] = "real"
    """Response format: what the real API sends, or one of its documented variants."""

    speed: float = 1.0
    """Simulated seconds per real second."""

    api_key: str | None = None
    """API key that clients must send (default: a random one, printed)."""

    credits: float = 1_000_000.0
    """Balance at the start."""

    rate: Annotated[tuple[int, float], Parameter(negative=())] = (20, 10.0)
    """Rate limit: requests per simulated seconds."""

    rate_limit_style: Literal["body", "http"] = "body"
    """Send 429 as a code in the body of an HTTP 200, or as HTTP status."""

    retry_after: Literal["seconds", "date"] | None = None
    """Format of Retry-After in a 429 (default: none)."""

    max_running: int = 100
    """Maximum running tasks."""

    duration: float | None = None
    """Fixed task duration in seconds (default: realistic)."""

    record_delay: float = 0.0
    """Delay in seconds until a new task's record appears."""

    refusal_rate: float = 0.0
    """Fraction of requests refused for their content."""

    failure_rate: float = 0.0
    """Fraction of tasks that fail."""

    webhook_secret: str | None = None
    """Secret for signing callbacks."""

    old_route: Literal["on", "read-only", "gone"] = "on"
    """The dedicated Veo endpoints; gone: code 404; read-only: running tasks can still be read."""

    old_route_after: int = 0
    """Clips that they accept before --old-route applies."""

    jobs_route: Literal["on", "off"] = "on"
    """The unified jobs API; off: code 404."""

    job_states: Literal["waiting-generating", "waiting-queuing-generating", "waiting"] = "waiting-generating"
    """States of a running task on the jobs API, in this order."""

    jobs_callback_form: Literal["unified", "info", "2025"] = "unified"
    """Format of callbacks for tasks of createTask."""

    tier_ignored: Annotated[bool, Parameter(negative=())] = False
    """Bill and report every createTask as Fast."""

    fault: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False, help=_FAULT_HELP)] = ()

    seed: int = 0
    """Random seed; same seed and calls give the same responses."""

    host: str = "127.0.0.1"
    """Address to bind (default: loopback)."""

    def as_settings(self) -> dict[str, Any]:
        """Return the arguments of `Simulator`."""
        values = attrs.asdict(self)
        names = {"duration": "duration_s", "record_delay": "record_delay_s", "fault": "faults"}
        return {names.get(name, name): value for name, value in values.items()}


_SIMULATOR = SimulatorOptions()


async def simulator(*, options: SimulatorOptions = _SIMULATOR) -> None:
    """Run the provider's simulator until Ctrl-C.

    Example: veo-async simulator --port 8080 --dialect real --speed 60 --api-key KEY
    """
    import asyncio

    async with Simulator(**options.as_settings()) as sim:
        print_line(f"The simulator listens on {sim.url}")
        print_line("To use it:")
        for line in environment_lines({"VEO_BASE_URL": sim.url, "VEO_API_KEY": sim.api_key}):
            print_line(f"  {line}")
        print_line("Press Ctrl-C to stop.")
        await asyncio.Event().wait()
