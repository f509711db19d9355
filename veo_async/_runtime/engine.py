"""What lives in an open session, and how it is put together.

A job's way is a table: for each state one handler (`states`), which begins whenever a job comes to that state
(`transitions`)::

    intake ──▶ queued ──scheduler──▶ running ──watcher──▶ ready ──▶ saved
                  ▲          └─────▶ in doubt ──hint, resolve──▶ running
                  └───────────────────── resubmit
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import attrs

from veo_async._api import Lookout, VeoApi, look_at_upgrade
from veo_async._base.kill_points import trip
from veo_async._ports import Book, Hint, JobRow
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import GateKnowledge
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.poll_result import Ended, Succeeded
from veo_async._rules.polling.schedule import PollSchedule
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._wire import Record, UpgradeRequest, upgrade_called
from veo_async.errors import LedgerError, SessionClosed, Unauthorized, VeoError

from .announcer import Announcer
from .clock import WallClock
from .hooks import Hooks
from .in_doubt.in_doubt_jobs import Doubts, OnDoubt
from .job.endings import outcome_of
from .job.live_job import Entry
from .job.outcome import Done, Made
from .job.registry import Roster
from .journal import Scribe
from .ledger_watcher import Tender
from .log import logger_for
from .queued.admission import Intake
from .queued.image_uploads import Uploading
from .queued.images import Images
from .queued.source_clip import Sources
from .queued.spending import Purse
from .ready.saving import Save, Saving
from .running.watcher import Watcher
from .sending.callback_tokens import Stamper
from .sending.key_renewal import KeyKeeper
from .sending.pauses import Pauses
from .sending.scheduler import Scheduler
from .sending.sender import Sender
from .sharing import Sharing
from .states import QueuedState, ReadyState, RunningState, SendingState
from .status import FrontDesk
from .transitions import Transitions

logger = logger_for(__name__)

T = TypeVar("T")

#: How often what was learned of the account is kept: a process that is killed loses no more than this.
KEEP_S = 60.0


@attrs.frozen(kw_only=True)
class Recovered:
    """What a session found on its ledger when it opened, and goes on with."""

    #: Jobs that were never sent, or not yet.
    queued: int = 0
    #: Tasks that run, or have run meanwhile.
    running: int = 0
    #: Jobs of which nobody knows whether their request was accepted.
    in_doubt: int = 0
    #: Clips that are there and not yet saved.
    ready: int = 0

    @classmethod
    def of(cls, rows: tuple[JobRow, ...]) -> "Recovered":
        states = [row.state for row in rows]
        return cls(**{name: states.count(name) for name in attrs.fields_dict(cls)})


class Engine:
    """The moving parts of one open session.

    Args:
        is_lasting: the ledger outlives the session, and others may be on it.
        knows: the gate was given its knowledge; else it recalls what the ledger kept.
        save_to: where clips of jobs go that name no place of their own.
        on_crash: a part has failed by a defect of ours.
    """

    def __init__(
        self,
        api: VeoApi,
        book: Book,
        *,
        account: str,
        is_lasting: bool,
        clock: WallClock,
        gate: Gate,
        knows: bool,
        queue: FairQueue[Entry],
        schedule: PollSchedule,
        budget: PollBudget,
        desk: FrontDesk,
        hooks: Hooks,
        stamper: Stamper,
        purse: Purse,
        max_in_flight: int,
        workers: int,
        on_doubt: OnDoubt,
        save: Save,
        images: Images,
        save_to: str | None,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._api, self.book, self._is_lasting, self.clock = api, book, is_lasting, clock
        self._stamper, self._budget, self._on_crash = stamper, budget, on_crash
        self._lookout = Lookout(api)
        self.keys = KeyKeeper(api.refresh_key)
        self.roster = Roster()
        self.recovered = Recovered()
        self.gate, self._knows = gate, knows
        announcer = Announcer(hooks, self.roster, desk)
        pauses = Pauses(queue, self.keys, announcer, water=purse.water)
        self.scribe = Scribe(
            book,
            account=account,
            now=clock.now,
            holder_of=self.roster.by_task.get,
            on_stuck=pauses.ledger_is_stuck,
        )
        self.transitions = transitions = Transitions(self.scribe, announcer)
        sender = Sender(api, gate, queue, pauses, self.scribe, stamper, clock, transitions, announcer)
        self.scheduler = Scheduler(
            api, gate, queue, self.keys, pauses, sender, transitions, max_in_flight=max_in_flight
        )
        self.watcher = Watcher(self._glance, self._task_ended, schedule=schedule, budget=budget, workers=workers)
        self.doubts = Doubts(
            self.scribe,
            stamper,
            transitions,
            purse,
            look=self._look_in_turn,
            watcher=self.watcher,
            policy=on_doubt,
            spawn=self.spawn,
        )
        self._sharing = Sharing(self.roster, self.doubts, self.scheduler, transitions, save_to=save_to)
        self._tender = Tender(self.scribe, self._sharing.hear)
        self.intake = Intake(
            self.scribe, self.roster, queue, clock, transitions, self.doubts, pauses, is_lasting=is_lasting
        )
        self._images = images
        self._uploading = Uploading(images, queue, transitions, spawn=self._start)
        sources = Sources(transitions, find=self.intake.find, holder_of=self.intake.holder_of)
        self.queued = QueuedState(
            transitions,
            self.scheduler,
            purse,
            clock,
            announcer,
            sources=sources,
            uploading=self._uploading,
            spawn=self._start,
        )
        transitions.handlers = {
            JobState.QUEUED: self.queued,
            JobState.SENDING: SendingState(self.scheduler),
            JobState.RUNNING: RunningState(
                self.scheduler, self.watcher, self.doubts, self.roster, purse, clock, desk, announcer
            ),
            JobState.READY: ReadyState(Saving(transitions, save), self._start),
            JobState.IN_DOUBT: self.doubts,
        }
        #: Work on the side, which ends with the session.
        self._spawned: set[asyncio.Task[Any]] = set()
        self._background: list[asyncio.Task[None]] = []
        #: What the ledger knows of the account's limits.
        self._kept: str | None = None

    # --- opening and closing ------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Go on with what the ledger holds, then begin."""
        self._kept = None if self._knows else await self.book.knowledge()
        if self._kept is not None:
            self.gate.recall(GateKnowledge.from_dict(json.loads(self._kept)))
        news = await self.book.news(self.clock.now())
        self.recovered = Recovered.of(news.taken)
        self._sharing.hear(news)
        parts: dict[str, Scheduler | Watcher | Tender] = {"scheduler": self.scheduler, "watcher": self.watcher}
        if self._is_lasting:
            parts["tender"] = self._tender
            self.spawn(self._keep_on_keeping())
        for name, part in parts.items():
            self._background.append(asyncio.create_task(self._run(part.run()), name=f"veo.{name}"))

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as crash:  # noqa: BLE001  # whatever it is, nobody may go on waiting
            self._on_crash(crash)

    async def close(self) -> None:
        """Send nothing new, let what is under way come to its end, and give the ledger back."""
        for task in self._spawned:
            task.cancel()
        self.scheduler.stop()
        self.scribe.hurry()
        scheduling, *others = self._background
        await asyncio.wait([scheduling])
        await self.intake.settle()
        await self.transitions.settle()
        for task in others:
            task.cancel()
        await asyncio.wait([*others, *self._spawned])
        await self._images.close()
        self._uploading.close()
        self.doubts.close()
        self.queued.close()
        self.leave_waiters(SessionClosed("the session was closed before this job had ended"))
        await self._keep_knowledge()
        await self.book.close()

    async def _keep_on_keeping(self) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            await self._keep_knowledge()

    async def _keep_knowledge(self) -> None:
        """Keep what was learned of the account, if it is news."""
        knowledge = json.dumps(self.gate.knowledge().to_dict())
        if knowledge == self._kept:
            return
        try:
            await self.book.keep_knowledge(knowledge)
            self._kept = knowledge
        except LedgerError as error:
            logger.warning("what was learned of the account is not kept: %s", error, extra={"action": "keep"})

    def leave_waiters(self, error: VeoError) -> None:
        """Nobody here will learn how the jobs end: whoever waits is told *error*."""
        for entry in self.roster.by_key.values():
            entry.abandon(error)
        self.roster.moved_on.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* on the side; it ends with the session at the latest."""
        _ = self._start(work)

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work, name=f"veo.{getattr(work, '__name__', 'work')}")
        self._spawned.add(task)
        task.add_done_callback(self._has_ended)
        return task

    def _has_ended(self, task: "asyncio.Task[None]") -> None:
        self._spawned.discard(task)
        if not task.cancelled() and (crash := task.exception()) is not None:
            self._on_crash(crash)

    # --- looking ------------------------------------------------------------------------------------------------

    async def look(self, task_id: str) -> Record:
        """The whole record of a task."""
        if (upgrade := upgrade_called(task_id)) is not None:
            return await self._with_next_key(self._look_at_upgrade, upgrade)
        return await self._with_next_key(self._api.record_info, task_id)

    async def _look_in_turn(self, task_id: str) -> Record:
        """The same within the budget for looks: many hints must not spend what running tasks are to have."""
        if wait_s := self._budget.take(asyncio.get_running_loop().time()):
            await asyncio.sleep(wait_s)
        return await self.look(task_id)

    async def _glance(self, task_id: str) -> Record:
        """A look at a task that is watched, of which only news is read."""
        trip("look:before")
        if upgrade_called(task_id) is not None:
            return await self.look(task_id)
        return await self._with_next_key(self._lookout.look, task_id)

    async def _look_at_upgrade(self, upgrade: UpgradeRequest) -> Record:
        return await look_at_upgrade(self._api, upgrade)

    async def _with_next_key(self, read: Callable[[T], Awaitable[Record]], task: T) -> Record:
        """*read* it; when the key is refused, with the next key if there is one."""
        number = self.keys.number
        try:
            return await read(task)
        except Unauthorized:
            if not await self.keys.renew(number):
                raise
            return await read(task)

    async def _task_ended(self, entry: Entry, end: Succeeded | Ended) -> None:
        event, outcome = outcome_of(entry, end, await self._made_before(entry))
        await self.transitions.try_apply(entry, event, outcome)

    async def _made_before(self, entry: Entry) -> tuple[Made, ...]:
        """What *entry* goes on from came to be so."""
        if entry.follow_up is None:
            return ()
        try:
            source = await self.intake.source_of(entry)
        except LedgerError:
            source = None
        if source is not None and isinstance(source.outcome, Done):
            return source.outcome.clip.history
        return (Made("adopted", entry.source_id or entry.follow_up.task_id, ""),)

    def is_ours(self, token: str) -> bool:
        """Whether *token* was planted by a session on this ledger."""
        return self._stamper.is_ours(token)

    def is_known(self, token: str, task_id: str) -> bool:
        """Whether the hint tells this session nothing that has to be kept: it is of a task that is in hand here.

        Its record is looked at as soon as that makes sense; it would be without the hint, too, only later.
        """
        entry = self._stamper.whose(token)
        if entry is None or entry.task_id != task_id or entry.is_followed or entry.state is JobState.IN_DOUBT:
            return False
        self.watcher.look_now(entry)
        return True

    async def hint(self, token: str, task_id: str) -> bool:
        """Somebody who knew *token* says which task came of it; whether an attempt has that token."""
        if not self._stamper.is_ours(token):
            return False
        if self._is_lasting:
            is_known = await self.book.hint(token, task_id, self.clock.now())
            self._tender.soon()
            return is_known
        entry = self._stamper.whose(token)
        if entry is not None:
            self.doubts.hinted(entry, Hint(key=entry.key, token=token, task_id=task_id))
        return entry is not None


__all__ = ["Engine", "Recovered"]
