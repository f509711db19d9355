"""How soon a finished clip is detected, times the number of polls: learned polling against a poll every 30 s.

Scheduling can only improve the product: half the latency for twice the polls gains nothing. Both runs are a
`VeoSession` with 300 jobs at 20 per 10 s. Durations are log-normal (80 % of ``veo3`` take 120 to 301 s, 80 % of
``veo3_fast`` 54 to 118 s) and differ from those that the schedule assumes, so learning them is part of the result. A
client that knew the distribution would reach 1.84 and 2.23. Virtual time, no cap on running tasks.

A tight poll budget delays both runs alike, because polls wait in line; that is another question. The goal is therefore
judged at 50 polls per second, where the budget delays neither. The rows for the default of 8 per second, too few for
300 tasks at the same time, have no goal.
"""

import asyncio
from statistics import mean

import attrs
from _common import Distant, Report, in_virtual_time, main

from veo_async._wire import VideoRequest
from veo_async.session import Job, VeoSession
from veo_async.settings import Limits, Network
from veo_async.simulator import MemoryTransport


@attrs.frozen
class Run:
    """Means over the tasks of one batch."""

    latency_s: float
    polls: float

    @property
    def product(self) -> float:
        return self.latency_s * self.polls


async def batch(
    model: str, jobs: int, seed: int, *, polls_per_second: float | None, poll_every: float | None = None
) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    latencies: list[float] = []

    async def watch(job: Job) -> None:
        await job
        latencies.append(sim.now() - sim.tasks[job.task_id or ""].completes_at)

    veo = VeoSession(
        sim.api_key,
        max_in_flight=jobs,
        network=Network(transport=Distant(sim, seed), seed=seed),
        limits=Limits(polls_per_second=polls_per_second, poll_every=poll_every),
    )
    async with veo, asyncio.TaskGroup() as group:
        for number in range(jobs):
            job = await veo.submit(VideoRequest(f"A dog surfing, take {number}", model=model))
            group.create_task(watch(job))
    return Run(mean(latencies), sim.count("record-info") / jobs)


def average(runs: list[Run]) -> Run:
    return Run(mean(run.latency_s for run in runs), mean(run.polls for run in runs))


def compare(report: Report) -> None:
    jobs, seeds = (60, 1) if report.is_quick else (300, 4)

    def runs(model: str, **options: float | None) -> Run:
        return average([in_virtual_time(batch(model, jobs, seed, **options)) for seed in range(seeds)])

    for model, goal in (("veo3", 1.5), ("veo3_fast", 1.85)):
        for polls_per_second in (8.0, 50.0, None):
            learned, fixed = (
                runs(model, polls_per_second=polls_per_second),
                runs(model, polls_per_second=polls_per_second, poll_every=30.0),
            )
            is_goal = polls_per_second == 8.0
            budget = "the default budget" if polls_per_second is None else f"{polls_per_second:g} polls/s"
            label = f"{model}, {budget}"
            report.add(
                f"{label}: times better than every 30 s",
                fixed.product / learned.product,
                at_least=goal if is_goal else None,
                digits=2,
                compared_with="1.00",
                needs_full_size=True,
            )
            report.add(f"{label}: latency, s", learned.latency_s, digits=1, compared_with=f"{fixed.latency_s:.1f}")
            report.add(f"{label}: polls per job", learned.polls, digits=1, compared_with=f"{fixed.polls:.1f}")


if __name__ == "__main__":
    main("Detection latency x polls, against a poll every 30 s", compare)
