"""Hints: what a callback says about a job, followed by reading the task's record.

A hint is a (callback token, task id) pair. Anyone who has seen the callback URL can send one, so nothing in it is
believed: it only says which record to read. The record, read with our own key, is the proof.

Many hints may name false tasks, so each job in doubt has a queue of them. They are read one at a time, in the order in
which they are due, within the poll budget: the true one gets its turn however many are false, and running tasks keep
their polls. A record that is missing may only be late, so it is read a few times; a read that failed (no network, a
broken provider) refutes nothing and is repeated while the job is in doubt. Both go to the back of the queue.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator

import attrs

from veo_async._ports import MAX_HINTS_PER_TOKEN, CallbackHint, TaskAlreadyBound
from veo_async._rules.doubt import Proof
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.background import BackgroundTasks
from veo_async._runtime.clock import TIMER_SLACK_S, loop_time, wait_for_event
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async._runtime.running.watcher import Watcher
from veo_async._wire import Record, RouteName, TaskState
from veo_async.errors import RequestRejected, UsageError, VeoError

from .actions import JobActions, proof_of

logger = logger_for(__name__)

#: Delays between reads of a record that may prove a hint. A finished task has a record, so it is at most late.
_VERIFY_DELAYS_S = (2.0, 5.0, 15.0, 60.0)
#: How many refuted task ids are kept for the evidence, and logged.
_MAX_CLAIMED = 16


@attrs.define(eq=False)
class _Claim:
    """A hint that is to be verified."""

    hint: CallbackHint
    #: How often its record was read in vain, and how often the provider has rejected the read.
    failures: int = 0
    rejections: int = 0


@attrs.define(eq=False)
class _Claims:
    """The hints of one job, each at most once."""

    _queue: list[tuple[float, int, _Claim]] = attrs.field(factory=list, init=False)
    _known: dict[CallbackHint, None] = attrs.field(factory=dict, init=False)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count, init=False)
    added: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    #: Whether a task reads their records.
    is_followed: bool = attrs.field(default=False, init=False)

    def __iter__(self) -> Iterator[CallbackHint]:
        return iter(tuple(self._known))

    def add(self, hint: CallbackHint) -> None:
        """Add *hint*, due now, unless it is waiting; of too many, the oldest is dropped."""
        if hint in self._known:
            return
        self._known[hint] = None
        if len(self._known) > MAX_HINTS_PER_TOKEN:
            del self._known[next(iter(self._known))]
        self.put(_Claim(hint), loop_time())

    def put(self, claim: _Claim, due: float) -> None:
        """Let *claim* be read at *due*."""
        heapq.heappush(self._queue, (due, next(self._numbers), claim))
        self.added.set()

    def forget(self, claim: _Claim) -> None:
        """Forget a claim whose verification has ended."""
        self._known.pop(claim.hint, None)

    async def next(self) -> _Claim | None:
        """Wait for the next claim that is due; return None if there are none left."""
        while self._queue:
            due, _, claim = self._queue[0]
            if claim.hint not in self._known:
                heapq.heappop(self._queue)  # dropped
            elif due <= loop_time() + TIMER_SLACK_S:
                heapq.heappop(self._queue)
                return claim
            else:
                self.added.clear()
                await wait_for_event(self.added, due)
        return None


@attrs.define(eq=False, repr=False)
class HintFollower:
    """Polls running tasks early and binds jobs in doubt to their tasks, as callbacks suggest."""

    _actions: JobActions
    _watcher: Watcher
    _tasks: BackgroundTasks
    #: Reads a task's record within the poll budget, so that many hints cannot use up the polls of running tasks.
    _read_record: Callable[[str, RouteName | None], Awaitable[Record]]
    #: Hints that arrived before the response to their request, or whose record is to be read.
    _claims: dict[LiveJob, _Claims] = attrs.field(factory=dict, init=False)

    def __contains__(self, job: LiveJob) -> bool:
        """Whether a hint for *job* has not been followed to its end."""
        return job in self._claims

    def on_hint(self, job: LiveJob, hint: CallbackHint) -> None:
        """Follow a callback to a URL of *job*."""
        has_other_id = not job.has_record  # an upgrade without a task id: the callback names another one
        match job.state:
            case JobState.SENDING:
                self._claims.setdefault(job, _Claims()).add(hint)
            case JobState.RUNNING if job.task_id == hint.task_id or has_other_id:
                self._watcher.poll_now(job)
            case JobState.IN_DOUBT:
                claims = self._claims.setdefault(job, _Claims())
                claims.add(hint)
                if not claims.is_followed:
                    claims.is_followed = True
                    _ = self._tasks.start(self._verify_all(job, claims), f"verify-hints:{job.key}")
            case _ if job.task_id != hint.task_id and not has_other_id:
                message = "callback for job %s names a second task; the job may have been charged twice"
                self._note_claim(job, hint, "hint-mismatch", message, level=logging.ERROR)

    def has_early_hint(self, job: LiveJob) -> bool:
        """Whether a callback has named a task of the latest attempt of *job*, which is still being sent."""
        return any(hint.token == job.token for hint in self._claims.get(job, ()))

    def sending_ended(self, job: LiveJob) -> None:
        """Follow the hints that arrived while *job* was being sent."""
        for hint in self._claims.pop(job, ()):
            self.on_hint(job, hint)

    async def _verify_all(self, job: LiveJob, claims: _Claims) -> None:
        """Read the records that the hints name, one after the other, until one proves to be the job's."""
        try:
            while (claim := await claims.next()) is not None and job.state is JobState.IN_DOUBT:
                await self._verify(job, claims, claim)
        finally:
            if self._claims.get(job) is claims:
                del self._claims[job]

    async def _verify(self, job: LiveJob, claims: _Claims, claim: _Claim) -> None:
        """Bind *job* if the record proves the hint; forget a refuted hint; otherwise try again later."""
        try:
            problem = await self._verify_once(job, claim.hint)
        except TaskAlreadyBound as bound:
            problem = f"it is the task of the job {bound.key!r}"
        except VeoError as error:
            claim.rejections += isinstance(error, RequestRejected | UsageError)
            if claim.rejections <= len(_VERIFY_DELAYS_S):
                delay_s = _VERIFY_DELAYS_S[min(claim.failures, len(_VERIFY_DELAYS_S) - 1)]
                claim.failures += 1
                claims.put(claim, loop_time() + delay_s)
                return
            problem = str(error)
        claims.forget(claim)
        if problem is not None:
            self._note_claim(job, claim.hint, "hint-unproven", "callback for job %s not accepted: %s", problem)

    async def _verify_once(self, job: LiveJob, hint: CallbackHint) -> str | None:
        """Read the record once; return why it does not prove the hint, or None."""
        record = await self._read_record(hint.task_id, job.route)
        proof = proof_of(job, record, hint.token)
        if job.state is not JobState.IN_DOUBT:
            return None
        if proof not in (Proof.TOKEN, Proof.PROMPT):
            return f"its record does not match ({proof.value})"
        if hint.token != job.token and record.state is TaskState.FAILED:
            return "it belongs to an earlier attempt that failed"  # the latest attempt is as unknown as before
        await self._actions.bind(job, hint.task_id, proof)
        self._watcher.poll_now(job)  # a callback announces the end of a task
        return None

    def _note_claim(
        self, job: LiveJob, hint: CallbackHint, action: str, message: str, *values: str, level: int = logging.WARNING
    ) -> None:
        """Keep a task id that does not belong to *job* as evidence, and log it; only the first few of a flood."""
        if hint.task_id in job.claimed_task_ids or len(job.claimed_task_ids) >= _MAX_CLAIMED:
            return
        job.claimed_task_ids = (*job.claimed_task_ids, hint.task_id)
        logger.log(level, message, job.key, *values, extra={**job.log_extra(action), "task_id": hint.task_id})
