"""Run a list over one session: submit the rows, watch their jobs, store each result and write the report.

A row's key is its job's key, so clips that an earlier run paid for are not paid for again. The session's budget decides
which rows are sent; what a row costs is read from its jobs, so a later run reports the same. `Batch.stop_sending` ends
a run early and loses nothing: no further request is sent, running clips are collected until a timeout, and queued jobs
stay on the ledger.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import attrs

from veo_async._base.run_blocking import run_blocking
from veo_async.errors import BudgetExceeded, FileNameTaken, KeyReused, QueueFull, SessionEnded
from veo_async.media.templates import NumberedPath
from veo_async.pricing import PRICES, Prices, total
from veo_async.session import VeoSession
from veo_async.types import Job

from .costs import ModelOnHold, charged_jobs, consumed_by, cost_of, is_free, models_on_hold, reserved_by, spent_by
from .gallery import Card
from .manifest import Manifest
from .naming import target_in
from .plan import KnownJob, plan_list
from .report import earlier_card, finished_card, new_card, write_report
from .results import Results, RowResult, refused_row, result_of
from .rows import Row
from .waiting import wait_for_jobs, wait_unless_stopped

_logger = logging.getLogger(__name__)

#: Maximum number of rows that are submitted and not finished. It bounds the memory that a list of any length needs.
MAX_OPEN_ROWS = 1000
_GIVE_OWN_NAME = "Give each row its own name, for example with --name '{n:03}-{slug}'."
#: Seconds until a row is submitted again when the session's queue is full.
_QUEUE_FULL_RETRY_S = 1.0


@attrs.frozen(kw_only=True)
class Report:
    """The result of a run."""

    #: Number of rows by status. Unfinished rows count by their job's state, or as ``not_submitted``.
    counts: Counter[str]
    #: Number of rows that were not submitted because they did not fit the budget.
    over_budget: int
    #: What those rows would cost; None if a price is unknown.
    over_budget_credits: float | None = 0.0
    #: The jobs that were not sent because the provider charges more for their model than the price table says.
    on_hold: list[ModelOnHold] = attrs.field(factory=list)
    #: Credits that the rows have cost, in this run and in earlier ones, by the price table.
    credits: float
    #: Credits that they may still cost: queued, running and in doubt.
    reserved: float = 0.0
    #: All files written, except clips.
    files: list[Path]
    #: The gallery.
    page: Path
    #: Whether the contact sheet is missing because its extra is not installed.
    sheet_extra_missing: bool


class Batch:
    """One run of one list.

    Args:
        veo: the session; its budget limits what the rows may cost. Rows without a known price do not fit a budget.
        out: the folder for clips, results and the gallery.
        now: the wall clock, as fast as the event loop.
        to_real_time: converts its times for the gallery; needed only if the event loop's clock is accelerated.
        name: a template for the names of the files in *out*, such as ``"{n:03}-{slug}"``; by default the row's key, or
            the prompt of a row without one.
        prices: the session's prices, for `price`.
        is_part: the list has some rows of another list that was run in the same folder (``rejected.csv``). The results
            of the other rows are kept.
        title: the title of the gallery; by default the folder's name.
        for_client: also write a gallery for a client; see `write_gallery`.
        on_result: called with the result of each finished row. An exception that it raises is logged.
    """

    def __init__(
        self,
        veo: VeoSession,
        manifest: Manifest,
        out: Path,
        *,
        now: Callable[[], float],
        to_real_time: Callable[[float], float] = lambda at: at,
        name: str | None = None,
        prices: Prices = PRICES,
        is_part: bool = False,
        title: str = "",
        for_client: bool = False,
        on_result: Callable[[RowResult], None] = lambda _: None,
    ) -> None:
        self._veo, self._manifest, self._out, self._now = veo, manifest, out, now
        self._prices, self._is_part, self._on_result = prices, is_part, on_result
        self._to_real_time = to_real_time
        self._title, self._for_client = title or out.name, for_client
        self._target = target_in(out, name)
        self._jobs: dict[str, Job] = {}
        #: All jobs of each row: its own and its follow-ups.
        self._chains: dict[str, list[Job]] = {}
        self._cards: dict[str, Card] = {}
        self._results: dict[str, RowResult] = {}
        #: The prices of the rows that did not fit the budget.
        self._over_budget: list[float | None] = []
        self._key_conflicts = 0
        self._stopping = asyncio.Event()

    def stop_sending(self) -> None:
        """Send no further request. `run` returns once all requests in flight have finished, or after its timeout."""
        self._stopping.set()
        self._veo.stop_sending()

    @property
    def jobs(self) -> Collection[Job]:
        """The jobs of all rows submitted by now."""
        return self._jobs.values()

    @property
    def not_submitted(self) -> int:
        """Number of rows still to be submitted."""
        return len(self._manifest.rows) - len(self._jobs) - len(self._over_budget) - self._key_conflicts

    @property
    def spent(self) -> float:
        """Credits that the rows have cost by now, by the price table."""
        return spent_by(job for chain in self._chains.values() for job in chain)

    @property
    def reserved(self) -> float:
        """Credits that jobs which have not finished may cost."""
        return reserved_by(job for chain in self._chains.values() for job in chain)

    async def price(self) -> float:
        """Return the credits that this run may cost, without rows that an earlier run paid for."""
        known: dict[str, KnownJob] = {}
        for item in (item for row in self._manifest.rows for item in row.chain):
            if (job := await self._veo.ledger.find(item.key)) is not None:
                known[item.key] = KnownJob(job.state, job.was_not_charged)
        return plan_list(self._manifest.rows, known.get, self._prices).cost.credits

    async def run(self, *, stop_timeout_s: float = 600.0) -> Report:
        """Submit every row, wait for all jobs and write the report.

        Args:
            stop_timeout_s: after `stop_sending`, how long to wait for running clips.

        Raises:
            UsageError: the folder is not writable; nothing was sent.
            ResultsWriteError: results or the report could not be written. The ledger still holds every job.
        """
        results = await run_blocking(Results, self._out, self._manifest, is_part=self._is_part)
        open_rows = asyncio.Semaphore(MAX_OPEN_ROWS)
        watching: dict[asyncio.Task[None], Job] = {}
        try:
            for row in self._manifest.rows:
                if not await self._wait_for_slot(open_rows):
                    break
                if (job := await self._submit_row(row, results)) is not None:
                    task = asyncio.create_task(self._watch_row(row, job, results), name="veo.batch")
                    task.add_done_callback(lambda _: open_rows.release())
                    watching[task] = job
                else:
                    open_rows.release()
            await wait_for_jobs(watching, self._stopping, stop_timeout_s)
        finally:
            for task in watching:
                task.cancel()
            if watching:
                await asyncio.wait(watching)
        for task in watching:
            if not task.cancelled():
                task.result()
        return await self._report(results)

    async def _wait_for_slot(self, open_rows: asyncio.Semaphore) -> bool:
        """Wait until another row may be submitted; return False if the run is stopping."""
        await wait_unless_stopped(open_rows.acquire(), self._stopping)
        return not self._stopping.is_set()

    async def _submit_row(self, row: Row, results: Results) -> Job | None:
        """Submit *row* and return its job; None if it does not fit the budget or cannot be submitted."""
        submitted_at = self._now()
        try:
            job = await self._submit(row)
        except BudgetExceeded as error:
            self._over_budget.append(error.cost)
            self._chains[row.key] = await self._jobs_of(row)
            return None
        except (KeyReused, FileNameTaken, QueueFull) as error:  # e.g. an edited prompt under an old key
            if isinstance(error, FileNameTaken):
                error.add_evidence(remedy=_GIVE_OWN_NAME)
            await self._record_result(refused_row(row, error), results)
            self._key_conflicts += 1
            return None
        chain = self._chains[row.key] = await self._jobs_of(row)
        self._jobs[row.key] = job
        self._cards[row.key] = new_card(row, job, cost_of(chain), submitted_at=submitted_at)
        return job

    async def _jobs_of(self, row: Row) -> list[Job]:
        """Return the jobs of *row* that exist."""
        found = [await self._veo.ledger.find(item.key) for item in row.chain]
        return [job for job in found if job is not None]

    async def _submit(self, row: Row) -> Job:
        while True:
            try:
                target = NumberedPath(self._target, row.number)
                return await self._veo.submit(row.request, key=row.key, take=row.take, save_to=target, then=row.then)
            except QueueFull as full:
                if full.on_hold >= full.limit:  # it stays full
                    raise
                await asyncio.sleep(_QUEUE_FULL_RETRY_S)

    async def _watch_row(self, row: Row, job: Job, results: Results) -> None:
        """Wait for the row's job and record its result."""
        try:
            outcome = await job.finished()
        except SessionEnded:
            return  # the ledger still holds the job
        chain = charged_jobs(self._chains[row.key])
        credits, consumed = None if is_free(chain) else cost_of(chain), consumed_by(chain)
        card = attrs.evolve(self._cards[row.key], credits=credits, credits_consumed=consumed)
        self._cards[row.key] = finished_card(card, job, outcome, self._out, self._now())
        result = result_of(row, outcome, state=job.state, task_id=job.task_id, credits=credits, is_free=is_free(chain))
        result = attrs.evolve(result, credits_consumed=consumed)
        await self._record_result(result, results)

    async def _record_result(self, result: RowResult, results: Results) -> None:
        """Store *result* on the disk, then notify the caller."""
        self._results[result.row.key] = result
        await run_blocking(results.add, result)
        try:
            self._on_result(result)
        except Exception:  # the caller's code must not affect any row
            with suppress(Exception):  # neither must the caller's logging handlers
                _logger.exception("on_result raised", extra={"action": "hook"})

    async def _report(self, results: Results) -> Report:
        unfinished = {key: job for key, job in self._jobs.items() if key not in self._results}
        files = await run_blocking(results.close, {key: str(job.state) for key, job in unfinished.items()})
        for key, job in unfinished.items():
            self._cards[key] = attrs.evolve(self._cards[key], state=job.state, task_id=job.task_id)
        cards = [card.convert_instants(self._to_real_time) for card in self._cards.values()]
        cards = [*await self._earlier_cards(results), *cards]
        written = await run_blocking(write_report, self._out, cards, title=self._title, for_client=self._for_client)
        counts: Counter[str] = Counter(result.status for result in self._results.values())
        counts.update(str(job.state) for job in unfinished.values())
        if self.not_submitted:
            counts["not_submitted"] += self.not_submitted
        return Report(
            counts=counts,
            over_budget=len(self._over_budget),
            over_budget_credits=total(self._over_budget),
            on_hold=models_on_hold(self._jobs.values()),
            credits=self.spent,
            reserved=self.reserved,
            files=[*files, *written.pages, *written.sheets],
            page=written.pages[0],
            sheet_extra_missing=written.sheet_extra_missing,
        )

    async def _earlier_cards(self, results: Results) -> list[Card]:
        """Return the cards of rows that are not in this list, from their jobs on the ledger."""
        jobs = [(cells, await self._veo.ledger.find(cells["key"])) for cells in results.other_rows if cells.get("key")]
        return [earlier_card(cells, job, self._out, self._now()) for cells, job in jobs if job is not None]
