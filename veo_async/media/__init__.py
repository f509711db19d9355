"""From a URL to a file that is whole: nothing gets its final name before its bytes are verified.

- ``mp4.py``       is this file a complete MP4? pure, on any seekable file
- ``download.py``  one download: temporary name, checks, fsync, rename
"""

from .download import Downloads, Saved
from .mp4 import NotWhole, check_whole

__all__ = ["Downloads", "NotWhole", "Saved", "check_whole"]
