"""Hints: what a callback says about a job, followed by reading the task's record.

A hint is a (callback token, task id) pair. Anyone can send one, so nothing in it is believed: it only says which record
to read. The record, read with our own key, is the proof.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, repeat

import attrs

from veo_async._ports import CallbackHint, TaskAlreadyBound
from veo_async._rules.doubt import Proof
from veo_async._rules.lifecycle import JobState
from veo_async._runtime.background import BackgroundTasks
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async._runtime.running.watcher import Watcher
from veo_async._wire import Record, TaskState, UpgradeRequest
from veo_async.errors import RequestRejected, UsageError, VeoError

from .actions import JobActions, proof_of

logger = logger_for(__name__)

#: Delays between reads of a record that may prove a hint. A finished task has a record, so it is at most late.
_VERIFY_DELAYS_S = (2.0, 5.0, 15.0, 60.0)


@attrs.define(eq=False, repr=False)
class HintFollower:
    """Polls running tasks early and binds jobs in doubt to their tasks, as callbacks suggest."""

    _actions: JobActions
    _watcher: Watcher
    _tasks: BackgroundTasks
    #: Reads a task's record within the poll budget, so that many hints cannot use up the polls of running tasks.
    _read_record: Callable[[str], Awaitable[Record]]
    #: Hints that arrived before the response to their request.
    _early: dict[LiveJob, list[CallbackHint]] = attrs.field(factory=dict, init=False)
    #: Hints whose record is being read.
    _verifying: set[CallbackHint] = attrs.field(factory=set, init=False)

    def __contains__(self, job: LiveJob) -> bool:
        """Whether a hint for *job* has not been followed to its end."""
        return job in self._early or any(hint.key == job.key for hint in self._verifying)

    def on_hint(self, job: LiveJob, hint: CallbackHint) -> None:
        """Follow a callback to a URL of *job*."""
        is_upgrade = isinstance(job.request, UpgradeRequest)
        match job.state:
            case JobState.SENDING:
                early = self._early.setdefault(job, [])
                if hint not in early:
                    early.append(hint)
            case JobState.RUNNING if job.task_id == hint.task_id or is_upgrade:
                self._watcher.poll_now(job)
            case JobState.IN_DOUBT:
                _ = self._tasks.start(self._verify(job, hint), f"verify-hint:{job.key}")
            case _ if job.task_id != hint.task_id and not is_upgrade:
                message = "callback for job %s names a second task; the job may have been charged twice"
                extra = {**job.log_extra("hint-mismatch"), "task_id": hint.task_id}
                logger.error(message, job.key, extra=extra)

    def sending_ended(self, job: LiveJob) -> None:
        """Follow the hints that arrived while *job* was being sent."""
        for hint in self._early.pop(job, ()):
            self.on_hint(job, hint)

    async def _verify(self, job: LiveJob, hint: CallbackHint) -> None:
        """Verify *hint*, unless that is already happening."""
        if hint in self._verifying:
            return
        self._verifying.add(hint)
        try:
            problem = await self._verify_with_retries(job, hint)
        finally:
            self._verifying.discard(hint)
        if problem is not None:
            job.claimed_task_ids = (*(item for item in job.claimed_task_ids if item != hint.task_id), hint.task_id)
            extra = {**job.log_extra("hint-unproven"), "task_id": hint.task_id}
            logger.warning("callback for job %s not accepted: %s", job.key, problem, extra=extra)

    async def _verify_with_retries(self, job: LiveJob, hint: CallbackHint) -> str | None:
        """Bind *job* if the record proves the hint; return the reason if it does not, or None.

        A missing record may only be late, so it is read a few times. A failed read (no network, a broken provider)
        refutes nothing: it is repeated as long as the job is in doubt.
        """
        rejected = 0
        for delay_s in chain((0.0, *_VERIFY_DELAYS_S), repeat(_VERIFY_DELAYS_S[-1])):
            await asyncio.sleep(delay_s)
            if job.state is not JobState.IN_DOUBT:
                break
            try:
                return await self._verify_once(job, hint)
            except TaskAlreadyBound as bound:
                return f"it is the task of the job {bound.key!r}"
            except VeoError as error:
                rejected += isinstance(error, RequestRejected | UsageError)
                if rejected > len(_VERIFY_DELAYS_S):
                    return str(error)
        return None

    async def _verify_once(self, job: LiveJob, hint: CallbackHint) -> str | None:
        """Read the record once; return why it does not prove the hint, or None."""
        record = await self._read_record(hint.task_id)
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
