"""Opens a ledger file: for the commands that read it or repair it, and for those that run its jobs.

The commands of the first kind neither run a job nor take one over. So they also open a ledger that was restored from a
backup or copied, and say so.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from veo_async import VeoApi
from veo_async.errors import LedgerRestored, UsageError
from veo_async.ledger import SqliteLedger
from veo_async.ledger.sqlite.session import SqliteLedgerSession
from veo_async.repair import LedgerRepair
from veo_async.types import Record, RouteName

from .console import print_error
from .formatting import command


def ledger_for_work(file: Path, *, accept_restored: bool) -> SqliteLedger:
    """Return the ledger in *file* for a session that sends requests."""
    return SqliteLedger(file, accept_restored=accept_restored)


@asynccontextmanager
async def open_ledger(file: Path) -> AsyncIterator[SqliteLedgerSession]:
    """Open the ledger in *file*; report on standard error if no session would send its jobs.

    Raises:
        UsageError: the file does not exist; it is not created.
    """
    ledger = await _existing(file).open(None)
    try:
        if ledger.problem is not None:
            print_error(restored_text(ledger.problem))
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def open_for_repair(file: Path, *, verify: bool = False) -> AsyncIterator[LedgerRepair]:
    """Open the ledger in *file* for changes by hand; with *verify* a task's record is read before it is believed."""
    async with open_ledger(file) as ledger, AsyncExitStack() as stack:
        read_record = partial(_read_record, await stack.enter_async_context(VeoApi())) if verify else None
        yield LedgerRepair(ledger, read_record, time.time)  # noqa: TID251  # the command owns the clock


async def _read_record(api: VeoApi, task_id: str, route: RouteName | None) -> Record:
    return await api.record_info(task_id, route=route or "veo")


def restored_text(error: LedgerRestored) -> str:
    """Return what happened to a ledger that was restored or copied, and what to do."""
    return restored_with(error, command("resume", error.path))


def restored_with(error: LedgerRestored, work: str) -> str:
    """Return the same for the command *work*, which runs the jobs of the ledger."""
    return (
        f"{error.message} Check its jobs with your provider.\n"
        f"Next: {command('jobs', error.path)}\n"
        f"      {work} --accept-restored   (uses it anyway)"
    )


def _existing(file: Path) -> SqliteLedger:
    if not file.exists():
        raise UsageError(f"{file} does not exist; pass the ledger file written by generate or batch")
    return SqliteLedger(file)
