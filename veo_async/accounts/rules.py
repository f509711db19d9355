"""Rules that decide which account a new job goes to."""

import asyncio
import hashlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from veo_async._base.checks import check_choice, reject
from veo_async.errors import UsageError, VeoError
from veo_async.session import VeoSession
from veo_async.types import AnyRequest

_logger = logging.getLogger(__name__)

#: How long a balance counts, and how long reading it may take, in seconds.
BALANCE_FOR_S, BALANCE_TIMEOUT_S = 60.0, 10.0


@attrs.frozen(kw_only=True)
class Submission:
    """A new job that has no account yet.

    Attributes:
        request: the prompt or the whole request.
        key: the key of the job.
        tenant: on whose behalf it is submitted.
        options: the other keyword arguments, for example ``model`` or ``metadata``.
        accounts: the names of the accounts that send requests at present; of all accounts, if none does.
    """

    request: AnyRequest | str
    key: str
    tenant: str
    options: Mapping[str, Any]
    accounts: Sequence[str]


#: Returns the name of an account; plain or async.
Rule = Callable[[Submission], str | Awaitable[str]]
#: What ``rule=`` accepts: the name of a rule, an account for each tenant, or a function.
RuleSetting = Literal["round-robin", "balance", "tenant"] | Mapping[str, str] | Rule


def rule_from(setting: RuleSetting, sessions: Mapping[str, VeoSession]) -> Rule:
    """Return the rule that *setting* names.

    Raises:
        UsageError: it is none.
    """
    if isinstance(setting, Mapping):
        return _ByTable(setting, sessions)
    if callable(setting):
        return setting
    check_choice("rule", setting, ("round-robin", "balance", "tenant"))
    if setting == "balance":
        return _ByBalance(sessions)
    return _by_tenant if setting == "tenant" else _RoundRobin()


class _RoundRobin:
    """One account after the other."""

    def __init__(self) -> None:
        self._turns = itertools.count()

    def __call__(self, submission: Submission) -> str:
        return submission.accounts[next(self._turns) % len(submission.accounts)]


def _by_tenant(submission: Submission) -> str:
    """The same account for all jobs of a tenant, in every process. Another account moves as few tenants as possible."""

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{name}\0{submission.tenant}".encode()).digest()

    return max(submission.accounts, key=rank)


class _ByTable:
    """The account that is assigned to the tenant, even while it sends nothing: another one must not pay."""

    def __init__(self, accounts: Mapping[str, str], sessions: Mapping[str, VeoSession]) -> None:
        for tenant, name in accounts.items():
            if name not in sessions:
                reject(f"rule[{tenant!r}]", name, f"must be one of {', '.join(map(repr, sessions))}")
        self._accounts = dict(accounts)

    def __call__(self, submission: Submission) -> str:
        name = self._accounts.get(submission.tenant)
        if name is None:
            remedy = "Add the tenant to rule=."
            raise UsageError(f"no account is assigned to the tenant {submission.tenant!r}", remedy=remedy)
        return name


@attrs.frozen
class _Balance:
    credits: float
    #: What the session had reserved at that time.
    reserved: float
    read_at: float


class _ByBalance:
    """The account with the most credits: its balance within the last minute, less what was submitted since."""

    def __init__(self, sessions: Mapping[str, VeoSession]) -> None:
        self._sessions = sessions
        self._balances: dict[str, _Balance] = {}
        self._reading = asyncio.Lock()

    async def __call__(self, submission: Submission) -> str:
        async with self._reading:
            left = {name: await self._left(name) for name in submission.accounts}
        return max(left, key=lambda name: left[name])

    async def _left(self, name: str) -> float:
        now, known = asyncio.get_running_loop().time(), self._balances.get(name)
        if known is None or now >= known.read_at + BALANCE_FOR_S:
            known = self._balances[name] = _Balance(await self._read(name), self._reserved(name), now)
        return known.credits - (self._reserved(name) - known.reserved)

    async def _read(self, name: str) -> float:
        """Read the balance; an account whose balance cannot be read is the last choice."""
        try:
            async with asyncio.timeout(BALANCE_TIMEOUT_S):
                return await self._sessions[name].account.balance()
        except (VeoError, TimeoutError) as error:
            extra = {"action": "balance-read"}
            _logger.warning(
                "the balance of the account %r cannot be read: %s", name, str(error) or "timeout", extra=extra
            )
            return float("-inf")

    def _reserved(self, name: str) -> float:
        return self._sessions[name].statistics().credits.reserved
