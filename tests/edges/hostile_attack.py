"""One seeded run of a session against the hostile provider, and the promises that must hold after it.

The session, its sockets, its ledger and its files are real. Only waiting is skipped: the event loop moves its clock
forward when nothing happens on any socket or in any thread, so a run of ten minutes takes some hundredths of a second.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import attrs
from aiohttp import web

from tests.runtime.ledgers import InlineExecutor
from veo_async import Done, InDoubt, Job, VeoSession
from veo_async.errors import TaskMismatch, VeoError
from veo_async.ledger import MemoryLedger, SqliteLedger
from veo_async.settings import Limits, Network
from veo_async.types import RouteName

from .hostile_behaviours import BEHAVIOURS, DECISIVE, UNREPAIRED
from .hostile_provider import HostileProvider, true_clip
from .skipping_loop import SkippingLoop

_JOBS = 4
#: How many exchanges the provider may alter in one run.
_LIES = 10
_LOGGERS = ("veo_async", "asyncio", "aiohttp")
#: A download is given up after five attempts without progress; a lie about a length costs two.
_FAILED_DOWNLOADS = 3
#: A job that has not finished by then, in seconds of the loop, never will.
_LIMIT_S = 3600.0


@attrs.define
class Attack:
    """One run."""

    seed: int
    behaviours: list[str]
    #: The provider's route. The seed decides, so that half of all runs are on each.
    route: RouteName = attrs.field(init=False)
    #: What the provider did, in order.
    lies: list[str] = attrs.field(factory=list)
    #: The promises that did not hold.
    broken: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.route = "jobs" if self.seed % 2 else "veo"

    def __str__(self) -> str:
        how = f"python -m tests.edges.hostile_attack {self.seed} {' '.join(self.behaviours)}"
        what = f"seed {self.seed} on {self.route}: {'; '.join(self.broken)}"
        return f"{what}\n    {', '.join(self.lies)}\n    repeat it: {how}"


def run_attack(seed: int, folder: Path, behaviours: list[str] | None = None) -> Attack:
    """Run the attack of *seed*. *behaviours* replaces those that the seed would draw."""
    rng = Random(f"attack {seed}")
    allowed = sorted(BEHAVIOURS.keys() - UNREPAIRED)
    attack = Attack(seed, behaviours or rng.sample(allowed, rng.randint(1, 4)))
    folder.mkdir(parents=True)
    log = _Log()
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(log)
    try:
        with asyncio.Runner(loop_factory=SkippingLoop) as runner:
            runner.run(_Run(attack, folder, rng, log).run())
    except Exception as error:  # noqa: BLE001  # whatever ends a run is what we look for
        attack.broken.append(f"the session raised {error!r}")
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(log)
    return attack


async def _with_retries(action: Callable[[str], Awaitable[object]], task_id: str) -> None:
    """Do what reads the record of the task first, and retry it until the provider has no lies left."""
    for lies_left in reversed(range(_LIES + 1)):
        try:
            await action(task_id)
            return
        except VeoError as error:
            if isinstance(error, TaskMismatch) or not lies_left:
                raise
            await asyncio.sleep(60)


class _Log(logging.Handler):
    """Keeps the text of every record, tracebacks included, and what the callback receiver's server reports."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.server_errors: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        if record.name.startswith("aiohttp") and record.thread == self._thread:
            self.server_errors.append(self.lines[-1])


class _Run:
    """The session of one attack and what it believes."""

    def __init__(self, attack: Attack, folder: Path, rng: Random, log: _Log) -> None:
        self.attack, self.folder, self.rng, self.log = attack, folder, rng, log
        self.key = f"key-{rng.randbytes(16).hex()}"
        self.prompts = [f"Clip {number} of {attack.seed}" for number in range(_JOBS)]
        self.jobs: dict[str, Job] = {}
        self.outcomes: dict[str, Any] = {}
        #: Requests that the user asked to send again.
        self.resubmitted: set[str] = set()
        self.has_callbacks = rng.random() < 0.4
        self.has_file = rng.random() < 0.3
        self.ledger: MemoryLedger | SqliteLedger = (
            SqliteLedger(folder / "veo.db", executor=InlineExecutor()) if self.has_file else MemoryLedger()
        )

    async def run(self) -> None:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        provider = HostileProvider(
            self.attack.seed,
            self.attack.behaviours,
            api_key=self.key,
            honest_prompt=self.prompts[0],
            lies=_LIES,
            route=self.attack.route,
        )
        async with provider:
            self.attack.lies = provider.lies
            if self.rng.random() < 0.3:
                async with asyncio.timeout(_LIMIT_S), self._session(provider) as veo:
                    await self._submit(veo)
                    await asyncio.sleep(self.rng.uniform(0, 20))
            async with asyncio.timeout(_LIMIT_S), self._session(provider) as veo:
                await self._submit(veo)
                await self._finish(provider)
            await self._check(provider)
        self.attack.broken += [f"asyncio reported {context}" for context in reported]

    @asynccontextmanager
    async def _session(self, provider: HostileProvider) -> AsyncIterator[VeoSession]:
        """Open a session, with its receiver if this run has callbacks; closing it must not take long."""
        bound = socket.create_server(("127.0.0.1", 0))
        public_url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        veo = VeoSession(
            self.key,
            base_url=provider.url,
            ledger=self.ledger,
            account="attacked",
            network=Network(route=self.attack.route),
            callbacks=public_url if self.has_callbacks else None,
            limits=Limits(rate=(20, 10.0), explore=False, poll_every=5.0),
        )
        app = web.Application()
        async with veo:
            app.add_routes(veo.callbacks.aiohttp_routes() if self.has_callbacks else [])
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            try:
                await web.SockSite(runner, bound).start()
                yield veo
            finally:
                await runner.cleanup()
                bound.close()
                async with asyncio.timeout(900):
                    await veo.close()

    async def _submit(self, veo: VeoSession) -> None:
        for number, prompt in enumerate(self.prompts):
            save_to = self.folder / f"{number}.mp4"
            self.jobs[prompt] = await veo.submit(prompt, key=f"job-{number}", save_to=save_to)

    async def _finish(self, provider: HostileProvider) -> None:
        """Wait for every job, and decide about those in doubt as a user would."""
        for prompt, job in self.jobs.items():
            outcome = await job.finished()
            if isinstance(outcome, InDoubt):
                paid = [charge.task_id for charge in provider.charges if charge.prompt == prompt]
                match self.rng.choice(("hold", "resolve", "resubmit", "abandon")):
                    case "resolve" if paid:
                        with suppress(TaskMismatch):  # the provider gave its id to another job
                            await _with_retries(job.resolve, paid[0])
                    case "resubmit":
                        self.resubmitted.add(prompt)
                        await job.resubmit()
                    case "abandon":
                        await job.abandon()
                outcome = await job.finished()
            self.outcomes[prompt] = outcome

    # --- promises -----------------------------------------------------------------------------------------------

    async def _check(self, provider: HostileProvider) -> None:
        broken, on_ledger = self.attack.broken, await self._task_ids()
        broken += provider.leaks + self.log.server_errors
        is_lost = self._may_lose_tasks()
        for prompt, outcome in self.outcomes.items():
            paid = [charge for charge in provider.charges if charge.prompt == prompt]
            if len(paid) > 1 + (prompt in self.resubmitted):
                broken.append(f"{prompt!r} was paid {len(paid)} times")
            known = on_ledger[prompt]
            if any(charge.is_intact and charge.task_id != known for charge in paid):
                broken.append(f"{prompt!r}: the task that the provider named is not on the ledger, but {known!r}")
            is_saved = isinstance(outcome, Done) and bool(outcome.clip.files)
            is_honest = prompt == self.prompts[0]
            if not is_saved and (is_honest or (not is_lost and any(charge.is_intact for charge in paid))):
                broken.append(f"{prompt!r}{' (the honest job)' if is_honest else ''} was not saved: {outcome}")
            self._check_file(prompt, outcome, [charge.task_id for charge in paid])
        self._check_secrets()

    def _may_lose_tasks(self) -> bool:
        """Whether the provider has shown enough failures to end the job of a task that it accepted."""
        names = [lie.split(":")[0] for lie in self.attack.lies]
        failed_downloads = sum(":download:" in lie for lie in self.attack.lies)
        return failed_downloads >= _FAILED_DOWNLOADS or not DECISIVE.isdisjoint(names)

    async def _task_ids(self) -> dict[str, str | None]:
        """Return the task of each job: as the ledger's file has it, if there is one."""
        if not self.has_file:
            return {prompt: job.task_id for prompt, job in self.jobs.items()}
        session = await SqliteLedger(self.folder / "veo.db", executor=InlineExecutor()).open(None)
        try:
            rows = {row.key: row.task_id for row in await session.jobs()}
        finally:
            await session.close()
        return {prompt: rows.get(f"job-{number}") for number, prompt in enumerate(self.prompts)}

    def _check_file(self, prompt: str, outcome: Any, paid: list[str]) -> None:
        saved = list(outcome.clip.files) if isinstance(outcome, Done) else []
        final = self.folder / f"{self.prompts.index(prompt)}.mp4"
        for file in {*saved, final} if final.exists() else saved:
            if not file.exists() or file.read_bytes() not in [true_clip(task_id) for task_id in paid]:
                self.attack.broken.append(f"{prompt!r} was saved with bytes that are not its clip")

    def _check_secrets(self) -> None:
        texts = [*self.log.lines, *(repr(outcome) for outcome in self.outcomes.values())]
        texts += [str(outcome.error) for outcome in self.outcomes.values() if not isinstance(outcome, Done)]
        texts += [file.read_bytes().decode("latin-1") for file in self.folder.rglob("*") if file.is_file()]
        if any(self.key in text for text in texts):
            self.attack.broken.append("the API key is in a log line, an outcome, the ledger or a file")


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        print(run_attack(int(sys.argv[1]), Path(place, "run"), sys.argv[2:] or None))
