"""One function per command, with its options, its help text and an example.

- ``guide.py``: the user guide
- ``simulating.py``: demo and simulator, which need no API key
- ``creating.py``: generate, upload, upgrade and extend: one clip
- ``lists.py``: batch and contact-sheet: many clips
- ``resuming.py``: resume and save: jobs that are on a ledger
- ``inspecting.py``: doctor, credits, jobs and timeline: free, and nothing is changed
- ``ledger.py``: the commands below ``ledger``: jobs in doubt

A command imports what it needs when it runs: ``veo-async --help`` must not load the simulator, SQLite or the batch
package.
"""
