"""The checks of ``veo-async doctor``: API key, base URL, balance, route, clock and ledger. All of them are free."""

import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs

from veo_async import VeoApi
from veo_async.errors import InvalidBaseUrl, InvalidKey, NotFound, RecordNotFound, VeoError
from veo_async.ledger import JobQuery, SqliteLedger
from veo_async.settings import route_from
from veo_async.types import RouteName

from .api_key import key_error_text, key_source
from .formatting import command, format_credits
from .ledger_file import restored_text

#: A callback's signature is valid for five minutes; a clock that is off by more than this puts it at risk.
_CLOCK_LIMIT_S = 60.0
#: A task id that the provider has not given out.
_NO_TASK = "0" * 32


@attrs.frozen
class Check:
    """The result of one check."""

    name: str
    passed: bool
    message: str


async def run_checks(ledger: Path | None, report: Callable[[Check], None]) -> bool:
    """Run every check and report each; return whether all of them passed."""
    checks: list[Check] = []

    def add(check: Check) -> None:
        checks.append(check)
        report(check)

    try:
        api = VeoApi()
    except InvalidBaseUrl as error:
        add(Check("base URL", False, str(error)))
    except InvalidKey as error:
        add(Check("key", False, key_error_text(error)))
    else:
        add(Check("key", True, f"from {key_source()}"))
        async with api:
            add(Check("base URL", True, f"{api.base_urls.api} ({api.dialect.name})"))
            add(await _checked("balance", lambda: _balance(api)))
            add(await _checked("route", lambda: _route(api)))
            add(await _checked("clock", lambda: _clock(api, time.time())))  # noqa: TID251  # the command owns the clock
    if ledger is not None:
        add(await _checked("ledger", lambda: _ledger(ledger)))
    return all(check.passed for check in checks)


async def _checked(name: str, check: Callable[[], Awaitable[Check]]) -> Check:
    """Run *check*; an error of the library is a failed check."""
    try:
        return await check()
    except VeoError as error:
        return Check(name, False, str(error))


async def _balance(api: VeoApi) -> Check:
    balance = (await api.credit()).balance
    message = format_credits(balance)
    return Check("balance", balance > 0, message if balance > 0 else f"{message}: top up before you submit anything")


async def _route(api: VeoApi) -> Check:
    """Ask the endpoints of new requests for a task that does not exist: a 404 says that they do not exist either."""
    setting = route_from(os.environ)
    name: RouteName = "jobs" if setting == "jobs" else "veo"
    try:
        await api.record_info(_NO_TASK, route=name)
    except RecordNotFound:
        pass
    except NotFound:
        other = "veo" if name == "jobs" else "jobs"
        remedy = f"--route {other} saves the wait of two minutes" if setting == "auto" else f"take --route {other}"
        gone = f"{setting}: the {name} endpoints respond with 404; {remedy}"
        return Check("route", setting == "auto", gone)
    return Check("route", True, setting)


async def _clock(api: VeoApi, now: float) -> Check:
    server_time = await api.server_time()
    if server_time is None:
        return Check("clock", True, "the provider sends no Date header")
    off_s = (datetime.fromtimestamp(now, UTC) - server_time).total_seconds()
    message = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the provider's clock"
    passed = abs(off_s) <= _CLOCK_LIMIT_S
    return Check("clock", passed, message if passed else f"{message}: correct it, or signed callbacks will be rejected")


async def _ledger(file: Path) -> Check:
    if not _exists(file):
        return Check("ledger", True, f"{file} does not exist yet; the first session creates it")
    ledger = await SqliteLedger(file).open(None)
    counts = await ledger.counts(JobQuery())
    await ledger.close()
    if ledger.problem is not None:
        return Check("ledger", False, restored_text(ledger.problem))
    message = ", ".join(f"{number:,} {state}" for state, number in counts.items()) or "no jobs"
    hint = f". Next: {command('ledger', 'in-doubt', file)}" if counts.get("in_doubt") else ""
    return Check("ledger", True, f"{file}: {message}{hint}")


def _exists(file: Path) -> bool:
    return file.exists()
