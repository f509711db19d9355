"""What lives in an open session: scheduler, watcher, scribe, doubts, and the jobs that go from one to the other.

Here is the whole of a job's way, one method for each stretch of it::

    intake ──▶ enqueue ──scheduler──▶ run_on ──watcher──▶ _task_ended
                  ▲          └─────▶ doubts ──hint, resolve──▶ run_on
                  └───────────────────── resubmit

`intake` takes jobs in, `sharing` deals with the other sessions on the same ledger, and every step of the way is
written down by the `scribe` before it is acted upon.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import anyio
import attrs

from veo_async._api import Lookout, VeoApi, look_at_upgrade
from veo_async._ports import Book, GateNews, Hint, JobRow, Plain
from veo_async._rules.fairness import FairQueue
from veo_async._rules.gate import Gate
from veo_async._rules.gate_values import GateKnowledge
from veo_async._rules.lifecycle import JobState
from veo_async._rules.looking import Ended, Succeeded
from veo_async._rules.pollbudget import PollBudget
from veo_async._rules.polling import PollSchedule
from veo_async._tripwire import trip
from veo_async._wire import Record, UpgradeRequest, upgrade_called
from veo_async._wire.images import local_images
from veo_async.errors import LedgerError, SessionClosed, Unauthorized, VeoError

from .clock import WallClock
from .desk import FrontDesk
from .doubts import Doubts, OnDoubt
from .ends import outcome_of
from .entry import Entry, fresh
from .events import JobEvent, Paused, Queued, Running
from .holding import Holding
from .hooks import Hooks
from .images import Images
from .intake import Intake
from .keys import KeyKeeper
from .log import logger_for
from .outcome import Clip, Done, Made
from .purse import Purse
from .roster import Roster
from .rows import ending
from .saving import Save, Saving
from .scheduler import Scheduler
from .scribe import Scribe
from .sharing import Sharing
from .sources import Sources
from .stamps import Stamper
from .tending import Tender
from .uploading import Uploading
from .watcher import Watcher

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
        self._queue, self._desk, self._hooks, self._on_crash = queue, desk, hooks, on_crash
        self._stamper, self.purse, self._budget = stamper, purse, budget
        self._lookout = Lookout(api)
        self.keys = KeyKeeper(api.refresh_key)
        self.roster = Roster()
        self.recovered = Recovered()
        self.gate, self._knows = gate, knows
        self.scribe = Scribe(
            book, account=account, now=clock.now, holder_of=self.roster.by_task.get, on_stuck=self._stuck
        )
        self.scheduler = Scheduler(
            api,
            gate=gate,
            queue=queue,
            slots=anyio.CapacityLimiter(max_in_flight),
            keys=self.keys,
            scribe=self.scribe,
            stamper=stamper,
            clock=clock,
            water=purse.water,
            on_running=self._accepted,
            on_doubt=self._doubted,
            on_moved=lambda entry: self._sharing.moved(entry),
            on_change=self.tell,
            on_queued=self.tell_queued,
        )
        self.watcher = Watcher(self._glance, self._task_ended, schedule=schedule, budget=budget, workers=workers)
        self.doubts = Doubts(self.scribe, stamper, self, look=self._look_in_turn, policy=on_doubt, spawn=self.spawn)
        self._sharing = Sharing(self.scribe, self.roster, self.doubts, self, save_to=save_to)
        self._saving = Saving(
            self.scribe,
            save,
            on_saved=lambda entry: self._hooks.tell(self._desk.situation_of(entry)),
        )
        self._tender = Tender(self.scribe, self._sharing.hear)
        self.intake = Intake(
            self.scribe,
            self.roster,
            queue,
            clock,
            self,
            is_lasting=is_lasting,
            locked_out=lambda: self.scheduler.locked_out,
        )
        self._holding = Holding(go_on=self._queue_up, refuse=self.scheduler.refuse, spawn=self._start)
        self._sources = Sources(find=self.intake.find, holder_of=self.intake.holder_of)
        self._images = images
        self._uploading = Uploading(
            images,
            withdraw=self._unqueue,
            refuse=self.scheduler.refuse,
            spawn=self._start,
        )
        #: When jobs that wait will be passed over.
        self._deadlines: dict[Entry, asyncio.TimerHandle] = {}
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
        for task in others:
            task.cancel()
        await asyncio.wait([*others, *self._spawned])
        await self._images.close()
        self._uploading.close()
        self.doubts.close()
        for timer in self._deadlines.values():
            timer.cancel()
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
        task = asyncio.create_task(self._run(work), name=f"veo.{getattr(work, '__name__', 'work')}")
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    # --- its way ------------------------------------------------------------------------------------------------

    def enqueue(self, entry: Entry) -> None:
        """It waits for what it goes on from or is made of, if anything, and then for its turn."""
        self.purse.claim(entry)
        if entry.follow_up is not None:
            self._holding.hold(entry, self._sources.prepare)
        elif local_images(entry.request):
            self._holding.hold(entry, self._uploading.prepare)
        else:
            self._queue_up(entry)

    def _queue_up(self, entry: Entry) -> None:
        if (why := self.scheduler.locked_out) is not None:
            self.spawn(self.scheduler.refuse(entry, fresh(why)))
            return
        if entry.deadline is not None and self.clock.now() >= entry.deadline:  # what it waited for came too late
            self.spawn(self.scheduler.pass_over(entry))
            return
        self._queue.push(entry, tenant=entry.tenant, priority=entry.priority, is_bounded=False)
        if entry.deadline is not None:
            at = self.clock.to_loop(entry.deadline)
            self._deadlines[entry] = asyncio.get_running_loop().call_at(at, self._pass_over, entry)
        # Whoever has just come has at most all others before them; its true place would cost O(queue) for each.
        self.tell_queued(entry, position=len(self._queue) - 1)
        self.scheduler.wake()

    def _pass_over(self, entry: Entry) -> None:
        del self._deadlines[entry]
        if entry in self._queue:
            self._queue.remove(entry)
            self.spawn(self.scheduler.pass_over(entry))

    def _accepted(self, entry: Entry) -> None:
        self._watch(entry)
        self.doubts.accepted(entry)

    def run_on(self, entry: Entry) -> None:
        """Its task runs, and it has no slot yet: watch it."""
        if entry.is_followed:
            self.spawn(self._sharing.go_on_if_ours(entry))
            return
        self.scheduler.adopt(entry)
        self._watch(entry)

    def _watch(self, entry: Entry) -> None:
        assert entry.task_id is not None  # noqa: S101  # it was accepted
        self.roster.by_task[entry.task_id] = entry
        self.purse.accepted(entry)
        age_s = 0.0 if entry.sent_at is None else max(0.0, self.clock.now() - entry.sent_at)
        self.watcher.watch(entry, self._desk.class_of(entry), age_s=age_s)
        if self._hooks or entry.is_listened_to:
            self.tell(entry, self._desk.situation_of(entry))

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
        self.scheduler.release(entry)
        event, outcome = outcome_of(entry, end, await self._made_before(entry))
        extra = {"action": event.value, "job_key": entry.key, "task_id": entry.task_id}
        changes: dict[str, Plain] = {"outcome": ending(outcome), "ended_at": self.clock.now()}
        trip("end:before-write")
        try:
            is_written = await self.scribe.step(entry, event, changes)
        except LedgerError:
            return  # the session ends; the next one looks again
        trip("end:after-write")
        if not is_written:
            self.moved(entry)
            return
        logger.info("job %s: %s", entry.key, event.value, extra=extra)
        if isinstance(outcome, Done) and entry.save_to is not None:
            entry.step(event)
            self.save(entry, outcome.clip)
        else:
            entry.settle(event, outcome)
            self._hooks.tell(self._desk.situation_of(entry))

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

    def save(self, entry: Entry, clip: Clip) -> None:
        """It is ready, and to be saved."""
        self.spawn(self._saving.save(entry, clip))

    def _doubted(self, entry: Entry, error: VeoError) -> None:
        self.doubts.enter(entry, error)
        self.roster.moved_on.set()

    def queue_again(self, entry: Entry) -> None:
        """Another request is wanted: send it in its turn."""
        if entry.is_followed:
            self.spawn(self._sharing.go_on_if_ours(entry))
            return
        entry.task_id, entry.unsent = None, 0
        self.enqueue(entry)

    def reserve_again(self, entry: Entry) -> None:
        """Another request is about to be wanted; `BudgetExceeded` when there is nothing left for it."""
        self.purse.add(entry)

    def stays(self, entry: Entry) -> None:
        """It is not wanted after all."""
        self.purse.stays(entry)

    async def withdraw(self, entry: Entry) -> bool:
        """Take it out of the queue or from the watcher; whether it was there."""
        if self._unqueue(entry):
            return True
        if self._holding.withdraw(entry):
            return True
        if self.watcher.forget(entry):
            self.scheduler.release(entry)
            return True
        return False

    def _unqueue(self, entry: Entry) -> bool:
        if entry not in self._queue:
            return False
        self._queue.remove(entry)
        return True

    async def resolve(self, entry: Entry, task_id: str) -> None:
        """It was in doubt, and somebody names its task."""
        await self.doubts.resolve(entry, task_id)

    def moved(self, entry: Entry) -> None:
        """Somebody else has moved it on the ledger."""
        self._sharing.moved(entry)

    def hear_gate(self, news: GateNews) -> None:
        """What other sessions have done with the same account."""
        self.scheduler.hear(news)

    def hint_of(self, entry: Entry) -> None:
        """There may be news of its running task."""
        self.watcher.look_now(entry)

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

    def _stuck(self, is_stuck: bool) -> None:
        if is_stuck:
            self.scheduler.pause_for_ledger()

    # --- telling ------------------------------------------------------------------------------------------------

    def tell(self, entry: Entry, event: JobEvent) -> None:
        """Something has happened to *entry*."""
        if entry.outcome is None:
            entry.tell(event)
        if not isinstance(event, Queued | Running | Paused):
            self.roster.moved_on.set()
        self._hooks.tell(event)

    def tell_queued(self, entry: Entry, *, position: int | None = None) -> None:
        """It waits; reckoned only where somebody listens, as a place in a long queue is dear."""
        if self._hooks or entry.is_listened_to:
            at = self._desk.position_of(entry) if position is None else position
            self.tell(entry, self._desk.waiting(entry, at))


__all__ = ["Engine", "Recovered"]
