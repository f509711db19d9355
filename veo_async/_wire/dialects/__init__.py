"""Dialects: what providers spell, default and support differently.

A dialect is a value. `KIE` and `APIKLEY` are built in; for another mirror, derive a variant from one of them::

    mine = KIE.variant("mine", base_url="https://video.example.com", spelling={"aspect_ratio": "aspectRatio"})
"""

from veo_async.errors import InvalidRequest, Problem

from .apikley import APIKLEY
from .dialect import Dialect
from .kie import KIE

__all__ = ["APIKLEY", "KIE", "Dialect", "dialect_named"]

_KNOWN = {dialect.name: dialect for dialect in (KIE, APIKLEY)}


def dialect_named(provider: "str | Dialect") -> Dialect:
    """Return the dialect called *provider*. A `Dialect` is returned as it is."""
    if isinstance(provider, Dialect):
        return provider
    if provider in _KNOWN:
        return _KNOWN[provider]
    known = " or ".join(repr(name) for name in _KNOWN)
    raise InvalidRequest.of(Problem("provider", provider, "is not a known provider", f"use {known}, or a Dialect"))
