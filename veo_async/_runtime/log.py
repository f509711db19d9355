"""Logging that never raises: an exception in one of the user's handlers ends at the logger.

The standard library catches most exceptions of handlers, but not those of a handler's own ``emit`` or of a filter. In a
background task such an exception would end the session.
"""

import logging
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose calls never raise. Records carry ``action`` and, where known, ``job_key`` and ``task_id``."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs  # the standard method would discard the ``extra`` of the call

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if self.logger.isEnabledFor(level):
            with suppress(Exception):  # there is no caller that could handle it
                super().log(level, msg, *args, stacklevel=2, **kwargs)


def logger_for(name: str) -> SafeLogger:
    """Return the safe logger of one module."""
    return SafeLogger(logging.getLogger(name))
