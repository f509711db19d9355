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

from veo_async._api import RecordPoller, VeoApi, poll_upgrade
from veo_async._base.kill_points import kill_point
from veo_async._ports import CallbackHint, JobRow, LedgerSession
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import LearnedLimits
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.poll_result import Succeeded, Unsuccessful
from veo_async._rules.polling.schedule import PollSchedule
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._wire import Record, UpgradeRequest, upgrade_from_name
from veo_async.errors import RESUME, LedgerError, SessionClosed, Unauthorized, VeoError

from .announcer import Announcer
from .clock import WallClock
from .hooks import Hooks
from .in_doubt.in_doubt_jobs import InDoubtJobs, OnDoubt
from .job.endings import outcome_of
from .job.live_job import LiveJob
from .job.outcome import Done, HistoryItem
from .job.registry import JobRegistry
from .journal import Journal
from .ledger_watcher import LedgerWatcher
from .log import logger_for
from .queued.admission import Admission
from .queued.image_uploads import ImageUploads
from .queued.images import Images
from .queued.source_clip import SourceClips
from .queued.spending import Spending
from .ready.saving import JobSaver, Save
from .running.watcher import Watcher
from .sending.callback_tokens import CallbackTokens
from .sending.key_renewal import KeyRenewer
from .sending.pauses import Pauses
from .sending.scheduler import Scheduler
from .sending.sender import Sender
from .sharing import Sharing
from .states import QueuedState, ReadyState, RunningState, SendingState
from .status import StatusReporter
from .transitions import Transitions

logger = logger_for(__name__)

T = TypeVar("T")

#: How often what was learned of the account is kept: a process that is killed loses no more than this.
SAVE_KNOWLEDGE_EVERY_S = 60.0


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
        ledger: LedgerSession,
        *,
        account: str,
        is_durable: bool,
        clock: WallClock,
        gate: Gate,
        has_knowledge: bool,
        queue: FairQueue[LiveJob],
        schedule: PollSchedule,
        budget: PollBudget,
        status: StatusReporter,
        hooks: Hooks,
        tokens: CallbackTokens,
        spending: Spending,
        max_in_flight: int,
        workers: int,
        on_doubt: OnDoubt,
        save: Save,
        images: Images,
        save_to: str | None,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._api, self.ledger, self._is_lasting, self.clock = api, ledger, is_durable, clock
        self._tokens, self._budget, self._on_crash = tokens, budget, on_crash
        self._poller = RecordPoller(api)
        self.keys = KeyRenewer(api.refresh_key)
        self.registry = JobRegistry()
        self.recovered = Recovered()
        self.gate, self._queue, self._knows = gate, queue, has_knowledge
        announcer = Announcer(hooks, self.registry, status)
        pauses = Pauses(queue, self.keys, announcer, balance=spending.balance)
        self.journal = Journal(
            ledger,
            account=account,
            now=clock.now,
            job_of_task=self.registry.by_task.get,
            on_blocked=pauses.ledger_is_stuck,
        )
        self.transitions = transitions = Transitions(self.journal, announcer)
        sender = Sender(api, gate, queue, pauses, self.journal, tokens, clock, transitions, announcer)
        self.scheduler = Scheduler(
            api, gate, queue, self.keys, pauses, sender, transitions, max_in_flight=max_in_flight
        )
        self.watcher = Watcher(self._poll_task, self._task_ended, schedule=schedule, budget=budget, workers=workers)
        self.in_doubt = InDoubtJobs(
            self.journal,
            tokens,
            transitions,
            spending,
            look=self._read_record_within_budget,
            watcher=self.watcher,
            policy=on_doubt,
            spawn=self.spawn,
        )
        self._sharing = Sharing(self.registry, self.in_doubt, self.scheduler, transitions, save_to=save_to)
        self._ledger_watcher = LedgerWatcher(self.journal, self._sharing.apply_changes)
        self.admission = Admission(
            self.journal, self.registry, queue, clock, transitions, self.in_doubt, pauses, is_lasting=is_durable
        )
        self._images = images
        self._image_uploads = ImageUploads(images, queue, transitions, spawn=self._start)
        sources = SourceClips(transitions, find=self.admission.find, key_of_task=self.admission.key_of_task)
        self.queued = QueuedState(
            transitions,
            self.scheduler,
            spending,
            clock,
            announcer,
            sources=sources,
            uploading=self._image_uploads,
            spawn=self._start,
        )
        transitions.handlers = {
            JobState.QUEUED: self.queued,
            JobState.SENDING: SendingState(self.scheduler),
            JobState.RUNNING: RunningState(
                self.scheduler, self.watcher, self.in_doubt, self.registry, spending, clock, status, announcer
            ),
            JobState.READY: ReadyState(JobSaver(transitions, save), self._start),
            JobState.IN_DOUBT: self.in_doubt,
        }
        #: Work on the side, which ends with the session.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._background: list[asyncio.Task[None]] = []
        #: What the ledger knows of the account's limits.
        self._saved_knowledge: str | None = None

    # --- opening and closing ------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Go on with what the ledger holds, then begin."""
        self._saved_knowledge = None if self._knows else await self.ledger.knowledge()
        if self._saved_knowledge is not None:
            self.gate.restore(LearnedLimits.from_dict(json.loads(self._saved_knowledge)))
        changes = await self.ledger.changes(self.clock.now())
        self.recovered = Recovered.of(changes.taken_over)
        self._sharing.apply_changes(changes)
        parts: dict[str, Scheduler | Watcher | LedgerWatcher] = {"scheduler": self.scheduler, "watcher": self.watcher}
        if self._is_lasting:
            parts["tender"] = self._ledger_watcher
            self.spawn(self._save_knowledge_periodically())
        for name, part in parts.items():
            self._background.append(asyncio.create_task(self._run(part.run()), name=f"veo.{name}"))

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as crash:  # noqa: BLE001  # whatever it is, nobody may go on waiting
            self._on_crash(crash)

    async def close(self) -> None:
        """Send nothing new, let what is under way come to its end, and give the ledger back."""
        for task in self._tasks:
            task.cancel()
        self.scheduler.stop()
        self.journal.stop_retrying()
        scheduling, *others = self._background
        await asyncio.wait([scheduling])
        await self.admission.wait_idle()
        await self.transitions.wait_idle()
        for task in others:
            task.cancel()
        await asyncio.wait([*others, *self._tasks])
        await self._images.close()
        self._image_uploads.close()
        self.in_doubt.close()
        self.queued.close()
        self.release_waiters(SessionClosed("the session was closed before this job had ended", remedy=RESUME))
        await self._save_knowledge()
        await self.ledger.close()

    async def _save_knowledge_periodically(self) -> None:
        while True:
            await asyncio.sleep(SAVE_KNOWLEDGE_EVERY_S)
            await self._save_knowledge()

    async def _save_knowledge(self) -> None:
        """Keep what was learned of the account, if it is news."""
        knowledge = json.dumps(self.gate.knowledge().to_dict())
        if knowledge == self._saved_knowledge:
            return
        try:
            await self.ledger.save_knowledge(knowledge)
            self._saved_knowledge = knowledge
        except LedgerError as error:
            logger.warning("what was learned of the account is not kept: %s", error, extra={"action": "save-knowledge"})

    def release_waiters(self, error: VeoError) -> None:
        """Nobody here will learn how the jobs end: whoever waits is told *error*."""
        for job in self.registry.by_key.values():
            job.release_waiters(error)
        self.registry.queue_changed.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* on the side; it ends with the session at the latest."""
        _ = self._start(work)

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work, name=f"veo.{getattr(work, '__name__', 'work')}")
        self._tasks.add(task)
        task.add_done_callback(self._has_ended)
        return task

    def _has_ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (crash := task.exception()) is not None:
            self._on_crash(crash)

    def configure_tenant(self, name: str, *, weight: float | None, max_queued: int | None) -> None:
        """Change a tenant's weight or bound; `map` calls that wait for room try again."""
        self._queue.configure_tenant(name, weight=weight, max_queued=max_queued)
        self.registry.queue_changed.set()

    async def prune(self, older_than_s: float) -> int:
        """Delete jobs from the ledger that finished more than *older_than_s* ago."""
        return await self.ledger.prune(self.clock.now() - older_than_s)

    # --- looking ------------------------------------------------------------------------------------------------

    async def read_record(self, task_id: str) -> Record:
        """The whole record of a task."""
        if (upgrade := upgrade_from_name(task_id)) is not None:
            return await self._retry_with_new_key(self._poll_upgrade, upgrade)
        return await self._retry_with_new_key(self._api.record_info, task_id)

    async def _read_record_within_budget(self, task_id: str) -> Record:
        """The same within the budget for looks: many hints must not spend what running tasks are to have."""
        if wait_s := self._budget.reserve(asyncio.get_running_loop().time()):
            await asyncio.sleep(wait_s)
        return await self.read_record(task_id)

    async def _poll_task(self, task_id: str) -> Record:
        """A look at a task that is watched, of which only news is read."""
        kill_point("poll:before")
        if upgrade_from_name(task_id) is not None:
            return await self.read_record(task_id)
        return await self._retry_with_new_key(self._poller.poll, task_id)

    async def _poll_upgrade(self, upgrade: UpgradeRequest) -> Record:
        return await poll_upgrade(self._api, upgrade)

    async def _retry_with_new_key(self, read: Callable[[T], Awaitable[Record]], task: T) -> Record:
        """*read* it; when the key is refused, with the next key if there is one."""
        number = self.keys.generation
        try:
            return await read(task)
        except Unauthorized:
            if not await self.keys.renew(number):
                raise
            return await read(task)

    async def _task_ended(self, job: LiveJob, end: Succeeded | Unsuccessful) -> None:
        event, outcome = outcome_of(job, end, await self._source_history(job))
        await self.transitions.try_apply(job, event, outcome)

    async def _source_history(self, job: LiveJob) -> tuple[HistoryItem, ...]:
        """What *entry* goes on from came to be so."""
        if job.follow_up is None:
            return ()
        try:
            source = await self.admission.source_of(job)
        except LedgerError:
            source = None
        if source is not None and isinstance(source.outcome, Done):
            return source.outcome.clip.history
        return (HistoryItem("adopted", job.source_task_id or job.follow_up.task_id, ""),)

    def is_valid_token(self, token: str) -> bool:
        """Whether *token* was planted by a session on this ledger."""
        return self._tokens.is_valid(token)

    def is_tracked(self, token: str, task_id: str) -> bool:
        """Whether the hint tells this session nothing that has to be kept: it is of a task that is in hand here.

        Its record is looked at as soon as that makes sense; it would be without the hint, too, only later.
        """
        job = self._tokens.job_of(token)
        if job is None or job.task_id != task_id or job.is_remote or job.state is JobState.IN_DOUBT:
            return False
        self.watcher.poll_now(job)
        return True

    async def hint(self, token: str, task_id: str) -> bool:
        """Somebody who knew *token* says which task came of it; whether an attempt has that token."""
        if not self._tokens.is_valid(token):
            return False
        if self._is_lasting:
            is_tracked = await self.ledger.add_hint(token, task_id, self.clock.now())
            self._ledger_watcher.check_now()
            return is_tracked
        job = self._tokens.job_of(token)
        if job is not None:
            self.in_doubt.on_hint(job, CallbackHint(key=job.key, token=token, task_id=task_id))
        return job is not None


__all__ = ["Engine", "Recovered"]
