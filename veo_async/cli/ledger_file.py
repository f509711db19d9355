"""Opens a ledger file for the commands that read it or repair it. None of them runs a job or takes one over."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from veo_async import VeoApi
from veo_async.errors import UsageError
from veo_async.ledger import LedgerSession, SqliteLedger
from veo_async.repair import LedgerRepair


@asynccontextmanager
async def open_ledger(file: Path) -> AsyncIterator[LedgerSession]:
    """Open the ledger in *file*.

    Raises:
        UsageError: the file does not exist; it is not created.
    """
    ledger = await _existing(file).open(None)
    try:
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def open_for_repair(file: Path, *, verify: bool = False) -> AsyncIterator[LedgerRepair]:
    """Open the ledger in *file* for changes by hand; with *verify* a task's record is read before it is believed."""
    async with open_ledger(file) as ledger, AsyncExitStack() as stack:
        read_record = (await stack.enter_async_context(VeoApi())).record_info if verify else None
        yield LedgerRepair(ledger, read_record, time.time)  # noqa: TID251  # the command owns the clock


def _existing(file: Path) -> SqliteLedger:
    if not file.exists():
        raise UsageError(f"{file} does not exist; pass the ledger file written by generate or batch")
    return SqliteLedger(file)
