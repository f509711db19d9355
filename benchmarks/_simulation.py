"""A batch of jobs in a hostile world, all of it drawn by one seed: network, provider, ledger, callbacks, and death.

Time is virtual. A *life* is one session from its opening to its end; most end by being killed: its book is dead, its
connections are gone (what had left arrives all the same), and every task of its is cancelled, with nothing within
reach that could do any harm or good. Lives follow each other, and sometimes two share the ledger, until the storm is
over; the last of them must bring everything to its end.

Two kinds of promises are looked after, apart from each other. *Safety*, whatever happens: what must never be.
*Liveness*, once the faults have stopped: what must come to be, in bounded time. What is broken is told in sentences.
"""

import asyncio
import contextvars
import hashlib
import json
import traceback
import warnings
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any
from weakref import WeakSet

import attrs
from _common import in_virtual_time
from _flaky import Fate, FlakyLedger

from veo_async._ports import HttpRequest, JobRow
from veo_async._rules.lifecycle import TABLE, Event, JobState
from veo_async._runtime.job.handle import Job
from veo_async._runtime.job.outcome import Done
from veo_async._runtime.sending.sender import GRANT_TTL_S
from veo_async._wire import HttpResponse
from veo_async.errors import ClientClosed, LedgerError, VeoError
from veo_async.ledger.memory import MemoryLedger
from veo_async.session import VeoSession
from veo_async.simulator import (
    CallbackRequest,
    Fault,
    MemoryTransport,
    delay,
    drop_after_accepting,
    drop_before_accepting,
    duplicate_callback,
    html_page,
    late_callback,
    lost_callback,
    rate_limited,
    refuse,
    reset_connection,
    truncate,
    unreachable,
)

WALL = 1.75e9
PUBLIC = "https://receiver.example"
#: Once nothing goes wrong any more, everything has ended so many seconds later.
BOUND_S = 3600.0
_OVER = ("ready", "refused", "failed", "expired", "abandoned")
_AT_REST = (*_OVER, "in_doubt")

_LIFE: contextvars.ContextVar["Life | None"] = contextvars.ContextVar("life", default=None)


@attrs.frozen(kw_only=True)
class Weather:
    """What kind of world a seed makes."""

    limit: int
    window_s: float
    duration_s: float
    max_in_flight: int
    poll_every: float | None
    has_callbacks: bool
    on_doubt: Any
    #: Somebody takes jobs in hand, and somebody forges callbacks.
    has_people: bool
    #: Sessions on the ledger at once.
    lives: int
    #: Lives that end before their time, at most.
    deaths: int
    storm_s: float
    #: How often a call of the network, a callback or a call of the ledger goes wrong.
    network: float
    callbacks: float
    ledger: float
    #: How often a session dies within a call of the ledger.
    dying: float


def draw_weather(rng: Random, jobs: int) -> Weather:
    limit, window_s = rng.choice([(20, 10.0), (20, 5.0), (50, 10.0), (5, 1.0)])
    has_callbacks = rng.random() < 0.7
    return Weather(
        limit=limit,
        window_s=window_s,
        duration_s=rng.uniform(3.0, 40.0),
        max_in_flight=rng.choice([jobs, 100, 30]),
        poll_every=rng.choice([None, 5.0, 10.0]),
        has_callbacks=has_callbacks,
        # With callbacks a doubt waits for one, and longer than a storm lasts.
        on_doubt="resubmit" if not has_callbacks and rng.random() < 0.3 else "hold",
        has_people=rng.random() < 0.4,
        lives=rng.choice([1, 1, 2]),
        deaths=rng.randrange(12),
        storm_s=jobs / limit * window_s * rng.uniform(0.5, 1.5),
        network=rng.choice([0.0, 0.01, 0.03]),
        callbacks=rng.choice([0.0, 0.05, 0.2]),
        ledger=rng.choice([0.0, 0.003, 0.03]),
        dying=rng.choice([0.001, 0.004, 0.02]),
    )


class World:
    """Everything that outlives a session."""

    def __init__(self, seed: int, jobs: int) -> None:
        self.rng = Random(seed)
        self.weather = weather = draw_weather(self.rng, jobs)
        self.jobs = {f"job-{number}": f"Dog {number} rides a wave" for number in range(jobs)}
        self.keys = {prompt: key for key, prompt in self.jobs.items()}
        self.is_stormy = True
        self.ledger = MemoryLedger(self.rng.randbytes(32))
        self.is_ledger_gone = False
        self.sim = MemoryTransport(
            seed=seed,
            start_at=WALL,
            rate=(weather.limit, weather.window_s),
            max_running=None,
            duration_s=weather.duration_s,
            failure_rate=0.02,
            refusal_rate=0.02,
            faults=self._faults(),
        )
        self.lives: list[Life] = []
        self.deaths_left = weather.deaths
        #: Tasks whose id came to a session that lived: by task, the life.
        self.answered: dict[str, Life] = {}
        #: Tasks whose callback was received and written down.
        self.told: set[str] = set()
        #: Keys whose `submit` has returned.
        self.acknowledged: set[str] = set()
        #: What was found that must never be, and what never came to be.
        self.broken: list[str] = []
        self.stuck: list[str] = []
        self._context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._dead: WeakSet[asyncio.Task[Any]] = WeakSet()

    # --- what goes wrong ----------------------------------------------------------------------------------------

    def _faults(self) -> list[Fault]:
        share = self.weather.network
        here: Any = {"on": _While(self), "probability": share}
        reads: Any = {**here, "endpoint": "record-info"}
        posts: Any = {"on": _While(self), "probability": self.weather.callbacks}
        return [
            drop_after_accepting(**here),
            drop_before_accepting(**here),
            rate_limited(**here),
            rate_limited(form="body", retry_after=5, **here),
            refuse(500, **here),
            refuse(455, **{**here, "probability": share / 20}),
            html_page(502, **here),
            truncate(**here),
            reset_connection(**here),
            unreachable(**here),
            delay(90.0, **here),
            delay(200.0, **{**here, "probability": share / 3}),
            drop_after_accepting(**reads),
            rate_limited(**reads),
            html_page(502, **reads),
            truncate(**reads),
            delay(20.0, **reads),
            unreachable(**reads),
            lost_callback(**posts),
            duplicate_callback(**posts),
            late_callback(100.0, **posts),
        ]

    async def spells(self) -> None:
        """Times when all of the network, or all of the ledger, is gone."""
        rng = self.rng
        while self.is_stormy:
            await asyncio.sleep(rng.uniform(5.0, 60.0))
            which = rng.random()
            if self.is_stormy and which < 0.3:
                self.sim.is_offline = True
            elif self.is_stormy and which < 0.6 and self.weather.ledger:
                self.is_ledger_gone = True
            await asyncio.sleep(rng.choice([0.1, 1.0, 5.0, 30.0, 100.0, 200.0]))
            self.sim.is_offline = self.is_ledger_gone = False

    def fate(self, *, is_write: bool, may_die: bool) -> tuple[float, Fate]:
        """What becomes of one call of the ledger."""
        if not self.is_stormy:
            return 0.0, Fate.WELL
        chance, share = self.rng.random(), self.weather.ledger
        wait_s = 0.0 if chance < 0.7 else (chance - 0.7) / 3
        if self.is_ledger_gone:
            return wait_s, Fate.REFUSED
        chance = self.rng.random()
        if chance < share:
            return wait_s, Fate.REFUSED
        if chance < 1.5 * share and is_write:
            return wait_s, Fate.UNSURE
        if may_die and self.deaths_left and self.rng.random() < self.weather.dying:
            return wait_s, self.rng.choice([Fate.DIES_BEFORE, Fate.DIES_AFTER])
        return wait_s, Fate.WELL

    # --- what lives ---------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run *work* outside of all lives."""
        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it has it, if there is anybody left

    @property
    def alive(self) -> list["Life"]:
        return [life for life in self.lives if not life.is_over]

    async def receive(self) -> None:
        """A receiver of callbacks: it outlives all sessions, and is asked again what it could not write down."""
        book = await FlakyLedger(self.ledger, _Receiver(self)).inner.open(None)
        waiting: list[CallbackRequest] = []
        while True:
            await asyncio.sleep(1.0)
            waiting += self.sim.due_callbacks()
            for post in [*waiting]:
                if await self._write_down(book, post):
                    waiting.remove(post)

    async def _write_down(self, book: Any, post: CallbackRequest) -> bool:
        token = post.url.rpartition("/")[2]
        living = [life for life in self.alive if life.veo is not None]
        _, fate = self.fate(is_write=False, may_die=False)
        if fate is not Fate.WELL:
            return False
        if living and self.rng.random() < 0.5:
            is_known = await self.rng.choice(living).asked(lambda veo: veo.hint(token, post.task_id))
        else:
            is_known = await book.add_hint(token, post.task_id, WALL + _now())
        if is_known is None:
            return False
        if not is_known:
            self.broken.append(f"no attempt has the token to which task {post.task_id} was told")
        self.told.add(post.task_id)
        return True

    async def meddle(self) -> None:
        """A person who takes doubts in hand, changes their mind, and errs; and somebody who forges callbacks."""
        rng = self.rng
        while self.is_stormy:
            await asyncio.sleep(rng.uniform(1.0, 15.0))
            living = [life for life in self.alive if life.veo is not None and life.veo.jobs()]
            tasks = [*self.sim.tasks]
            if not (self.is_stormy and living and tasks):
                continue
            life = rng.choice(living)
            assert life.veo is not None
            in_doubt = life.veo.jobs(JobState.IN_DOUBT)
            job = rng.choice(in_doubt if in_doubt and rng.random() < 0.7 else life.veo.jobs())
            task_id = rng.choice((*self._made_for(job.key), rng.choice(tasks)))
            token = self.ledger.jobs[job.key].token
            match rng.randrange(5):
                case 0 if rng.random() < 0.2:
                    await life.asked(lambda _, job=job: job.abandon())
                case 1 if rng.random() < 0.3:
                    await life.asked(lambda _, job=job: job.resubmit())
                case 2:
                    await life.asked(lambda _, job=job, task_id=task_id: job.resolve(task_id))
                case _ if token is not None:
                    await life.asked(lambda veo, token=token, task_id=task_id: veo.hint(token, task_id))

    def _made_for(self, key: str) -> list[str]:
        return [charge.task_id for charge in self.sim.charges if charge.body["prompt"] == self.jobs[key]]

    # --- the story ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._make_task)
        loop.set_exception_handler(self._complain)
        background = [self.spawn(self.receive()), self.spawn(self.spells())]
        if self.weather.has_people:
            background.append(self.spawn(self.meddle()))
        await self._storm()
        self.is_stormy = False
        self.sim.is_offline = self.is_ledger_gone = False
        if not self.alive or self.rng.random() < 0.5:
            for life in self.alive:
                await life.kill()
            self._begin()
        await self._calm()
        self.broken += self.unsafe()
        for life in self.alive:
            await life.close()
        self.broken += self.unsafe()
        for task in background:
            task.cancel()
        await asyncio.wait(background)

    async def _storm(self) -> None:
        rng, weather = self.rng, self.weather
        until = _now() + weather.storm_s
        while _now() < until:
            while len(self.alive) < weather.lives:
                self._begin()
            await asyncio.sleep(rng.uniform(0.5, 20.0))
            if self.deaths_left and self.alive and rng.random() < 0.5:
                self.deaths_left -= 1
                life = rng.choice(self.alive)
                await (life.kill() if rng.random() < 0.8 else life.close())

    def _begin(self) -> None:
        life = Life(self, number=len(self.lives))
        self.lives.append(life)
        life.begin()

    async def _calm(self) -> None:
        """Nothing goes wrong any more: wait until all has ended, and a little for it to be told."""
        until = _now() + BOUND_S
        while _now() < until and self.unfinished():  # noqa: ASYNC110  # the promise is about the ledger, not an event
            await asyncio.sleep(1.0)
        self.stuck += self.unfinished()
        await asyncio.sleep(5.0)
        for life in self.alive:
            self.stuck += life.untold()

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        context = options.get("context")
        life = _LIFE.get() if context is None else context.get(_LIFE)
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        if life is not None:
            life.admit(task)
        return task

    def _complain(self, _: Any, told: dict[str, Any]) -> None:
        task = told.get("task") or told.get("future")
        if not (isinstance(task, asyncio.Task) and task in self._dead):
            self.broken.append(f"asyncio complains: {told.get('message')} {told.get('exception')!r}")

    def bury(self, task: "asyncio.Task[Any]") -> None:
        self._dead.add(task)

    def missing(self) -> list[str]:
        """Jobs that nobody has had acknowledged."""
        return [key for key in self.jobs if key not in self.acknowledged]

    # --- liveness -----------------------------------------------------------------------------------------------

    def unfinished(self) -> list[str]:
        """What has still to come to its end."""
        rows = self.ledger.jobs
        found = [f"{key} was never written down" for key in self.jobs if key not in rows]
        found += [f"{row.key} is still {row.state}" for row in rows.values() if row.state not in _AT_REST]
        if found:
            return found
        paid = self._paid()
        in_doubt = [key for key, row in rows.items() if row.state == JobState.IN_DOUBT]
        return [
            f"{key} is in doubt though the callback of its task has come"
            for key in in_doubt
            if not self.told.isdisjoint(paid[key])
        ]

    # --- safety -------------------------------------------------------------------------------------------------

    def unsafe(self) -> list[str]:
        """What must never have come to be."""
        return [
            *self._paid_twice(),
            *self._lost(),
            *self._foreign(),
            *self._off_the_table(),
            *self._without_evidence(),
            *self._crowded(),
        ]

    def _paid(self) -> dict[str, list[str]]:
        paid: dict[str, list[str]] = defaultdict(list)
        for charge in self.sim.charges:
            if charge.refunded_at is None:
                paid[self.keys[charge.body["prompt"]]].append(charge.task_id)
        return paid

    def _paid_twice(self) -> Iterator[str]:
        wanted = Counter(step.key for _, step in self.ledger.timeline if step.event == Event.RESUBMIT)
        for key, tasks in self._paid().items():
            if len(tasks) > 1 + wanted[key]:
                yield f"{key} was paid {len(tasks)} times: {', '.join(tasks)}"

    def _lost(self) -> Iterator[str]:
        known = {row.task_id for row in self.ledger.jobs.values()}
        known |= {step.changes.get("task_id") for _, step in self.ledger.timeline}  # type: ignore[arg-type]  # plain values
        for task_id, life in self.answered.items():
            if task_id not in known and not life.may_forget:
                yield f"the id of task {task_id} was answered and is on no ledger"
        for key in self.acknowledged:
            if key not in self.ledger.jobs:
                yield f"{key} was acknowledged and is on no ledger"

    def _foreign(self) -> Iterator[str]:
        holders = Counter(row.task_id for row in self.ledger.jobs.values() if row.task_id is not None)
        for row in self.ledger.jobs.values():
            if row.task_id is None:
                continue
            made_of = self.keys[self.sim.tasks[row.task_id].request.prompt]
            if made_of != row.key or holders[row.task_id] > 1:
                yield f"{row.key} has the task {row.task_id}, which was made for {made_of}"

    def _off_the_table(self) -> Iterator[str]:
        states: dict[str, str] = {}
        for _, step in self.ledger.timeline:
            at = states.get(step.key, "")
            if step.before != at:
                yield f"{step.key} was {at} and was moved from {step.before}"
            if step.event == "submit":
                is_right = step.after == JobState.QUEUED and at in ("", "refused", "failed")
            else:
                is_right = TABLE[JobState(step.before)].get(Event(step.event)) == step.after
            if not is_right:
                yield f"{step.key}: {step.event} led from {step.before!r} to {step.after}"
            states[step.key] = str(step.after)
        for key, row in self.ledger.jobs.items():
            if row.state != states.get(key):
                yield f"{key} is {row.state} and its timeline ends with {states.get(key)}"

    def _without_evidence(self) -> Iterator[str]:
        reasons = {step.key: step.evidence for _, step in self.ledger.timeline if step.after == JobState.IN_DOUBT}
        for row in self.ledger.jobs.values():
            if row.state == JobState.IN_DOUBT and not (row.token and row.sent_at and reasons.get(row.key)):
                yield f"{row.key} is in doubt without evidence"

    def _crowded(self) -> Iterator[str]:
        """More calls in a window than the limit and one probe.

        A permit may be used up to `GRANT_TTL_S` after it was given, so windows are taken for so much shorter.
        """
        came = sorted(seen.at for seen in self.sim.requests_to() if seen.fault != "unreachable")
        span_s = self.weather.window_s - GRANT_TTL_S
        for number, at in enumerate(came):
            inside = bisect_left(came, at + span_s) - number
            if inside > self.weather.limit + 1:
                yield f"{inside} requests came within {span_s} s from {at - WALL:.3f}"
                return

    def digest(self) -> str:
        """The same for the same story."""
        told = [(step.key, step.event, round(step.at, 6)) for _, step in self.ledger.timeline]
        return hashlib.sha256(json.dumps([told, [charge.task_id for charge in self.sim.charges]]).encode()).hexdigest()


class Life:
    """One session, from its opening to its end."""

    def __init__(self, world: World, *, number: int) -> None:
        self._world, self._number = world, number
        self.ledger = FlakyLedger(world.ledger, self)
        self.veo: VeoSession | None = None
        self.is_over = False
        self.is_dead = False
        #: It ended while it could not write.
        self.may_forget = False
        self._ending = asyncio.Event()
        self._is_ending = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waiters: dict[str, asyncio.Task[None]] = {}
        self._main: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._context = contextvars.copy_context()
        self._context.run(_LIFE.set, self)
        self._main = asyncio.get_running_loop().create_task(self._live(), context=self._context.copy())

    def admit(self, task: "asyncio.Task[Any]") -> None:
        """A task of this life was made."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.is_dead:
            self._world.bury(task)
            task.cancel()

    async def asked(self, what: Callable[[VeoSession], Coroutine[Any, Any, Any]]) -> Any:
        """Have it do something; the answer, or None when it refuses or dies over it."""
        assert self.veo is not None
        task = asyncio.get_running_loop().create_task(what(self.veo), context=self._context.copy())
        await asyncio.wait([task])
        if task.cancelled() or isinstance(task.exception(), VeoError):
            return None
        return task.result()

    # --- as a holder of a book ---

    def draw(self, *, is_write: bool) -> tuple[float, Fate]:
        wait_s, fate = self._world.fate(is_write=is_write, may_die=not self._is_ending)
        if self._is_ending and fate is not Fate.WELL:
            self.may_forget = True
        return wait_s, fate

    def die(self) -> None:
        self._world.deaths_left -= 1
        self._world.spawn(self.kill())

    # --- its end ---

    async def kill(self) -> None:
        """As SIGKILL does: nothing of it has any effect from now on."""
        self.is_over = self.is_dead = self.may_forget = True
        if self.ledger.book is not None:
            self.ledger.book.inner.crash()
        for task in self._tasks:
            self._world.bury(task)
        for _ in range(1000):
            if not self._tasks:
                self.veo = None
                return
            for task in [*self._tasks]:
                task.cancel()
            await asyncio.sleep(0)
        raise AssertionError(f"cannot be killed: {self._tasks}")

    async def close(self) -> None:
        """As a program does that ends."""
        self.is_over = self._is_ending = True
        self._ending.set()
        assert self._main is not None
        await asyncio.wait([self._main])
        if (problem := self._main.exception()) is not None:
            self._world.broken.append(f"session {self._number} ended with {problem!r} of {problem.__cause__!r}")

    # --- what it does ---

    async def _live(self) -> None:
        world, weather = self._world, self._world.weather
        while not self._ending.is_set():
            try:
                async with _Session(
                    world.sim.api_key,
                    transport=_Line(world, self),
                    ledger=self.ledger,
                    account="studio",
                    public_url=PUBLIC if weather.has_callbacks else None,
                    on_doubt=weather.on_doubt,
                    max_in_flight=weather.max_in_flight,
                    rate=(weather.limit, weather.window_s),
                    explore=False,
                    poll_every=weather.poll_every,
                    seed=self._number,
                ) as veo:
                    self.veo = veo
                    await self._work(veo)
                return
            except LedgerError:
                await asyncio.sleep(1.0)  # it could not be opened; a program that is started again

    async def _work(self, veo: VeoSession) -> None:
        keys = [*self._world.jobs]
        if self._number:  # the later ones find most of it on the ledger
            keys = self._world.rng.sample(keys, len(keys) // 3) + self._world.missing()
        for key in keys:
            while not self._ending.is_set():
                try:
                    job = await veo.submit(self._world.jobs[key], key=key)
                except LedgerError:
                    await asyncio.sleep(0.5)
                    continue
                self._world.acknowledged.add(key)
                self._waiters[key] = asyncio.create_task(self._wait_for(job))
                break
        await self._ending.wait()

    async def _wait_for(self, job: Job) -> None:
        try:
            outcome = await job.finished()
        except VeoError:
            return  # the session was closed
        row = self._world.ledger.jobs[job.key]
        if isinstance(outcome, Done) and (row.state, row.task_id) != ("ready", outcome.clip.task_id):
            self._world.broken.append(f"{job.key} was told to be done and is {row.state} on the ledger")

    def untold(self) -> Iterator[str]:
        """Who still waits for a job that is over."""
        for key, waiter in self._waiters.items():
            row: JobRow = self._world.ledger.jobs[key]
            if row.state in _OVER and not waiter.done():
                yield f"{key} is {row.state} and nobody was told"


class _Session(VeoSession):
    """A session whose wall clock is the simulation's."""

    def _wall_clock(self) -> float:
        return WALL + _now()


class _Line:
    """A session's way to the provider. What has left arrives, whatever becomes of the sender."""

    def __init__(self, world: World, life: Life) -> None:
        self._world, self._life = world, life

    async def send(self, call: HttpRequest) -> HttpResponse:
        if self._life.is_dead:
            raise ClientClosed("this life is over")
        is_creating = call.method == "POST"
        answer: HttpResponse = await asyncio.shield(self._world.spawn(self._carry(call)))
        if is_creating and not self._life.is_dead:
            self._note(answer)
        return answer

    async def _carry(self, call: HttpRequest) -> HttpResponse:
        rng = self._world.rng
        await asyncio.sleep(rng.uniform(0.02, 0.08))
        answer = await self._world.sim.send(call)
        await asyncio.sleep(rng.uniform(0.02, 0.08))
        return answer

    def _note(self, answer: HttpResponse) -> None:
        if answer.status == 200 and b'"code":200' in answer.body:
            self._world.answered[json.loads(answer.body)["data"]["taskId"]] = self._life

    async def close(self) -> None:
        """The provider is there for all."""


@attrs.frozen
class _Receiver:
    """Holds a book that is never killed."""

    world: World

    def draw(self, *, is_write: bool) -> tuple[float, Fate]:
        return self.world.fate(is_write=is_write, may_die=False)

    def die(self) -> None:
        raise AssertionError("a receiver does not die")


@attrs.frozen(eq=False)
class _While:
    """All places, as long as the storm lasts."""

    _world: World

    def __contains__(self, place: object) -> bool:
        return self._world.is_stormy


def _now() -> float:
    return asyncio.get_running_loop().time()


@attrs.frozen(kw_only=True)
class Story:
    """What became of one seed."""

    seed: int
    #: Safety: what must never be, and was.
    broken: tuple[str, ...] = ()
    #: Liveness: what should have come to be, and did not.
    stuck: tuple[str, ...] = ()
    charges: int = 0
    lives: int = 0
    deaths: int = 0
    in_doubt: int = 0
    bound: int = 0
    virtual_s: float = 0.0
    digest: str = ""
    weather: Weather | None = None


def simulate(seed: int, jobs: int) -> Story:
    """One world, from its beginning to its end."""

    async def story() -> Story:
        world = World(seed, jobs)
        await world.run()
        events = Counter(step.event for _, step in world.ledger.timeline)
        return Story(
            seed=seed,
            broken=tuple(dict.fromkeys(world.broken)),
            stuck=tuple(world.stuck),
            charges=len(world.sim.charges),
            lives=len(world.lives),
            deaths=sum(life.is_dead for life in world.lives),
            in_doubt=events[Event.LOSE],
            bound=events[Event.BIND],
            virtual_s=_now(),
            digest=world.digest(),
            weather=world.weather,
        )

    with warnings.catch_warnings():
        # Who is killed leaves work behind that never began.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        try:
            return in_virtual_time(story())
        except Exception:  # noqa: BLE001  # whatever it is, its seed has to be told
            return Story(seed=seed, broken=(traceback.format_exc(),))
