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
class Check:
    """One thing that was looked at."""

    name: str
    passed: bool
    message: str


async def run_checks(ledger: Path | None, console: Console) -> bool:
    """Look at everything and say so; whether all is well."""
    findings: list[Check] = []

    def say(finding: Check) -> None:
        findings.append(finding)
        mark = "[green]ok [/]" if finding.passed else "[red]no [/]"
        console.print(f"{mark} {finding.name:<8}", end=" ")
        console.print(finding.message, markup=False, soft_wrap=True)

    say(_key_source())
    try:
        api = VeoApi()
    except VeoError as error:
        say(Check("key", False, str(error)))
    else:
        async with api:
            say(Check("address", True, f"{api.base_urls.api} ({api.dialect.name})"))
            say(await _checked("balance", lambda: _balance(api)))
            say(await _checked("clock", lambda: _clock(api, time.time())))  # noqa: TID251  # the shell's own clock
    if ledger is not None:
        say(await _checked("ledger", lambda: _ledger(ledger)))
    is_well = all(finding.passed for finding in findings)
    console.print("\nAll is well. Next: veo-async demo" if is_well else "\nMend what says no, then: veo-async doctor")
    return is_well


async def _checked(name: str, check: Callable[[], Awaitable[Check]]) -> Check:
    try:
        return await check()
    except VeoError as error:
        return Check(name, False, str(error))


def _key_source() -> Check:
    named = next((name for name in _sources() if os.environ.get(name)), None)
    if named is None:
        return Check("key", False, f"none of {', '.join(_sources())} is set: export VEO_API_KEY=…")
    return Check("key", True, f"from {named}")


def _sources() -> Iterator[str]:
    yield from KEY_VARIABLES
    yield KEY_FILE_VARIABLE


async def _balance(api: VeoApi) -> Check:
    balance = (await api.credit()).balance
    message = f"{balance:g} credits"
    return Check("balance", balance > 0, message if balance > 0 else f"{message}: top up before you submit anything")


async def _clock(api: VeoApi, now: float) -> Check:
    theirs = await api.server_time()
    if theirs is None:
        return Check("clock", True, "the provider does not tell the time")
    off_s = (datetime.fromtimestamp(now, UTC) - theirs).total_seconds()
    message = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the provider's"
    passed = abs(off_s) <= _CLOCK_LIMIT_S
    return Check("clock", passed, message if passed else f"{message}: set it, or signed callbacks will be refused")


async def _ledger(file: Path) -> Check:
    if not _is_there(file):
        return Check("ledger", True, f"{file} is not there yet; it is made when a session opens it")
    ledger = await SqliteLedger(file).open(None)
    counts = Counter(row.state for row in await ledger.jobs())
    await ledger.close()
    message = ", ".join(f"{number} {state}" for state, number in counts.items()) or "no jobs"
    hint = f"; next: veo-async ledger doubts {file}" if counts["in_doubt"] else ""
    return Check("ledger", True, f"{file}: {message}{hint}")


def _is_there(file: Path) -> bool:
    return file.exists()
