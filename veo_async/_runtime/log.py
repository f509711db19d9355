"""Logging that cannot hurt: what a handler of the user raises stops at the logger.

The standard library catches what most handlers raise, but not what a handler's own ``emit`` or a filter lets out; in a
background task that would be the end of the session.
"""

import logging
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose calls never raise. Each record carries ``action`` and, where they are known, the job's names."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs  # the stock one would throw the call's own ``extra`` away

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        with suppress(Exception):  # there is nobody left to tell
            super().log(level, msg, *args, stacklevel=2, **kwargs)


def logger_for(name: str) -> SafeLogger:
    """The safe logger of one module."""
    return SafeLogger(logging.getLogger(name))
