"""Asyncio client for the Veo 3 / 3.1 video API that never pays twice for one clip and never loses one."""

from ._version import __version__

__all__ = ["__version__"]
