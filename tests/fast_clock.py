"""Run a program unchanged in event loops that run `SPEED` times as fast: ``python tests/fast_clock.py FILE``.

Use it with a simulator of the same ``speed`` and ``client_speed``: what takes minutes with the real provider then takes
seconds.
"""

import asyncio
import runpy
import sys

SPEED = 30.0


if __name__ == "__main__":
    from veo_async.simulator.fast_loop import fast_loop

    asyncio.events.new_event_loop = fast_loop(SPEED)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
