"""The command line: prints and parses, and leaves the work to the rooms beneath.

- ``commands/``     the commands as they are typed, a module for each family; ``app.py`` the tree of them
- ``batch.py``      a list; ``running.py`` one clip, or all that a ledger holds; ``stopping.py`` Ctrl-C for both
- ``progress.py``   what is shown of a run, decided without a terminal; ``standing.py`` reads it off a session
- ``telling.py``    how it is shown: a board on a terminal, lines elsewhere, JSON for machines
- ``ledger.py``     a ledger, looked at and mended; ``doctor.py`` what stands in the way; ``sheet.py`` a contact sheet
- ``demo.py``       the batch room against the simulator, with trouble on purpose; ``receiver.py`` its callbacks
- ``simulator.py``  the simulator alone, until it is stopped
- ``exits.py``      what the exit codes say
"""

from .app import run

__all__ = ["run"]
