"""What stands in the way, looked at one thing after the other: key, address, balance, clock, ledger.

Nothing here costs anything. Each line says what was found, and what to do where it is wrong.
"""

import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
from rich.console import Console

from veo_async import VeoApi
from veo_async._api.key import KEY_FILE_VARIABLE, KEY_VARIABLES
from veo_async.errors import VeoError
from veo_async.ledger import SqliteLedger

#: A clock that is further off spoils the signatures of callbacks, which are good for five minutes.
_CLOCK_LIMIT_S = 60.0


@attrs.frozen
class Finding:
    """One thing that was looked at."""

    name: str
    is_good: bool
    told: str


async def examine(ledger: Path | None, console: Console) -> bool:
    """Look at everything and say so; whether all is well."""
    findings: list[Finding] = []

    def say(finding: Finding) -> None:
        findings.append(finding)
        mark = "[green]ok [/]" if finding.is_good else "[red]no [/]"
        console.print(f"{mark} {finding.name:<8}", end=" ")
        console.print(finding.told, markup=False, soft_wrap=True)

    say(_key_source())
    try:
        api = VeoApi()
    except VeoError as error:
        say(Finding("key", False, str(error)))
    else:
        async with api:
            say(Finding("address", True, f"{api.addresses.api} ({api.dialect.name})"))
            say(await _tried("balance", lambda: _balance(api)))
            say(await _tried("clock", lambda: _clock(api, time.time())))  # noqa: TID251  # the shell's own clock
    if ledger is not None:
        say(await _tried("ledger", lambda: _ledger(ledger)))
    is_well = all(finding.is_good for finding in findings)
    console.print("\nAll is well. Next: veo-async demo" if is_well else "\nMend what says no, then: veo-async doctor")
    return is_well


async def _tried(name: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await look()
    except VeoError as error:
        return Finding(name, False, str(error))


def _key_source() -> Finding:
    named = next((name for name in _sources() if os.environ.get(name)), None)
    if named is None:
        return Finding("key", False, f"none of {', '.join(_sources())} is set: export VEO_API_KEY=…")
    return Finding("key", True, f"from {named}")


def _sources() -> Iterator[str]:
    yield from KEY_VARIABLES
    yield KEY_FILE_VARIABLE


async def _balance(api: VeoApi) -> Finding:
    balance = (await api.credit()).balance
    told = f"{balance:g} credits"
    return Finding("balance", balance > 0, told if balance > 0 else f"{told}: top up before you submit anything")


async def _clock(api: VeoApi, now: float) -> Finding:
    theirs = await api.server_clock()
    if theirs is None:
        return Finding("clock", True, "the provider does not tell the time")
    off_s = (datetime.fromtimestamp(now, UTC) - theirs).total_seconds()
    told = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the provider's"
    is_good = abs(off_s) <= _CLOCK_LIMIT_S
    return Finding("clock", is_good, told if is_good else f"{told}: set it, or signed callbacks will be refused")


async def _ledger(file: Path) -> Finding:
    if not _is_there(file):
        return Finding("ledger", True, f"{file} is not there yet; it is made when a session opens it")
    book = await SqliteLedger(file).open(None)
    counts = Counter(row.state for row in await book.rows())
    await book.close()
    told = ", ".join(f"{number} {state}" for state, number in counts.items()) or "no jobs"
    hint = f"; next: veo-async ledger doubts {file}" if counts["in_doubt"] else ""
    return Finding("ledger", True, f"{file}: {told}{hint}")


def _is_there(file: Path) -> bool:
    return file.exists()
