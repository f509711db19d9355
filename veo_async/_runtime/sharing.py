"""One ledger, several sessions: whose job is it, and what do the others do with theirs?

A job has one driver. Here a session takes over the jobs whose driver is gone, follows those that another drives and
somebody here waits for, and goes by what the ledger says where it was mistaken. Once a second it asks for news.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from veo_async._ports import GateNews, JobRow, News
from veo_async._rules.lifecycle import Event, JobState
from veo_async.errors import LedgerError, LedgerFailed, VeoError

from .doubts import Doubts
from .entry import Entry
from .log import logger_for
from .outcome import Clip, Done
from .roster import Roster
from .rows import catch_up, entry_of
from .scribe import Scribe

logger = logger_for(__name__)

#: A ledger that does not answer is asked again after so long.
AGAIN_S = 1.0


class Ways(Protocol):
    """Where a job goes on from where the ledger says it stands."""

    def enqueue(self, entry: Entry) -> None:
        """It waits for its turn."""
        ...

    def run_on(self, entry: Entry) -> None:
        """Its task runs: watch it."""
        ...

    def save(self, entry: Entry, clip: Clip) -> None:
        """Its clip is ready, and to be saved."""
        ...

    def hear_gate(self, news: GateNews) -> None:
        """What the others have done with the account."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* as a task that ends with the session."""
        ...


class Sharing:
    """This session's dealings with the others on its ledger.

    Args:
        save_to: where clips of jobs go that name no place of their own.
    """

    def __init__(
        self, scribe: Scribe, roster: Roster, doubts: Doubts, ways: Ways, *, save_to: str | None = None
    ) -> None:
        self._scribe, self._roster, self._doubts, self._ways = scribe, roster, doubts, ways
        self._save_to = save_to

    def hear(self, news: News) -> None:
        self._ways.hear_gate(news.gate)
        for row in news.taken:
            self._take_over(row)
        for row in news.changed:
            entry = self._roster.by_key.get(row.key)
            if entry is not None:
                self._follow(entry, row)
        for hint in news.hints:
            entry = self._roster.by_key.get(hint.key)
            if entry is not None:
                self._doubts.hinted(entry, hint)

    def _take_over(self, row: JobRow) -> None:
        """Nobody drives it any more: it is ours."""
        entry = self._roster.by_key.get(row.key)
        if entry is None:
            entry = entry_of(row)
        else:
            catch_up(entry, row)
        entry.is_followed = False
        entry.save_to = entry.save_to or self._save_to
        self._roster.add(entry)
        self.set_going(entry)

    def _follow(self, entry: Entry, row: JobRow) -> None:
        """Somebody else has moved it."""
        if entry.state == row.state or not (entry.is_followed or entry.state is JobState.IN_DOUBT):
            return
        self._doubts.left(entry)
        catch_up(entry, row)
        if row.state == JobState.READY and row.save_to is not None:
            entry.reopen()  # its owner is saving it
        if not entry.is_followed and entry.outcome is None:
            self.set_going(entry)
        if entry.outcome is not None:
            entry.end(entry.outcome)
        else:
            entry.wake()

    def set_going(self, entry: Entry) -> None:
        """Go on with a job from where the ledger says it stands."""
        match entry.state:
            case JobState.QUEUED:
                self._ways.enqueue(entry)
            case JobState.RUNNING:
                self._ways.run_on(entry)
            case JobState.READY if isinstance(entry.outcome, Done):
                clip = entry.outcome.clip
                entry.reopen()
                self._ways.save(entry, clip)
            case JobState.IN_DOUBT if entry.outcome is not None:
                error = getattr(entry.outcome, "error", VeoError())
                entry.reopen()
                self._doubts.enter(entry, error)

    def moved(self, entry: Entry) -> None:
        """The ledger says that *entry* is not where we thought: go by what it says."""
        self._ways.spawn(self._go_by_the_ledger(entry))

    async def _go_by_the_ledger(self, entry: Entry) -> None:
        row = await self._row(entry)
        extra = {"action": "moved", "job_key": entry.key, "task_id": entry.task_id}
        logger.warning("job %s was moved by somebody else", entry.key, extra=extra)
        if row is None:
            entry.abandon(LedgerFailed("the ledger does not know this job any more"))
            return
        catch_up(entry, row)
        entry.is_followed = row.owner != self._scribe.book.instance
        if entry.outcome is not None:
            entry.end(entry.outcome)
        elif row.state == JobState.SENDING and not entry.is_followed and await self._scribe.step(entry, Event.RETURN):
            # Its intent was written after all, though that was told to have failed: not a byte has left.
            entry.step(Event.RETURN)
            self._ways.enqueue(entry)

    async def go_on_if_ours(self, entry: Entry) -> None:
        """A doubt of another session's job was ended here: that session goes on with it, if it is there."""
        row = await self._row(entry)
        entry.is_followed = row is None or row.owner != self._scribe.book.instance
        if not entry.is_followed:
            self.set_going(entry)

    async def _row(self, entry: Entry) -> JobRow | None:
        """What the ledger says of *entry*, however long it takes to say it; who asks ends with the session."""
        while True:
            try:
                return await self._scribe.book.get(entry.key)
            except LedgerError as error:
                extra = {"action": "moved", "job_key": entry.key, "task_id": entry.task_id}
                logger.warning("the ledger does not tell of job %s: %s", entry.key, error, extra=extra)
            await asyncio.sleep(AGAIN_S)
