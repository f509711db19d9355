"""The command line: prints and parses, and leaves the work to the rooms beneath.

- ``app.py``        the commands and their options
- ``demo.py``       eight clips from the embedded simulator to files
- ``simulator.py``  the simulator alone, until it is stopped
- ``board.py``      progress: a live table on a terminal, plain lines elsewhere
"""

from .app import run

__all__ = ["run"]
