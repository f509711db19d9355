"""What all tests share."""

import asyncio

pytest_plugins = ["pytester", "veo_async.testing"]


# Before every test, sync tests included, the virtual-time plugin asks for the current event loop. Where none was ever
# set, the default policy creates one that is never closed. Setting None explicitly prevents that.
asyncio.set_event_loop(None)
