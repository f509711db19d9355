"""What to do and when: plain functions and small state machines that take ``now`` and ``rng`` as arguments.

Nothing in this package waits, sends, stores, logs or reads a clock. A rule that needs an event loop to be tested does
not belong here.
"""
