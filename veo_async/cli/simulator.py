"""The simulator alone, until it is stopped."""

import asyncio
from typing import Any

from rich.console import Console

from veo_async.simulator import Simulator


async def run_simulator(console: Console, *, faults: list[str], **options: Any) -> None:
    """Serve until cancelled, having said where and how."""
    async with Simulator(faults=faults, **options) as sim:
        console.print(f"The simulator listens on {sim.url}", soft_wrap=True)
        console.print("Point a client at it:", soft_wrap=True)
        console.print(f"  export VEO_BASE_URL={sim.url} VEO_API_KEY={sim.api_key}", soft_wrap=True)
        console.print("Stop it with Ctrl-C.", soft_wrap=True)
        await asyncio.Event().wait()
