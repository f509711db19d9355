"""What to do and when: plain functions and small state machines that take ``now`` and ``rng`` as arguments.

Nothing in this room waits, sends, stores, logs or asks for the time. A rule that needs an event loop to be
tested does not belong here.
"""
