"""What all our tests share."""

import asyncio

pytest_plugins = ["pytester", "veo_async.testing"]


# The virtual-time plugin asks for the current loop before every test, sync ones too, and the stock policy makes one
# that nobody closes when none was ever set. Having set none on purpose, it is told so instead.
asyncio.set_event_loop(None)
