"""The engine: builds the parts of an open session, opens them and closes them.

::

    VeoSession    submit(), map() …
        ▼
    Admission     inserts the job into the ledger
        ▼
    FairQueue     decides which job is next: tenants by weight, interactive jobs before batch jobs
        ▼
    Scheduler     waits for a slot (a semaphore of running tasks) and for the gate: after a 429 all jobs wait
        ▼
    Sender        makes one POST per attempt and records the result
        ▼
    Watcher       polls all running tasks: one heap of due times, a few workers in a TaskGroup
        ▼
    LiveJob       gets its outcome and wakes one future per waiter

`transitions` moves a job from state to state; `Engine._handlers` names the handler of each state::

    queued ──▶ sending ──▶ running ──▶ ready ──▶ saved
       ▲          │           ▲
       │          ▼           │
       └─────  in doubt  ─────┘
      resubmit          hint, resolve
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs

from veo_async._api import VeoApi
from veo_async._ports import CallbackHint, JobRow, LedgerSession
from veo_async._rules.gate.gate import Gate
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.schedule import PollSchedule
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._wire import Record
from veo_async.errors import SessionClosed, VeoError

from .announcer import Announcer
from .background import BackgroundTasks
from .clock import WallClock
from .hooks import Hooks
from .in_doubt.actions import JobActions
from .in_doubt.handler import InDoubtState, OnDoubt
from .in_doubt.hints import HintFollower
from .job.live_job import LiveJob
from .job.registry import JobRegistry
from .journal import Journal
from .queued.admission import Admission
from .queued.handler import QueuedState
from .queued.image_uploads import ImageUploads
from .queued.images import Images
from .queued.source_clip import SourceClips
from .queued.spending import Spending
from .ready.handler import ReadyState
from .ready.saving import JobSaver, Save
from .running.handler import RunningState, TaskFinisher
from .running.polls import RecordReader
from .running.watcher import Watcher
from .sending.callback_tokens import CallbackTokens
from .sending.handler import SendingState
from .sending.key_renewal import KeyRenewer
from .sending.knowledge import KnowledgeStore
from .sending.pauses import Pauses
from .sending.scheduler import Scheduler
from .sending.sender import Sender
from .sharing import LedgerWatcher
from .status import StatusReporter
from .transitions import StateHandler, Transitions


@attrs.frozen(kw_only=True)
class Recovered:
    """The jobs that a session found on its ledger when it opened, and continues."""

    #: Jobs that were not sent yet.
    queued: int = 0
    #: Jobs whose tasks were running; some may have ended since.
    running: int = 0
    #: Jobs of which it is unknown whether their request was accepted.
    in_doubt: int = 0
    #: Jobs whose clips are not saved yet.
    ready: int = 0

    @classmethod
    def of(cls, rows: tuple[JobRow, ...]) -> "Recovered":
        """Count *rows* by state."""
        states = [row.state for row in rows]
        return cls(**{name: states.count(name) for name in attrs.fields_dict(cls)})


@attrs.define(eq=False, slots=False, repr=False)
class Engine:
    """The parts of one open session."""

    _api: VeoApi
    ledger: LedgerSession
    #: The account that the jobs bill.
    _account: str = attrs.field(kw_only=True)
    #: Whether the ledger outlives the session, so that other sessions may use it, too.
    _is_durable: bool = attrs.field(kw_only=True)
    clock: WallClock = attrs.field(kw_only=True)
    gate: Gate = attrs.field(kw_only=True)
    #: Whether the gate was given knowledge by the user; otherwise the engine loads it from the ledger.
    _has_knowledge: bool = attrs.field(kw_only=True)
    _queue: FairQueue[LiveJob] = attrs.field(kw_only=True)
    _schedule: PollSchedule = attrs.field(kw_only=True)
    _budget: PollBudget = attrs.field(kw_only=True)
    _status: StatusReporter = attrs.field(kw_only=True)
    _hooks: Hooks = attrs.field(kw_only=True)
    _tokens: CallbackTokens = attrs.field(kw_only=True)
    _spending: Spending = attrs.field(kw_only=True)
    #: The number of slots.
    _max_in_flight: int = attrs.field(kw_only=True)
    #: The number of the watcher's workers.
    _workers: int = attrs.field(kw_only=True)
    _on_doubt: OnDoubt = attrs.field(kw_only=True)
    #: Saves one clip.
    _save: Save = attrs.field(kw_only=True)
    _images: Images = attrs.field(kw_only=True)
    #: The folder for clips of jobs without a target of their own.
    _save_to: str | None = attrs.field(kw_only=True)
    #: Called when a part fails because of a defect of ours.
    _on_crash: Callable[[BaseException], None] = attrs.field(kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Build the parts. Each needs only those above it."""
        api, queue, clock = self._api, self._queue, self.clock
        self.recovered = Recovered()
        self.registry = JobRegistry()
        self.keys = KeyRenewer(api.refresh_key)
        self.announcer = Announcer(self._hooks, self.registry, self._status)
        pauses = Pauses(queue, self.keys, self.announcer, balance=self._spending.balance)
        self.journal = Journal(
            self.ledger,
            account=self._account,
            now=clock.now,
            jobs_by_task=self.registry.by_task,
            on_blocked=pauses.ledger_blocked,
        )
        self.transitions = transitions = Transitions(self.journal, self.announcer.finished)
        self._side_tasks = tasks = BackgroundTasks(self._on_crash)
        self._main_tasks: list[asyncio.Task[None]] = []

        self._records = records = RecordReader(api, self.keys, self._budget)
        self.actions = JobActions(
            transitions, self.ledger, read_record=records.read_within_budget, spending=self._spending
        )
        self.admission = Admission(
            self.journal, self.registry, queue, clock, transitions, self.actions, pauses, is_durable=self._is_durable
        )
        finisher = TaskFinisher(transitions, self.admission)
        self.watcher = Watcher(
            records.poll, finisher.finish, schedule=self._schedule, budget=self._budget, workers=self._workers
        )
        hints = self.hints = HintFollower(self.actions, self.watcher, tasks, read_record=records.read_within_budget)
        sender = Sender(
            api, self.gate, queue, pauses, self.journal, self._tokens, clock, transitions, self.announcer, hints
        )
        self.scheduler = Scheduler(
            api, self.gate, queue, self.keys, pauses, sender, transitions, max_in_flight=self._max_in_flight
        )
        self._knowledge = KnowledgeStore(self.gate, self.ledger)
        self._ledger_watcher = LedgerWatcher(
            self.journal, self.registry, hints, self.scheduler, transitions, save_to=self._save_to
        )
        transitions.handlers = self._handlers()

    def _handlers(self) -> Mapping[JobState, StateHandler]:
        """Build the handler of each state; the other states are final."""
        transitions, tasks, announcer = self.transitions, self._side_tasks, self.announcer
        self.uploads = ImageUploads(self._images, self._queue, transitions, tasks)
        sources = SourceClips(transitions, find=self.admission.find, key_of_task=self.admission.key_of_task)
        self.queued = QueuedState(
            transitions, self.scheduler, self._spending, self.clock, announcer, sources, self.uploads, tasks
        )
        self.in_doubt = InDoubtState(transitions, self.actions, self._tokens, self.clock, tasks, self._on_doubt)
        return {
            JobState.QUEUED: self.queued,
            JobState.SENDING: SendingState(self.scheduler, self.uploads),
            JobState.RUNNING: RunningState(
                self.scheduler, self.watcher, self.registry, self._spending, self.clock, self._status, announcer
            ),
            JobState.READY: ReadyState(JobSaver(transitions, self._save), tasks),
            JobState.IN_DOUBT: self.in_doubt,
        }

    # --- opening and closing ------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Load what the ledger contains, and start."""
        if not self._has_knowledge:
            await self._knowledge.load()
        changes = await self.ledger.changes(self.clock.now())
        self.recovered = Recovered.of(changes.taken_over)
        self._ledger_watcher.apply_changes(changes)
        parts = {"scheduler": self.scheduler.run(), "watcher": self.watcher.run()}
        if self._is_durable:
            parts |= {"ledger-watcher": self._ledger_watcher.run(), "knowledge": self._knowledge.run()}
        for name, work in parts.items():
            self._main_tasks.append(asyncio.create_task(self._run(work), name=f"veo.{name}"))

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as crash:  # noqa: BLE001  # any defect must end all waiting
            self._on_crash(crash)

    async def close(self) -> None:
        """Send nothing more, let requests on their way finish, and close the ledger session."""
        self._side_tasks.cancel()
        self.scheduler.stop()
        self.journal.stop_retrying()
        scheduling, *others = self._main_tasks
        await asyncio.wait([scheduling])
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        await self.admission.wait_idle()
        await self.transitions.wait_idle()
        await self._side_tasks.wait()
        await self._images.close()
        for part in (self.uploads, self.queued, self.in_doubt):
            part.close()
        self.release_waiters(SessionClosed("the session was closed before this job finished"))
        await self._knowledge.save()
        await self.ledger.close()

    def release_waiters(self, error: VeoError) -> None:
        """Raise *error* in all waiters: the session will not learn the outcomes of their jobs."""
        for job in self.registry.by_key.values():
            job.release_waiters(error)
        self.registry.queue_changed.set()

    # --- what a session asks ------------------------------------------------------------------------------------

    async def read_record(self, task_id: str) -> Record:
        """Read the complete record of a task."""
        return await self._records.read(task_id)

    def is_valid_token(self, token: str) -> bool:
        """Whether a session on this ledger issued *token*."""
        return self._tokens.is_valid(token)

    def is_tracked(self, token: str, task_id: str) -> bool:
        """Whether this session already polls the task, so that the hint need not be stored; the poll is then due now."""
        job = self._tokens.job_of(token)
        if job is None or job.task_id != task_id or job.is_remote or job.state is JobState.IN_DOUBT:
            return False
        self.watcher.poll_now(job)
        return True

    async def hint(self, token: str, task_id: str) -> bool:
        """Follow an unverified callback; return whether an attempt has this token."""
        if not self._tokens.is_valid(token):
            return False
        if self._is_durable:
            is_known = await self.ledger.add_hint(token, task_id, self.clock.now())
            self._ledger_watcher.check_now()
            return is_known
        job = self._tokens.job_of(token)
        if job is not None:
            self.hints.on_hint(job, CallbackHint(key=job.key, token=token, task_id=task_id))
        return job is not None


__all__ = ["Engine", "Recovered"]
