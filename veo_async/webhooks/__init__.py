"""Receiving callbacks: is the token ours, is the signature valid, which task is named?

The content of a callback is never trusted. Its signature covers a task id and a time but not the body, so anyone who
has seen one callback can send another body with its signature. A callback is only a *hint*: it says which record to
read, and the record, read with our own API key, shows the result.

- ``signing.py``   `verify`: checks the signature and its age, with one or several secrets
- ``receiver.py``  `Receiver`: decides how to respond, independent of any web framework
- ``routes.py``    the receiver for ``aiohttp.web``
- ``asgi.py``      the receiver for ASGI frameworks such as FastAPI, Starlette and Litestar

Most users only need ``veo.callbacks.aiohttp_routes()`` or ``veo.callbacks.asgi()``.
"""

from veo_async._wire import Callback
from veo_async._wire import parse_callback as parse

from .receiver import Receiver, ReceiverStatistics
from .signing import TOLERANCE_S, verify

__all__ = ["TOLERANCE_S", "Callback", "Receiver", "ReceiverStatistics", "parse", "verify"]
