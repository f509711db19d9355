"""From a URL to a file that is whole: nothing gets its final name before its bytes are verified.

- ``saver.py``      `Saver`, the one public class: every URL of a clip, bounded, renewed, paused when the disk is full
- ``fetch.py``      one attempt at one URL; ``answers.py`` judges what came, ``tries.py`` what to do after a setback
- ``addresses.py``  which addresses may be asked at all; ``guard.py`` holds to it at the moment of connecting
- ``names.py``      file names, from our own words only
- ``part.py``       the partial file; ``beside.py`` the good one with its small JSON; ``files.py`` beneath both
- ``mp4.py``        is this file a complete MP4?
- ``peek.py``       the other way round: could the provider fetch an image from this URL?

Nothing in here knows the API key. Downloads have a connection pool of their own, without headers of ours.
"""

from .disk_space import DiskPause
from .limits import DownloadLimits
from .mp4 import IncompleteVideo, check_complete
from .names import file_names, safe_name
from .saver import SavedFile, Saver

__all__ = [
    "DiskPause",
    "DownloadLimits",
    "IncompleteVideo",
    "SavedFile",
    "Saver",
    "check_complete",
    "file_names",
    "safe_name",
]
