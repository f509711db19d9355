"""The watcher under every order of events: it forgets nobody and looks at nobody twice at once."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import looptime
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from veo_async._rules.lifecycle import JobState
from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.polling.poll_result import Succeeded, Unsuccessful
from veo_async._rules.polling.schedule import FixedSchedule, TaskClass
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.running.watcher import Watcher
from veo_async._wire import Record
from veo_async.errors import RateLimited, ResponseLost, VeoError

CLASS = TaskClass("kie", "veo3_fast", "720p")
DONE = Record(flag=1, urls=("https://a.invalid/1.mp4",))
ANSWERS: dict[str, Record | VeoError] = {
    "runs": Record(flag=0),
    "done": DONE,
    "failed": Record(flag=3),
    "empty": Record(flag=1),
    "unknown": Record(flag=7),
    "lost": ResponseLost("no answer"),
    "limited": RateLimited("429"),
}


class WatcherMachine(RuleBasedStateMachine):
    """Watch, hint, forget, answer and let time pass, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop(start=0.0)
        self.under_way: dict[str, asyncio.Future[Record]] = {}
        self.ended: list[str] = []
        self.forgotten: set[str] = set()
        self.entries: dict[str, LiveJob] = {}
        self.watcher = Watcher(
            self.look,
            self.on_end,
            schedule=FixedSchedule(5.0, random.Random(1)),
            budget=PollBudget(rate=2.0),
            workers=3,
        )
        self.running = self.do(self.start())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def start(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self.watcher.run())
        await asyncio.sleep(0)
        return task

    async def look(self, task_id: str) -> Record:
        assert task_id not in self.under_way, "looked at twice at once"
        assert task_id not in self.ended, "looked at after its end"
        self.under_way[task_id] = self.loop.create_future()
        try:
            return await self.under_way[task_id]
        finally:
            del self.under_way[task_id]

    async def on_end(self, entry: LiveJob, end: Succeeded | Unsuccessful) -> None:
        assert entry.key not in self.ended, "ended twice"
        assert entry.key not in self.forgotten, "ended although nobody wants to know"
        self.ended.append(entry.key)
        await asyncio.sleep(1.0)  # hints, `forget` and cancellations may come meanwhile

    def watched(self) -> list[str]:
        return [key for key in self.entries if key not in self.ended and key not in self.forgotten]

    @rule(age=st.sampled_from([0.0, 3.0, 600.0]))
    def watch(self, age: float) -> None:
        async def watch() -> None:
            key = f"t{len(self.entries)}"
            entry = self.entries[key] = LiveJob(key, None, state=JobState.RUNNING, task_id=key)
            self.watcher.watch(entry, CLASS, age_s=age)
            await asyncio.sleep(0)

        self.do(watch())

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def hint(self, data: st.DataObject) -> None:
        async def hint() -> None:
            self.watcher.poll_now(self.entries[data.draw(st.sampled_from(sorted(self.entries)))])
            await asyncio.sleep(0)

        self.do(hint())

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        async def forget() -> None:
            key = data.draw(st.sampled_from(sorted(self.entries)))
            self.watcher.forget(self.entries[key])
            self.watcher.forget(self.entries[key])
            if key not in self.ended:
                self.forgotten.add(key)
            await asyncio.sleep(0)

        self.do(forget())

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), answer=st.sampled_from(sorted(ANSWERS)))
    def answer(self, data: st.DataObject, answer: str) -> None:
        self.do(self.give(data.draw(st.sampled_from(sorted(self.under_way))), ANSWERS[answer]))

    async def give(self, key: str, answer: Record | VeoError) -> None:
        future = self.under_way[key]
        if isinstance(answer, VeoError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        for _ in range(4):
            await asyncio.sleep(0)

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 5.0, 61.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @rule()
    def cut_off_and_run_again(self) -> None:
        async def again() -> asyncio.Task[None]:
            # One by one, for a TaskGroup cancels its children in the order of a set: another one in each run.
            for task in sorted(asyncio.all_tasks(), key=asyncio.Task.get_name):
                if task.get_name().startswith("veo.watcher:"):
                    task.cancel()
            self.running.cancel()
            await asyncio.wait([self.running])
            assert not self.under_way
            return await self.start()

        self.running = self.do(again())

    @invariant()
    def everybody_has_a_place(self) -> None:
        """Each that is watched is in a worker's hands or in the heap; whoever is due has a worker or a timer."""
        assert self.watcher.statistics.tasks == len(self.watched())
        placed = {
            entry.key
            for _, number, entry in self.watcher._heap
            if entry in self.watcher._watched and self.watcher._watched[entry].number == number
        }
        taken = {entry.key for entry, watched in self.watcher._watched.items() if watched.is_being_polled}
        assert len(taken) <= 3
        assert set(self.watched()) <= placed | taken
        idle = [waiter for waiter in self.watcher._idle if not waiter.done()]
        if placed and idle:
            timer = self.watcher._timer
            assert timer is not None or len(idle) < len(self.watcher._idle), "nobody will wake up"

    def teardown(self) -> None:
        """Given answers, everybody who is still watched comes to an end."""

        async def to_the_end() -> None:
            for _ in range(2000):
                if not self.watched():
                    return
                for key in list(self.under_way):
                    await self.give(key, DONE)
                await asyncio.sleep(1.0)
            raise AssertionError(f"forgotten: {self.watched()}")

        async def stop() -> None:
            self.running.cancel()
            await asyncio.wait([self.running])

        self.do(to_the_end())
        self.do(stop())
        assert self.watcher._timer is None
        self.loop.close()


# A step runs a whole event loop, and on a busy machine the check for slow drawing takes that for slow drawing.
WatcherMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestWatcher = WatcherMachine.TestCase
