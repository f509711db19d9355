"""Two accounts of one provider, for tests in virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from veo_async import VeoSession
from veo_async.accounts import Accounts
from veo_async.ledger import MemoryLedger
from veo_async.simulator import MemoryTransport

from .ledgers import session_with_ledger
from .support import VirtualSession, memory

KEYS = {"a": "sim-key-of-account-a", "b": "sim-key-of-account-b"}


def provider(**options: Any) -> MemoryTransport:
    """Return a provider with two accounts."""
    return memory(api_keys={key: name for name, key in KEYS.items()}, **options)


def sessions_on(sim: MemoryTransport, ledger: Any, **options: Any) -> dict[str, VeoSession]:
    kind = {"kind": VirtualSession, **options}
    return {name: session_with_ledger(sim, ledger, api_key=key, **kind) for name, key in KEYS.items()}


@asynccontextmanager
async def opened(
    sim: MemoryTransport, ledger: Any = None, *, rule: Any = "round-robin", **options: Any
) -> AsyncIterator[Accounts]:
    """Open both accounts; finally check that no request was charged twice, not even on two accounts."""
    async with Accounts(sessions_on(sim, ledger or MemoryLedger(), **options), rule=rule) as veo:
        yield veo
    sim.assert_no_double_charge(lambda charge: charge.body.get("prompt", charge.task_id))


def charged(sim: MemoryTransport) -> dict[str, str]:
    """Return the account that paid for each prompt."""
    return {charge.body["prompt"]: charge.account for charge in sim.charges}
