"""Commands that need no API key: the demo, and the simulator as a server."""

from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
from cyclopts import App, Parameter

from veo_async.cli.console import print_line

app: App = App()

_FAULT_HELP = (
    'Inject a fault, e.g. "drop-after:generate:1"; repeatable. Faults: blocked-1010, byte-order-mark, changed-file, '
    "corrupt-body, deep-nesting, delay, drop-after-accepting, drop-before-accepting, duplicate-callback, "
    "duplicate-keys, empty-body, endless-body, expired-link, forged-callback, gzip-bomb, html-page, huge-body, "
    "huge-integer, ignored-range, late-callback, lost-callback, malformed-callback, many-headers, not-a-number, "
    "not-mp4, range-not-satisfiable, rate-limited, record-flag, redirect, refuse, reordered-callbacks, "
    "reset-connection, slow-body, truncate, unknown-code, unreachable, wrong-length, wrong-range, wrong-types."
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

    rate_limit_style: Literal["http", "body"] = "http"
    """Send 429 as HTTP status, or as a code in the body of an HTTP 200."""

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


@app.command
def demo(*, out: Path = Path("veo-out")) -> int:
    """Generate a list of clips on the built-in simulator, injected failures included. No key, no network, no cost.

    Example: veo-async demo --out clips

    Parameters
    ----------
    out
        Folder for clips, results and the gallery; created if missing.
    """
    import asyncio

    from veo_async.cli.demo import SPEED, print_result, run_demo
    from veo_async.simulator.fast_loop import fast_loop

    with asyncio.Runner(loop_factory=fast_loop(SPEED)) as runner:
        return print_result(runner.run(run_demo(out)))


@app.command
async def simulator(*, options: SimulatorOptions = _SIMULATOR) -> None:
    """Run the provider's simulator until Ctrl-C.

    Example: veo-async simulator --port 8080 --dialect real --speed 60 --api-key KEY
    """
    import asyncio

    from veo_async.simulator import Simulator

    async with Simulator(**options.as_settings()) as sim:
        print_line(f"The simulator listens on {sim.url}")
        print_line("To use it:")
        print_line(f"  export VEO_BASE_URL={sim.url} VEO_API_KEY={sim.api_key}")
        print_line("Press Ctrl-C to stop.")
        await asyncio.Event().wait()
