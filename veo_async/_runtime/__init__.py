"""The running session: acts on what `_rules` decide.

- ``engine.py``       builds the parts of a session, opens and closes them; its drawing shows how they fit together
- ``transitions.py``  the only module that changes a job's state: write, change, begin, notify
- one folder per stage: ``queued/``, ``sending/``, ``running/``, ``ready/`` and ``in_doubt/``; each ``handler.py`` says
  what happens there and what a job holds there
- ``job/``            one job in memory, its handle for the user, its events and outcome, and its row on the ledger
- ``journal.py``      writes transitions to the ledger, retrying until it succeeds
- ``sharing.py``      what other sessions on the same ledger did
- ``announcer.py``    notifies subscribers, the ``on_event`` hook and callers that wait for room in the queue
"""
