"""Commands that need no key: the demo, and the simulator by itself."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from veo_async.cli.demo import run_demo
from veo_async.cli.exit_codes import console
from veo_async.cli.simulator import run_simulator
from veo_async.simulator import fault_names

app: App = App()

_FAULTS = ", ".join(fault_names(in_memory=False))
_FAULT_HELP = f'Inject a fault, e.g. "drop-after:generate:1"; may be repeated. Faults: {_FAULTS}.'


@app.command
def demo(*, out: Path = Path("veo-out")) -> int:
    """Make a list of clips on the embedded simulator, trouble included: no key, no network, no cost.

    Example: veo-async demo --out clips

    Parameters
    ----------
    out
        The folder for clips, results and the page; it is made if need be.
    """
    return run_demo(out, console)


@app.command
async def simulator(
    *,
    port: int = 8080,
    dialect: Literal["real", "quickstart-1", "quickstart-2", "openapi", "apikley"] = "real",
    speed: float = 1.0,
    api_key: str | None = None,
    credits: float = 1_000_000.0,
    rate: Annotated[tuple[int, float], Parameter(negative=())] = (20, 10.0),
    rate_limit_style: Literal["http", "body"] = "http",
    retry_after: Literal["seconds", "date"] | None = None,
    max_running: int = 100,
    duration: float | None = None,
    record_delay: float = 0.0,
    refusal_rate: float = 0.0,
    failure_rate: float = 0.0,
    webhook_secret: str | None = None,
    fault: Annotated[list[str] | None, Parameter(negative=(), help=_FAULT_HELP)] = None,
    seed: int = 0,
    host: str = "127.0.0.1",
) -> None:
    """Run the provider's simulator until it is stopped with Ctrl-C.

    Example: veo-async simulator --port 8080 --dialect real --speed 60 --api-key KEY

    Parameters
    ----------
    port
        Where to listen; 0 takes a free one.
    dialect
        Whose shapes to answer with: what is really met, or one of the provider's own pages.
    speed
        Simulated seconds in a real one.
    api_key
        The key that clients must send; without it one is made up and printed.
    credits
        The balance at the start.
    rate
        How many creations in how many simulated seconds.
    rate_limit_style
        429 as HTTP status, or as code in the body of an HTTP 200.
    retry_after
        Whether a 429 says when to come back.
    max_running
        Tasks that may run at once.
    duration
        Every task takes exactly this many seconds; without it, as long as the real ones.
    record_delay
        Seconds for which a new task's record is unknown.
    refusal_rate
        The share of requests that are refused for their content.
    failure_rate
        The share of tasks that fail.
    webhook_secret
        Signs every callback.
    seed
        The same seed and the same calls give the same answers.
    host
        The address to listen on; loopback unless you ask for another.
    """
    await run_simulator(
        console,
        faults=fault or [],
        port=port,
        dialect=dialect,
        speed=speed,
        api_key=api_key,
        credits=credits,
        rate=rate,
        rate_limit_style=rate_limit_style,
        retry_after=retry_after,
        max_running=max_running,
        duration_s=duration,
        record_delay_s=record_delay,
        refusal_rate=refusal_rate,
        failure_rate=failure_rate,
        webhook_secret=webhook_secret,
        seed=seed,
        host=host,
    )
