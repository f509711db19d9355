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
from collections.abc import Callable, Mapping
from datetime import timedelta

import anyio
import attrs

from veo_async._api import VeoApi
from veo_async._ports import CallbackHint, JobRow, LedgerSession
from veo_async._rules.gate.gate import Gate
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._rules.route_choice import RouteChoice
from veo_async._wire import Record, RouteName
from veo_async.errors import RESUME, SessionClosed, VeoError

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
from .log import logger_for
from .queued.admission import Admission
from .queued.handler import QueuedState
from .queued.image_uploads import ImageUploads
from .queued.images import Images
from .queued.source_clip import SourceClips
from .queued.spending import Spending
from .ready.handler import ReadyState
from .ready.saving import JobSaver, Save
from .retention import Retention
from .running.handler import RunningState, TaskFinisher
from .running.polls import RecordReader
from .running.price_check import PriceCheck
from .running.watcher import Watcher
from .sending.callback_tokens import CallbackTokens
from .sending.handler import SendingState
from .sending.key_renewal import KeyRenewer
from .sending.knowledge import KnowledgeStore
from .sending.pauses import Pauses
from .sending.route_changes import RouteChanges
from .sending.scheduler import Scheduler
from .sending.sender import Sender
from .sharing import LedgerWatcher
from .status import StatusReporter
from .transitions import StateHandler, Transitions

logger = logger_for(__name__)


@attrs.frozen(kw_only=True)
class Recovered:
    """The jobs that a session found on its ledger when it opened, and continues.

    Attributes:
        queued: jobs that were not sent yet.
        running: jobs whose tasks were running; some may have ended since.
        in_doubt: jobs of which it is unknown whether their request was accepted.
        ready: jobs whose clips are not saved yet.
    """

    queued: int = 0
    running: int = 0
    in_doubt: int = 0
    ready: int = 0

    @classmethod
    def of(cls, rows: tuple[JobRow, ...]) -> "Recovered":
        """Count *rows* by state."""
        states = [row.state for row in rows]
        return cls(**{name: states.count(name) for name in attrs.fields_dict(cls)})


@attrs.define(eq=False, slots=False, repr=False, kw_only=True)
class Engine:
    """The parts of one open session."""

    _api: VeoApi = attrs.field(alias="api", kw_only=False)
    ledger: LedgerSession = attrs.field(kw_only=False)
    #: The account that the jobs bill.
    _account: str = attrs.field(alias="account")
    #: Whether the ledger outlives the session, so that other sessions may use it, too.
    _is_durable: bool = attrs.field(alias="is_durable")
    #: How long after its end a job is deleted from the ledger; None keeps all.
    _prune_after: timedelta | None = attrs.field(alias="prune_after")
    clock: WallClock
    rate_limiter: Gate
    #: Whether the gate was given knowledge by the user; otherwise the engine loads it from the ledger.
    _has_knowledge: bool = attrs.field(alias="has_knowledge")
    _queue: FairQueue[LiveJob] = attrs.field(alias="queue")
    _polls: PollQueue[LiveJob] = attrs.field(alias="polls")
    _budget: PollBudget = attrs.field(alias="budget")
    _status: StatusReporter = attrs.field(alias="status")
    _hooks: Hooks = attrs.field(alias="hooks")
    _tokens: CallbackTokens = attrs.field(alias="tokens")
    _spending: Spending = attrs.field(alias="spending")
    #: The number of slots.
    _max_in_flight: int = attrs.field(alias="max_in_flight")
    #: The number of the watcher's workers.
    _workers: int = attrs.field(alias="workers")
    #: The longest delay after a failed poll.
    _max_backoff_s: float = attrs.field(alias="max_backoff_s")
    #: Whether jobs of a model that costs more than expected are on hold.
    _stop_on_overcharge: bool = attrs.field(alias="stop_on_overcharge")
    #: Chooses the route of new requests.
    _routes: RouteChoice = attrs.field(alias="routes")
    _on_doubt: OnDoubt = attrs.field(alias="on_doubt")
    #: Saves one clip.
    _save: Save = attrs.field(alias="save")
    _images: Images = attrs.field(alias="images")
    #: Returns where the clip of a job is saved that names no destination.
    _default_target: Callable[[LiveJob], str | None] = attrs.field(alias="default_target")
    #: Called when a part without which the session cannot continue fails because of a defect.
    _on_crash: Callable[[BaseException], None] = attrs.field(alias="on_crash")

    #: Why no request can be sent any more, if the caller closed his HTTP session.
    client_closed: VeoError | None = attrs.field(default=None, init=False)
    #: What the session found on its ledger.
    recovered: Recovered = attrs.field(factory=Recovered, init=False)
    registry: JobRegistry = attrs.field(init=False)
    keys: KeyRenewer = attrs.field(init=False)
    announcer: Announcer = attrs.field(init=False)
    journal: Journal = attrs.field(init=False)
    transitions: Transitions = attrs.field(init=False)
    actions: JobActions = attrs.field(init=False)
    admission: Admission = attrs.field(init=False)
    price_check: PriceCheck = attrs.field(init=False)
    watcher: Watcher = attrs.field(init=False)
    hints: HintFollower = attrs.field(init=False)
    scheduler: Scheduler = attrs.field(init=False)
    uploads: ImageUploads = attrs.field(init=False)
    queued: QueuedState = attrs.field(init=False)
    in_doubt: InDoubtState = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Build the parts. Each needs only those above it."""
        api, gate, queue, clock, spending = self._api, self.rate_limiter, self._queue, self.clock, self._spending
        registry = self.registry = JobRegistry(self._is_durable)
        keys = self.keys = KeyRenewer(api.refresh_key)
        announcer = self.announcer = Announcer(self._hooks, registry, self._status)
        pauses = Pauses(queue, keys, announcer, balance=spending.balance)
        journal = self.journal = Journal(self.ledger, self._account, clock.now, registry.by_task, pauses.ledger_blocked)
        journal.budget = spending.shared
        self._main_tasks = BackgroundTasks(self._on_crash)
        tasks = self._side_tasks = BackgroundTasks(_log_unexpected)
        transitions = self.transitions = Transitions(journal, announcer.finished, tasks, api.log_page)

        records = self._records = RecordReader(api, keys, self._budget, self._routes.route)
        actions = self.actions = JobActions(transitions, self.ledger, records.read_within_budget, spending)
        self.admission = Admission(journal, registry, queue, clock, transitions, actions, pauses, self._is_durable)
        finisher = TaskFinisher(transitions, self.admission)
        self.price_check = PriceCheck(
            queue, announcer, transitions, registry, lambda: self.scheduler.wake(), self._stop_on_overcharge
        )
        self.watcher = Watcher(
            records.poll,
            finisher.finish,
            self._polls,
            self._budget,
            self._workers,
            on_unexpected=transitions.recovery.failed,
            on_client_closed=self._client_closed,
            on_cost=self.price_check.check,
            max_backoff_s=self._max_backoff_s,
        )
        hints = self.hints = HintFollower(actions, self.watcher, tasks, records.read_within_budget)
        routes = RouteChanges(self._routes, keys, queue, pauses, announcer, transitions)
        sender = Sender(
            api,
            gate,
            queue,
            pauses,
            journal,
            self._tokens,
            clock,
            transitions,
            announcer,
            hints,
            routes,
            self._client_closed,
        )
        slots = anyio.CapacityLimiter(self._max_in_flight)
        scheduler = self.scheduler = Scheduler(
            api, gate, queue, keys, pauses, sender, routes, transitions, slots, self._polls, self._on_crash
        )
        self._knowledge = KnowledgeStore(gate, self._polls, self.ledger)
        on_check, target = self.price_check.hold_jobs_of_others, self._default_target
        self._ledger_watcher = LedgerWatcher(journal, registry, hints, scheduler, transitions, target, on_check)
        transitions.handlers = self._handlers()

    def _handlers(self) -> Mapping[JobState, StateHandler]:
        """Build the handler of each state; the other states are final."""
        transitions, announcer = self.transitions, self.announcer
        scheduler, spending, clock = self.scheduler, self._spending, self.clock
        uploads = self.uploads = ImageUploads(self._images, self._queue, transitions)
        admission, find_record = self.admission, self._records.find_within_budget
        sources = SourceClips(
            transitions,
            admission.find,
            admission.key_of_task,
            admission.find_task,
            admission.follow_ups_of,
            find_record,
        )
        on_hold = self.price_check.job_on_hold
        self.queued = QueuedState(transitions, scheduler, spending, clock, announcer, sources, uploads, on_hold)
        self.in_doubt = InDoubtState(transitions, self.actions, self._tokens, clock, self._on_doubt)
        running = RunningState(scheduler, self.watcher, self.registry, spending, clock, self._status, announcer)
        ready = ReadyState(JobSaver(transitions, self._save, announcer.notify), transitions.recovery)
        return {
            JobState.QUEUED: self.queued,
            JobState.SENDING: SendingState(scheduler, uploads),
            JobState.RUNNING: running,
            JobState.READY: ready,
            JobState.SAVED: ready,
            JobState.IN_DOUBT: self.in_doubt,
        }

    # --- opening and closing ------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Load what the ledger contains, and start."""
        await self._knowledge.load(with_limits=not self._has_knowledge)
        changes = await self.ledger.changes(self.clock.now())
        self.recovered = Recovered.of(changes.taken_over)
        self._ledger_watcher.apply_changes(changes)
        self._scheduling = self._main_tasks.start(self.scheduler.run(), "scheduler")
        _ = self._main_tasks.start(self.watcher.run(), "watcher")
        if self._is_durable:
            _ = self._main_tasks.start(self._ledger_watcher.run(), "ledger-watcher")
            _ = self._main_tasks.start(self._knowledge.run(), "knowledge")
            if self._prune_after is not None:
                retention = Retention(self.ledger, self.clock.now, self._prune_after)
                _ = self._side_tasks.start(retention.run(), "retention")

    async def close(self) -> None:
        """Send nothing more, let requests on their way finish, and close the ledger session."""
        self._side_tasks.cancel()
        self.scheduler.stop()
        self.journal.stop_retrying()
        await asyncio.wait([self._scheduling])
        self._main_tasks.cancel()
        await self._main_tasks.wait()
        await self.admission.wait_idle()
        await self.transitions.wait_idle()
        await self._side_tasks.wait()
        await self._images.close()
        for part in (self.uploads, self.queued, self.in_doubt):
            part.close()
        self.release_waiters(SessionClosed("the session was closed before this job finished", remedy=RESUME))
        await self._knowledge.save()
        await self.ledger.close()

    def release_waiters(self, error: VeoError) -> None:
        """Raise *error* in all waiters: the session will not learn the outcomes of their jobs."""
        for job in self.registry.by_key.values():
            job.release_waiters(error)
        self.registry.queue_changed.set()

    def _client_closed(self, error: VeoError) -> None:
        """Send and poll nothing more: the caller has closed the HTTP session that he passed."""
        if self.client_closed is None:
            self.client_closed = error
            logger.error("nothing more can be sent: %s", error, extra={"action": "client-closed"})
            self.scheduler.stop()
            self.release_waiters(error)

    # --- what a session asks ------------------------------------------------------------------------------------

    def configure_tenant(self, name: str, *, weight: float | None, max_queued: int | None) -> None:
        """Change a tenant's weight or bound; `map` calls that wait for room try again."""
        self._queue.configure_tenant(name, weight=weight, max_queued=max_queued)
        self.announcer.queue_changed()

    async def prune(self, older_than_s: float) -> int:
        """Delete jobs from the ledger that finished more than *older_than_s* ago; return how many."""
        return await self.ledger.prune(self.clock.now() - older_than_s)

    async def read_record(self, task_id: str, route: RouteName) -> Record:
        """Read the complete record of a task."""
        return await self._records.read(task_id, route)

    def is_valid_token(self, token: str) -> bool:
        """Whether a session on this ledger issued *token*."""
        return self._tokens.is_valid(token)

    def is_tracked(self, token: str, task_id: str) -> bool:
        """Whether this session already polls the task. Then the hint need not be stored: the task is polled now."""
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


def _log_unexpected(error: BaseException) -> None:
    """Log an exception that ended a background task which the session can do without."""
    extra = {"action": "unexpected"}
    logger.error("unexpected %s in a background task", type(error).__name__, exc_info=error, extra=extra)
