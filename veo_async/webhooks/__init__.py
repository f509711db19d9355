"""Callbacks, from the receiving side: is it ours, is it signed, which task does it name?

What a callback says is never believed. Its signature covers a task id and a time, not its body, so whoever has seen one
can send any body with it. It is a *hint*: it says which record to look at, and the record, read under our own key,
says what there is.

- ``signing.py``   `verify`: the signature, its time window, several keys
- ``receiver.py``  `Receiver`: what to answer, without any web framework
- ``routes.py``    the receiver in ``aiohttp.web``; ``asgi.py`` in FastAPI, Starlette, Litestar, whatever speaks ASGI

Most users need neither: ``veo.aiohttp_routes()`` and ``veo.asgi()`` are the whole of it.
"""

from veo_async._wire import Callback
from veo_async._wire import parse_callback as parse

from .receiver import Receiver, ReceiverStatistics
from .signing import TOLERANCE_S, verify

__all__ = ["TOLERANCE_S", "Callback", "Receiver", "ReceiverStatistics", "parse", "verify"]
