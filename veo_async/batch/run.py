"""A list, from its rows to its clips, over one session: submitted, followed, written down, and shown on a page.

What was paid for in an earlier run is not paid for again: the rows' keys are the jobs' keys. A budget is a bound on
what is reserved: every row that may cost something reserves its price before it is submitted, and what is refused gives
it back. `hold` ends a run early and loses nothing: nothing new is sent, what runs is waited for as long as the caller
likes, and the rest waits on the ledger.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

import attrs

from veo_async._blocking import blocking
from veo_async._rules.lifecycle import JobState
from veo_async._rules.prices import PRICES, Prices, price_of
from veo_async._rules.reservations import Reservations
from veo_async._runtime.ends import is_unpaid_end
from veo_async._runtime.job import Job
from veo_async._runtime.outcome import Done, Outcome
from veo_async.errors import BudgetExceeded, QueueFull, SessionEnded, VeoError
from veo_async.session import VeoSession

from .gallery import Card, write_gallery
from .manifest import Manifest, Row
from .results import Line, Results, line_of

#: How many rows are in hand at once: a list of any length costs the memory of these.
_IN_HAND = 1000


@attrs.frozen(kw_only=True)
class Report:
    """How a run ended."""

    #: How many rows came to each status; those that are left are ``queued``, ``running`` and so on.
    counts: Counter[str]
    #: Rows that were not submitted because the budget would not cover them.
    unaffordable: int
    #: Credits that were spent, by the table of prices.
    credits: float
    files: list[Path]
    page: Path


class Batch:
    """One run of one list.

    Args:
        out: the folder for clips, results and the page.
        budget: credits that must not be exceeded; rows whose price nobody knows are left out. None: any.
        now: the wall clock.
        on_line: called with each row that has ended.
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
        on_line: Callable[[Line], None] = lambda _: None,
    ) -> None:
        self._veo, self._manifest, self._out, self._now = veo, manifest, out, now
        self._prices, self._on_line = prices, on_line
        self._reservations, self._spent = Reservations(budget), 0.0
        self._jobs: dict[str, Job] = {}
        self._cards: dict[str, Card] = {}
        self._lines: dict[str, Line] = {}
        self._unaffordable = 0
        self._held = asyncio.Event()

    def hold(self) -> None:
        """Send nothing more; `run` ends when what is under way has ended, or after its grace."""
        self._held.set()
        self._veo.hold()

    async def run(self, *, grace_s: float = 600.0) -> Report:
        """Submit every row and see it to its end.

        Args:
            grace_s: after `hold`, how long to wait for what runs.

        Raises:
            UsageError: the folder cannot be written; nothing was sent.
        """
        results = await blocking(Results, self._out, self._manifest)
        room = asyncio.Semaphore(_IN_HAND)
        following: dict[str, asyncio.Task[None]] = {}
        try:
            for row in self._manifest.rows:
                if not await self._has_room(room):
                    break
                if (job := await self._submitted(row)) is not None:
                    following[row.key] = asyncio.create_task(self._follow(row, job, results), name="veo.batch")
                    following[row.key].add_done_callback(lambda _: room.release())
                else:
                    room.release()
            await self._until_over(following, grace_s)
        finally:
            for task in following.values():
                task.cancel()
            if following:
                await asyncio.wait(following.values())
        for task in following.values():
            if not task.cancelled():
                task.result()
        return await self._report(results)

    async def _submitted(self, row: Row) -> Job | None:
        try:
            price = await self._reserved(row)
        except BudgetExceeded:
            self._unaffordable += 1
            return None
        planned_at = self._now()
        while True:
            try:
                job = await self._veo.submit(row.request, key=row.key, take=row.take, save_to=self._out)
                break
            except QueueFull:
                await asyncio.sleep(1.0)
        self._jobs[row.key] = job
        self._cards[row.key] = _card(row, job, price, planned_at=planned_at)
        return job

    async def _reserved(self, row: Row) -> float | None:
        """Reserve what the row may cost: nothing if its job is there and was paid for, or may have been.

        Raises:
            BudgetExceeded: it does not fit. One that an earlier run left queued is sent all the same, and counts.
        """
        known, price = await self._veo.find(row.key), price_of(row.request, self._prices)
        if known is None or is_unpaid_end(known._entry):
            self._reservations.promise({row.key: price})
            self._reservations.claim(row.key, price)
            self._reservations.release(row.key)
        elif known._entry.price is not None:  # this session has found it waiting, and pays for it
            self._reservations.claim(row.key, price)
        else:
            price = 0.0
        return price

    async def _follow(self, row: Row, job: Job, results: Results) -> None:
        try:
            outcome = await job.ended()
        except SessionEnded:
            return  # it is on the ledger
        card = self._cards[row.key]
        is_free = not isinstance(outcome, Done) and job.state in (JobState.REFUSED, JobState.FAILED)
        if is_free:
            self._reservations.give_back(row.key, card.credits)
        else:
            self._spent += card.credits or 0.0
        line = line_of(row, outcome, task_id=job.task_id, credits=None if is_free else card.credits)
        self._lines[row.key] = line
        self._cards[row.key] = _ended(card, job, outcome, self._out, self._now())
        await blocking(results.add, line)
        self._on_line(line)

    async def _has_room(self, room: asyncio.Semaphore) -> bool:
        """Wait until another row may be taken in hand; False when none may any more."""
        await self._first(room.acquire())
        return not self._held.is_set()

    async def _until_over(self, following: dict[str, "asyncio.Task[None]"], grace_s: float) -> None:
        if not following:
            return
        await self._first(_all_of(following.values()))
        if self._held.is_set():
            under_way = [task for key, task in following.items() if self._jobs[key].state is not JobState.QUEUED]
            if under_way:
                await asyncio.wait(under_way, timeout=grace_s)

    async def _first(self, work: Coroutine[Any, Any, object]) -> None:
        """Wait for *work*, or until the run is held."""
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(work), group.create_task(self._held.wait())]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()

    async def _report(self, results: Results) -> Report:
        files = await blocking(results.close)
        for key, job in self._jobs.items():
            if key not in self._lines:
                self._cards[key] = attrs.evolve(self._cards[key], state=job.state, task_id=job.task_id)
        cards = list(self._cards.values())
        page = await blocking(write_gallery, self._out, cards, title=self._out.name)
        counts: Counter[str] = Counter(line.status for line in self._lines.values())
        counts.update(str(job.state) for key, job in self._jobs.items() if key not in self._lines)
        if left := len(self._manifest.rows) - len(self._jobs) - self._unaffordable:
            counts["not submitted"] += left
        return Report(
            counts=counts, unaffordable=self._unaffordable, credits=self._spent, files=[*files, page], page=page
        )


async def _all_of(tasks: Collection["asyncio.Task[None]"]) -> None:
    await asyncio.wait(tasks)


def _card(row: Row, job: Job, price: float | None, *, planned_at: float) -> Card:
    request = row.request
    return Card(
        key=row.key,
        prompt=request.prompt,
        model=request.model,
        aspect_ratio=request.aspect_ratio if ":" in request.aspect_ratio else "16:9",
        state=job.state,
        credits=price,
        planned_at=planned_at,
    )


def _ended(card: Card, job: Job, outcome: Outcome, out: Path, now: float) -> Card:
    card = attrs.evolve(
        card,
        state=job.state,
        task_id=job.task_id,
        sent_at=job.sent_at.timestamp() if job.sent_at else None,
        ended_at=now,
    )
    if not isinstance(outcome, Done):
        error: VeoError = outcome.error
        free = job.state in (JobState.REFUSED, JobState.FAILED)
        return attrs.evolve(card, reason=str(error), credits=None if free else card.credits)
    clip = outcome.clip
    inside = [file for file in clip.files if file.is_relative_to(out.absolute())]
    return attrs.evolve(
        card,
        file=inside[0].relative_to(out.absolute()) if inside else None,
        urls=clip.urls,
        duration_s=float(getattr(clip.request, "duration", None) or 8),
        accepted_at=clip.created_at.timestamp() if clip.created_at else None,
        ended_at=clip.completed_at.timestamp() if clip.completed_at else now,
        saved_at=now if clip.files else None,
    )
