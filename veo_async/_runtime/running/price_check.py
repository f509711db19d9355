"""Compares what tasks cost with their prices, as soon as a record says what a task costs.

A difference is announced once per job: an event, a warning and a count. It changes no budget, because the record of a
failed task may show a figure, too. If the session stops on an overcharge, unsent jobs of that model are put on hold:
their outcome is `OnHold`, they stay queued on the ledger for the next session, and jobs of other models are sent.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import attrs

from veo_async._base.numbers import format_number
from veo_async._rules.credits.overcharge import PriceDifference, price_difference
from veo_async._rules.credits.prices import priced_as
from veo_async._rules.lifecycle import JobState
from veo_async._rules.queue.fair_queue import FairQueue
from veo_async._runtime.announcer import Announcer
from veo_async._runtime.job.events import CreditsDiffer
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.job.outcome import OnHold
from veo_async._runtime.job.registry import JobRegistry
from veo_async._runtime.log import logger_for
from veo_async._runtime.transitions import Transitions
from veo_async._wire import Record, TaskState
from veo_async.errors import JobOnHold

logger = logger_for(__name__)


@attrs.frozen(kw_only=True)
class PriceDifferences:
    """Where the provider's figures differ from the price table.

    Attributes:
        jobs: jobs whose task costs more or less than the price table says.
        overcharged: by how many credits the records of the more expensive ones exceed their prices. Failed tasks count,
            too, although their credits may be refunded.
        on_hold: unsent jobs that wait after an overcharge, by model. Extensions and upgrades count as other models:
            ``"extend fast"``, ``"upgrade 1080p"``.
    """

    jobs: int
    overcharged: float
    on_hold: Mapping[str, int]


@attrs.define(eq=False, repr=False)
class PriceCheck:
    """Compares the costs of the tasks of one session with their prices, and holds models that cost more."""

    _queue: FairQueue[LiveJob]
    _announcer: Announcer
    _transitions: Transitions
    _registry: JobRegistry
    #: Called when jobs have left the queue.
    _wake: Callable[[], None]
    #: Whether jobs of a model that costs more than expected are on hold.
    _stop_on_overcharge: bool
    _jobs: int = attrs.field(default=0, init=False)
    _overcharged: float = attrs.field(default=0.0, init=False)
    #: The first overcharge of each model whose jobs are on hold.
    _models_on_hold: dict[str, PriceDifference] = attrs.field(factory=dict, init=False)

    def check(self, job: LiveJob, record: Record) -> None:
        """Note what the task of *job* costs, and announce it if that is not its price."""
        job.credits_consumed = record.credits_consumed
        difference = price_difference(job.price, record.credits_consumed)
        is_refund = record.state is TaskState.FAILED and difference is not None and not difference.is_overcharge
        if difference is not None and not is_refund:
            self._announce(job, difference)

    def statistics(self) -> PriceDifferences:
        """Return the present figures."""
        on_hold = Counter(_model_of(job) for job in self._queue.on_hold)
        counts = {model: on_hold[model] for model in sorted(self._models_on_hold)}
        return PriceDifferences(jobs=self._jobs, overcharged=self._overcharged, on_hold=counts)

    def _announce(self, job: LiveJob, difference: PriceDifference) -> None:
        self._jobs += 1
        message = "the task of job %s costs %s credits according to the provider, and %s in the price table"
        figures = format_number(difference.consumed), format_number(difference.expected)
        logger.warning(message, job.key, *figures, extra=job.log_extra("credits-differ"))
        self._announcer.notify(job, CreditsDiffer(job.key, difference.expected, difference.consumed))
        if difference.is_overcharge:
            self._overcharged += difference.amount
            if self._stop_on_overcharge:
                self._hold(_model_of(job), difference)

    def _hold(self, model: str, difference: PriceDifference) -> None:
        if model in self._models_on_hold:
            return
        self._models_on_hold[model] = difference
        on_hold = self._queue.hold(self._is_to_hold)
        message = "%s costs more than the price table says; unsent jobs of it are on hold until the next session: %d"
        logger.warning(message, model, len(on_hold), extra={"action": "hold", "model": model})
        for job in on_hold:
            self.job_on_hold(job)
        self._announcer.queue_changed()  # callers that wait for room may get none
        self._wake()

    def job_on_hold(self, job: LiveJob) -> None:
        """Set the outcome of *job*, which the queue has put on hold."""
        model = _model_of(job)
        expected, consumed = self._models_on_hold[model].expected, self._models_on_hold[model].consumed
        message = "the provider charges {} credits for {}, and the price table says {}"
        message = message.format(format_number(consumed), model, format_number(expected))
        error = JobOnHold(message, job_key=job.key, model=model, expected=expected, consumed=consumed)
        self._transitions.set_outcome(job, OnHold(job.key, error))

    def hold_jobs_of_others(self) -> None:
        """Set the outcome of queued jobs of other sessions that this session would not send either.

        Otherwise two sessions that run the same list would wait for each other's jobs on hold.
        """
        if not self._models_on_hold:
            return
        for job in list(self._registry.by_key.values()):
            if job.is_remote and job.state is JobState.QUEUED and job.outcome is None:
                self._hold_remote(job)

    def _hold_remote(self, job: LiveJob) -> None:
        source = None if job.follow_up is None else self._registry.by_key.get(job.follow_up.after_key or "")
        if self._is_to_hold(job):
            self.job_on_hold(job)
        elif source is not None and isinstance(source.outcome, OnHold):
            self._transitions.set_outcome(job, attrs.evolve(source.outcome, key=job.key))

    def _is_to_hold(self, job: LiveJob) -> bool:
        return _model_of(job) in self._models_on_hold


def _model_of(job: LiveJob) -> str:
    """Return what *job* buys; an adopted job has no request, no price and no model."""
    return "" if job.request is None else priced_as(job.request)
