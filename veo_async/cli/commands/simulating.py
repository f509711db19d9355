"""Commands that need no API key: the demo, and the simulator as a server."""

from pathlib import Path

from cyclopts import App

from veo_async.cli.help_pages import START, listed

app: App = App()
_SIMULATOR_HELP = """Run the provider's simulator until Ctrl-C.

Example: veo-async simulator --port 8080 --dialect real --speed 60 --api-key KEY
"""
app.command("veo_async.cli.commands.simulator:simulator", name="simulator", help=_SIMULATOR_HELP, **listed(START, 4))


@app.command(**listed(START, 1))
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
