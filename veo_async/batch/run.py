"""A list, from its rows to its clips, over one session: submitted, followed, written down, and shown on a page.

What was paid for in an earlier run is not paid for again: the rows' keys are the jobs' keys. A budget is a bound on
what is reserved: every row that may cost something reserves its price before it is submitted, and what is refused gives
it back. `stop_sending` ends a run early and loses nothing: nothing new is sent, what runs is waited for as long as the caller
likes, and the rest waits on the ledger.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import attrs

from veo_async._base.run_blocking import run_blocking
from veo_async._rules.credits.prices import PRICES, Prices, price_of, total
from veo_async._rules.credits.reservations import Reservations
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.job.endings import ended_without_charge
from veo_async._runtime.job.follow_ups import ChainItem
from veo_async._runtime.job.handle import Job
from veo_async._runtime.job.outcome import Done
from veo_async._runtime.log import logger_for
from veo_async.errors import BudgetExceeded, KeyReused, QueueFull, SessionEnded
from veo_async.session import VeoSession

from .gallery import Card
from .manifest import Manifest
from .report import finished_card, new_card, write_report
from .results import Results, RowResult, result_of
from .rows import Row
from .waiting import wait_for_jobs, wait_unless_stopped

_logger = logger_for(__name__)

#: How many rows are in hand at once: a list of any length costs the memory of these.
MAX_OPEN_ROWS = 1000


@attrs.frozen(kw_only=True)
class Report:
    """How a run ended."""

    #: How many rows came to each status; those that are left are ``queued``, ``running`` and so on.
    counts: Counter[str]
    #: Rows that were not submitted because the budget would not cover them.
    over_budget: int
    #: Credits that were spent, by the table of prices.
    credits: float
    files: list[Path]
    page: Path
    #: There is no contact sheet, because the extra that draws it is not installed.
    sheet_extra_missing: bool


class Batch:
    """One run of one list.

    Args:
        out: the folder for clips, results and the page.
        budget: credits that must not be exceeded; rows whose price nobody knows are left out. None: any.
        now: the wall clock.
        on_result: called with each row that has ended; what it raises harms no row.
    """

    def __init__(
        self,
        veo: VeoSession,
        manifest: Manifest,
        out: Path,
        *,
        now: Callable[[], float],
        budget: float | None = None,
        prices: Prices = PRICES,
        on_result: Callable[[RowResult], None] = lambda _: None,
    ) -> None:
        self._veo, self._manifest, self._out, self._now = veo, manifest, out, now
        self._prices, self._on_line = prices, on_result
        self._reservations, self._spent = Reservations(budget), 0.0
        self._jobs: dict[str, Job] = {}
        self._cards: dict[str, Card] = {}
        self._lines: dict[str, RowResult] = {}
        self._unaffordable = self._key_conflicts = 0
        #: Jobs that an earlier run has queued: the session sends them in their turn, so they will cost and cannot be
        #: passed over. The first of them may just be leaving.
        self._queued_earlier = {job.key for job in veo.jobs() if job.state in (JobState.QUEUED, JobState.SENDING)}
        self._stopping = asyncio.Event()

    def stop_sending(self) -> None:
        """Send nothing more; `run` ends when what is under way has ended, or after its grace."""
        self._stopping.set()
        self._veo.stop_sending()

    @property
    def jobs(self) -> Collection[Job]:
        """The jobs of the rows that were submitted so far."""
        return self._jobs.values()

    @property
    def not_submitted(self) -> int:
        """How many rows are still to be submitted."""
        return len(self._manifest.rows) - len(self._jobs) - self._unaffordable - self._key_conflicts

    @property
    def spent(self) -> float:
        """Credits that were spent so far, by the table of prices."""
        return self._spent

    async def price(self) -> float:
        """The credits that this run may cost: rows that an earlier run has paid for are not in it."""
        return math.fsum([await self._price(row) or 0.0 for row in self._manifest.rows])

    async def run(self, *, stop_timeout_s: float = 600.0) -> Report:
        """Submit every row and see it to its end.

        Args:
            grace_s: after `stop_sending`, how long to wait for what runs.

        Raises:
            UsageError: the folder cannot be written; nothing was sent.
        """
        results = await run_blocking(Results, self._out, self._manifest)
        room = asyncio.Semaphore(MAX_OPEN_ROWS)
        following: dict[asyncio.Task[None], Job] = {}
        try:
            for row in self._manifest.rows:
                if not await self._wait_for_slot(room):
                    break
                if (job := await self._submitted(row, results)) is not None:
                    task = asyncio.create_task(self._watch_row(row, job, results), name="veo.batch")
                    task.add_done_callback(lambda _: room.release())
                    following[task] = job
                else:
                    room.release()
            await wait_for_jobs(following, self._stopping, stop_timeout_s)
        finally:
            for task in following:
                task.cancel()
            if following:
                await asyncio.wait(following)
        for task in following:
            if not task.cancelled():
                task.result()
        return await self._report(results)

    async def _submitted(self, row: Row, results: Results) -> Job | None:
        """The row's job; None when the budget would not cover it, or its key is taken."""
        price = await self._price(row)
        try:
            self._reserve(row, price)
        except BudgetExceeded:
            self._unaffordable += 1
            return None
        submitted_at = self._now()
        while True:
            try:
                job = await self._veo.submit(row.request, key=row.key, take=row.take, save_to=self._out, then=row.then)
                break
            except QueueFull:
                await asyncio.sleep(1.0)
            except KeyReused as error:  # of this row alone: somebody has changed its words and not its key
                self._reservations.return_credits(row.key, price)
                await self._record_result(RowResult(row=row, status="refused", error=str(error)), results)
                self._key_conflicts += 1
                return None
        self._jobs[row.key] = job
        self._cards[row.key] = new_card(row, job, price, submitted_at=submitted_at)
        return job

    def _reserve(self, row: Row, price: float | None) -> None:
        """Reserve *price*, by the session's rule; what an earlier run has queued counts, whether it fits or not."""
        if row.key in self._queued_earlier:
            self._reservations.confirm(row.key, price)
            return
        self._reservations.reserve({row.key: price})
        self._reservations.confirm(row.key, price)
        self._reservations.release(row.key)

    async def _price(self, row: Row) -> float | None:
        """What the row may cost: of its jobs those that were not paid for yet, for certain; None: not known."""
        return total([await self._price_of(link) for link in row.chain])

    async def _price_of(self, link: ChainItem) -> float | None:
        known = await self._veo.find(link.key)
        if known is None or ended_without_charge(known._job) or link.key in self._queued_earlier:
            return price_of(link.request, self._prices)
        return 0.0

    async def _watch_row(self, row: Row, job: Job, results: Results) -> None:
        try:
            outcome = await job.finished()
        except SessionEnded:
            return  # it is on the ledger
        card = self._cards[row.key]
        is_free = not isinstance(outcome, Done) and job.state in (JobState.REFUSED, JobState.FAILED)
        if is_free:
            self._reservations.return_credits(row.key, card.credits)
        else:
            self._spent += card.credits or 0.0
        self._cards[row.key] = finished_card(card, job, outcome, self._out, self._now())
        credits = None if is_free else card.credits
        await self._record_result(
            result_of(row, outcome, state=job.state, task_id=job.task_id, credits=credits), results
        )

    async def _record_result(self, line: RowResult, results: Results) -> None:
        self._lines[line.row.key] = line
        await run_blocking(results.add, line)
        try:
            self._on_line(line)
        except Exception:  # the user's own; it harms no row
            _logger.exception("on_result raised", extra={"action": "hook"})

    async def _wait_for_slot(self, room: asyncio.Semaphore) -> bool:
        """Wait until another row may be taken in hand; False when none may any more."""
        await wait_unless_stopped(room.acquire(), self._stopping)
        return not self._stopping.is_set()

    async def _report(self, results: Results) -> Report:
        files = await run_blocking(results.close)
        for key, job in self._jobs.items():
            if key not in self._lines:
                self._cards[key] = attrs.evolve(self._cards[key], state=job.state, task_id=job.task_id)
        cards = list(self._cards.values())
        page, sheets, sheet_extra_missing = await run_blocking(write_report, self._out, cards)
        counts: Counter[str] = Counter(line.status for line in self._lines.values())
        counts.update(str(job.state) for key, job in self._jobs.items() if key not in self._lines)
        if self.not_submitted:
            counts["waiting"] += self.not_submitted
        return Report(
            counts=counts,
            over_budget=self._unaffordable,
            credits=self._spent,
            files=[*files, page, *sheets],
            page=page,
            sheet_extra_missing=sheet_extra_missing,
        )
