"""The watcher under every order of events: it forgets no task and never polls a task twice at the same time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import looptime
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.internals import is_watcher_at_rest, places_in
from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.durations import TaskClass
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._rules.polling.poll_result import Succeeded, Unsuccessful
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.running.watcher import Watcher
from veo_async._wire import Record
from veo_async.errors import RateLimited, ResponseLost, VeoError

CLASS = TaskClass("kie", "veo3_fast", "720p")
DONE = Record(flag=1, urls=("https://a.invalid/1.mp4",))
RESULTS: dict[str, Record | VeoError] = {
    "runs": Record(flag=0),
    "done": DONE,
    "failed": Record(flag=3),
    "empty": Record(flag=1),
    "unknown": Record(flag=7),
    "lost": ResponseLost("lost"),
    "limited": RateLimited("429"),
}


class WatcherMachine(RuleBasedStateMachine):
    """Watch, hint, forget, return results and let time pass, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop(start=0.0)
        self.polls_in_flight: dict[str, asyncio.Future[Record]] = {}
        self.ended: list[str] = []
        self.forgotten: set[str] = set()
        self.jobs: dict[str, LiveJob] = {}
        budget = PollBudget(2.0, 2.0)
        self.watcher = Watcher(
            self.poll,
            self.on_end,
            PollQueue(budget, every_s=5.0),
            budget,
            on_unexpected=lambda job, error: pytest.fail(f"{job.key}: {error!r}"),
            on_client_closed=lambda error: pytest.fail(repr(error)),
            workers=3,
        )
        self.running = self.do(self.start())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def start(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self.watcher.run())
        await asyncio.sleep(0)
        return task

    async def poll(self, job: LiveJob) -> Record:
        task_id = job.key
        assert task_id not in self.polls_in_flight, "polled twice at the same time"
        assert task_id not in self.ended, "polled after its end"
        self.polls_in_flight[task_id] = self.loop.create_future()
        try:
            return await self.polls_in_flight[task_id]
        finally:
            del self.polls_in_flight[task_id]

    async def on_end(self, job: LiveJob, end: Succeeded | Unsuccessful) -> None:
        assert job.key not in self.ended, "ended twice"
        assert job.key not in self.forgotten, "ended after it was forgotten"
        self.ended.append(job.key)
        await asyncio.sleep(1.0)  # hints, `forget` and cancellations may come in the meantime

    def watched(self) -> list[str]:
        return [key for key in self.jobs if key not in self.ended and key not in self.forgotten]

    @rule(age=st.sampled_from([0.0, 3.0, 600.0]))
    def watch(self, age: float) -> None:
        async def watch() -> None:
            key = f"t{len(self.jobs)}"
            job = self.jobs[key] = LiveJob(key, None, state=JobState.RUNNING, task_id=key)
            self.watcher.watch(job, CLASS, age_s=age)
            await asyncio.sleep(0)

        self.do(watch())

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def hint(self, data: st.DataObject) -> None:
        async def hint() -> None:
            self.watcher.poll_now(self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))])
            await asyncio.sleep(0)

        self.do(hint())

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        async def forget() -> None:
            key = data.draw(st.sampled_from(sorted(self.jobs)))
            self.watcher.forget(self.jobs[key])
            self.watcher.forget(self.jobs[key])
            if key not in self.ended:
                self.forgotten.add(key)
            await asyncio.sleep(0)

        self.do(forget())

    @precondition(lambda self: self.polls_in_flight)
    @rule(data=st.data(), result=st.sampled_from(sorted(RESULTS)))
    def finish_poll(self, data: st.DataObject, result: str) -> None:
        self.do(self.give(data.draw(st.sampled_from(sorted(self.polls_in_flight))), RESULTS[result]))

    async def give(self, key: str, result: Record | VeoError) -> None:
        future = self.polls_in_flight[key]
        if isinstance(result, VeoError):
            future.set_exception(result)
        else:
            future.set_result(result)
        for _ in range(4):
            await asyncio.sleep(0)

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 5.0, 61.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule()
    def cancel_and_run_again(self) -> None:
        async def again() -> asyncio.Task[None]:
            # In the order of their names: a TaskGroup would cancel its children in the order of a set, which varies.
            for task in sorted(asyncio.all_tasks(), key=asyncio.Task.get_name):
                if task.get_name().startswith("veo.watcher:"):
                    task.cancel()
            self.running.cancel()
            await asyncio.wait([self.running])
            assert not self.polls_in_flight
            return await self.start()

        self.running = self.do(again())

    @invariant()
    def every_task_has_a_place(self) -> None:
        """Each watched task has a worker, a place in the queue or a requested poll, and idle workers have a timer."""
        assert self.watcher.statistics.tasks == len(self.watched())
        places = places_in(self.watcher)
        assert len(places.polled) <= 3
        assert set(self.watched()) <= places.planned | places.polled
        if places.planned and places.idle_workers:
            assert places.has_timer or places.woken_workers, "no worker will wake up"

    def teardown(self) -> None:
        """Once all polls succeed, every watched task ends."""

        async def finish_all() -> None:
            for _ in range(2000):
                if not self.watched():
                    return
                for key in list(self.polls_in_flight):
                    await self.give(key, DONE)
                await asyncio.sleep(1.0)
            raise AssertionError(f"forgotten: {self.watched()}")

        async def stop() -> None:
            self.running.cancel()
            await asyncio.wait([self.running])

        self.do(finish_all())
        self.do(stop())
        assert is_watcher_at_rest(self.watcher)
        self.loop.close()


# A step runs a whole event loop; on a busy machine Hypothesis would mistake that for slow data generation.
WatcherMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestWatcher = WatcherMachine.TestCase
