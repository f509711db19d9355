"""What one provider spells, defaults and supports differently from another.

A dialect is a value. The two that we know are `KIE` and `APIKLEY`; another mirror is made from one of them::

    mine = KIE.variant("mine", base_url="https://video.example.com", spelling={"aspect_ratio": "aspectRatio"})
"""

from veo_async.errors import InvalidRequest, Problem

from .apikley import APIKLEY
from .dialect import Dialect
from .kie import KIE

__all__ = ["APIKLEY", "KIE", "Dialect", "dialect_named"]

_KNOWN = {dialect.name: dialect for dialect in (KIE, APIKLEY)}


def dialect_named(provider: "str | Dialect") -> Dialect:
    """The dialect called *provider*; a dialect stands for itself."""
    if isinstance(provider, Dialect):
        return provider
    if provider in _KNOWN:
        return _KNOWN[provider]
    known = " or ".join(repr(name) for name in _KNOWN)
    raise InvalidRequest.of(Problem("provider", provider, "is not a provider we know", f"use {known}, or a Dialect"))
