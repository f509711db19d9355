"""Permits to send: handed out only when the ledger's mark is durable, too.

The mark is opened and locked before the COMMIT. So a mark that cannot be written rejects a request before the ledger
says that it is being sent, and a ledger that was restored while it was open is noticed: inside a transaction no honest
ledger is behind its mark. Both fail the calls that ask for a permit, and no others: what was sent is recorded.
"""

import copy
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from veo_async._ports import SendPermit
from veo_async.errors import LedgerError

from .group_commit import LedgerCall
from .home import Home


@contextmanager
def mark_permits(
    home: Home, connection: sqlite3.Connection, calls: Sequence[LedgerCall]
) -> Iterator[Callable[[int], None]]:
    """Hold the mark while *calls* are committed.

    Yields a function to call after the COMMIT, with the number of requests that were permitted by then.
    """
    sends = [call for call in calls if call.name == "send"]
    with ExitStack() as stack:
        if not sends or not home.is_worker:
            yield lambda sent: None
            return
        try:
            mark = stack.enter_context(home.mark.open_for_update())
            home.check_not_restored(connection, mark)
        except LedgerError as exc:
            _fail(sends, exc)
            yield lambda sent: None
            return

        def write(sent: int) -> None:
            try:
                home.advance(mark, sent)
            except LedgerError as exc:
                _fail([call for call in sends if _is_permit(call.result)], exc)

        yield write


def _fail(calls: Sequence[LedgerCall], failure: LedgerError) -> None:
    for call in calls:
        call.failure = copy.copy(failure)


def _is_permit(result: object) -> bool:
    return isinstance(result, SendPermit) and result.is_granted
