"""Injected faults: what can go wrong, when it happens, and how faults are written as text.

`table` holds the table of all faults. Its entries are the constructors in the five modules imported here.
"""

from . import bodies as bodies
from . import callbacks as callbacks
from . import connections as connections
from . import downloads as downloads
from . import refusals as refusals
