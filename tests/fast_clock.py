"""Runs a program, unaltered, in event loops that live `SPEED` times as fast: ``python tests/fast_clock.py FILE``.

A simulator with the same speed shares its time, so that what takes minutes with the provider takes seconds here.
"""

import asyncio
import runpy
import sys

SPEED = 60.0


if __name__ == "__main__":
    from veo_async.simulator.fast_loop import fast_loop

    asyncio.events.new_event_loop = fast_loop(SPEED)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
