"""How soon a finished clip is detected, times the number of polls: learned polling against a poll every 30 s.

Scheduling can only improve the product: half the latency for twice the polls gains nothing. Both runs are a
`VeoSession` with 300 jobs at 20 per 10 s. Durations are log-normal (80 % of ``veo3`` take 120 to 301 s, 80 % of
``veo3_fast`` 54 to 118 s) and differ from those that the schedule assumes, so learning them is part of the result. A
schedule that knew the distribution would reach 1.84 and 2.23.

The competent client (`_competent.py`) shows what two well-chosen constants reach: a first poll after 120 s and then
every 10 s for ``veo3``, after 54 s and every 5 s for ``veo3_fast``. It knows the distribution, and no poll budget
delays its polls, so it has no goal. Virtual time, no cap on running tasks; once with 8 polls per second, and once with
the default budget, which adapts.
"""

from statistics import mean
from typing import Any

import attrs
from _common import Distant, Report, in_virtual_time, main, through
from _competent import Client

from veo_async import Done
from veo_async._wire import VideoRequest
from veo_async.session import VeoSession
from veo_async.settings import Limits, Network
from veo_async.simulator import MemoryTransport

#: When the competent client polls: first, and then how often, in seconds.
CONSTANTS = {"veo3": (120.0, 10.0), "veo3_fast": (54.0, 5.0)}
#: Times better than every 30 s at 8 polls per second, and the mean latency at the default budget.
GOALS = {"veo3": (1.5, 5.5), "veo3_fast": (1.85, 3.5)}
MAX_POLLS = 15


@attrs.frozen
class Run:
    """Means over the tasks of one batch."""

    latency_s: float
    polls: float

    @property
    def product(self) -> float:
        return self.latency_s * self.polls


async def learned(
    model: str, jobs: int, seed: int, *, polls_per_second: float | None, poll_every: float | None = None
) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    veo = VeoSession(
        sim.api_key,
        max_in_flight=jobs,
        network=Network(transport=Distant(sim, seed), seed=seed),
        limits=Limits(polls_per_second=polls_per_second, poll_every=poll_every),
    )
    latencies: list[float] = []
    async with veo:
        async for outcome in veo.map(VideoRequest(f"A dog surfing, take {n}", model=model) for n in range(jobs)):
            assert isinstance(outcome, Done)
            latencies.append(sim.now() - sim.tasks[outcome.clip.task_id].completes_at)
    return Run(mean(latencies), sim.count("record-info") / jobs)


async def constants(model: str, jobs: int, seed: int) -> Run:
    sim = MemoryTransport(seed=seed, max_running=10**6)
    latencies: list[float] = []

    def note(path: str, response: Any) -> None:
        if path.startswith("/api/v1/veo/record-info") and response["data"]["successFlag"]:
            latencies.append(sim.now() - sim.tasks[response["data"]["taskId"]].completes_at)

    first_s, every_s = CONSTANTS[model]
    send = through(Distant(sim, seed), sim.api_key, on_response=note)
    client = Client(send, limit=(20, 10.2), max_running=jobs, first_s=first_s, every_s=every_s)
    await client.run((f"A dog surfing, take {number}" for number in range(jobs)), model)
    return Run(mean(latencies), sim.count("record-info") / jobs)


def average(runs: list[Run]) -> Run:
    return Run(mean(run.latency_s for run in runs), mean(run.polls for run in runs))


def compare(report: Report) -> None:
    jobs, seeds = (60, 1) if report.is_quick else (300, 4)
    for model, (times_better, max_latency_s) in GOALS.items():
        opponent = average([in_virtual_time(constants(model, jobs, seed)) for seed in range(seeds)])
        for polls_per_second in (8.0, None):
            ours, fixed = (
                average(
                    [
                        in_virtual_time(
                            learned(model, jobs, seed, polls_per_second=polls_per_second, poll_every=poll_every)
                        )
                        for seed in range(seeds)
                    ]
                )
                for poll_every in (None, 30.0)
            )
            is_default = polls_per_second is None
            label = f"{model}, {'the default budget' if is_default else '8 polls/s'}"
            report.add(
                f"{label}: times better than every 30 s",
                fixed.product / ours.product,
                at_least=None if is_default else times_better,
                digits=2,
                compared_with=f"{fixed.product / opponent.product:.2f} competent, 1.00 every 30 s",
                slack=1.5,
            )
            for text, name, goal in (("latency, s", "latency_s", max_latency_s), ("polls per job", "polls", MAX_POLLS)):
                other, third = getattr(opponent, name), getattr(fixed, name)
                report.add(
                    f"{label}: {text}",
                    getattr(ours, name),
                    at_most=goal if is_default else None,
                    digits=1,
                    compared_with=f"{other:.1f} competent, {third:.1f} every 30 s",
                    slack=1.5,
                )


if __name__ == "__main__":
    main("Detection latency x polls, against a poll every 30 s", compare)
