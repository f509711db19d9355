"""Downloads: from a URL to a complete file. A file gets its final name only after its content is verified.

- ``saver.py``         `Saver`: saves every video of a clip, renews expired links and pauses while the disk is full
- ``fetch.py``         one attempt at one URL; ``responses.py`` interprets the response
- ``failures.py``      why an attempt failed; ``retrying.py`` decides what follows; ``limits.py`` bounds size and time
- ``link_set.py``      the links of one clip, which are renewed together
- ``urls.py``          which URLs are allowed; ``connections.py`` enforces it when a socket is created
- ``names.py``         file names, made from job keys and task ids only
- ``targets.py``       what a path means: a file or a folder; ``destinations.py`` whose the files there are
- ``partial_file.py``  the partial file; ``saved_file.py`` the complete file and its JSON sidecar
- ``files.py``         the file operations of both; ``disk_space.py`` waits while the disk is full
- ``mp4.py``           whether a file is a complete MP4
- ``image_probe.py``   whether the provider can download an image from a URL

This package does not know the API key. Downloads use their own connection pool, which sends none of our credentials.
"""

from .disk_space import DiskPause
from .limits import DownloadLimits
from .mp4 import IncompleteVideo, check_complete
from .saved_file import SavedFile
from .saver import Saver

__all__ = ["DiskPause", "DownloadLimits", "IncompleteVideo", "SavedFile", "Saver", "check_complete"]
