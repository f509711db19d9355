"""Kill points: places where a crash test can kill the process.

Next to each commit and each write there is a call such as ``kill_point("send:before-commit")``. If the variable
``VEO_ASYNC_KILL_AT`` is set to that name, the process kills itself there with SIGKILL, which cannot be caught, or on
Windows with ``TerminateProcess``; with ``name:3`` it does so the third time. Without the variable a kill point costs
one comparison.

In the order of a job's life: ``submit`` and ``send``, each with ``:before-commit`` and ``:after-commit``;
``mark``, with ``:before-write`` and ``:after-write`` (the ledger's mark, when a session opens and for each permit);
``post:before`` (the intent is recorded, nothing is sent), ``post:sent`` (the whole body is sent), ``post:error`` and
``post:after`` (the outcome is known but not recorded); ``accept``, ``requeue``, ``lose`` and ``bind``, each with both;
``poll:before``; ``finish:before-write``, ``finish`` with both, ``finish:after-write`` (waiters are not notified yet).
Every other event of a job, and ``changes``, has its two as well.
"""

import os
import signal

_TARGET = os.environ.get("VEO_ASYNC_KILL_AT")
_NAME, _, _COUNT = (_TARGET or "").rpartition(":")
if not _COUNT.isdigit():
    _NAME, _COUNT = _TARGET or "", "1"
_remaining = int(_COUNT)


def kill_point(name: str) -> None:
    """Kill the process if the environment names this kill point."""
    if _TARGET is None:
        return
    _count(name)


def _count(name: str) -> None:
    global _remaining
    if name != _NAME:
        return
    _remaining -= 1
    if _remaining == 0:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
