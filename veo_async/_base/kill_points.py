"""Places where a test may have the process killed, exactly.

A promise about crashes is worth what the crashes were that it was tried with. Next to each commit and each write stands
``trip("send:before-commit")`` or the like. With ``VEO_ASYNC_KILL_AT`` set to a name the process kills itself there with
SIGKILL, which nothing can catch or tidy up after; with ``name:3`` it does so the third time. Without the variable a
wire costs one comparison.

In the order in which a job comes to them: ``plan``, ``send`` with ``:before-commit`` and ``:after-commit``;
``post:before`` (its intent is written and not a byte has left), ``post:sent`` (the whole body has left),
``post:refused-or-lost`` and ``post:after`` (how it went is known and not written); ``accept``, ``return``, ``doubt``
and ``bind`` with both; ``look:before``; ``end:before-write``, ``finish`` with both, ``end:after-write`` (nobody was
told). Any other event of a job, and ``news``, has its two as well.
"""

import os
import signal

_TARGET = os.environ.get("VEO_ASYNC_KILL_AT")
_NAME, _, _COUNT = (_TARGET or "").rpartition(":")
if not _COUNT.isdigit():
    _NAME, _COUNT = _TARGET or "", "1"
_left = int(_COUNT)


def kill_point(name: str) -> None:
    """Die here if that is what the environment asks for."""
    if _TARGET is None:
        return
    _count(name)


def _count(name: str) -> None:
    global _left
    if name != _NAME:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
