"""Several accounts in one process, and a rule that decides which of them a new job goes to.

::

    from veo_async import VeoSession
    from veo_async.accounts import Accounts

    sessions = {"main": VeoSession(main_key, ledger="veo.db"), "spare": VeoSession(spare_key, ledger="veo.db")}
    async with Accounts(sessions, rule="balance") as accounts:
        clip = await accounts.generate("A dog surfing at dusk")

Each account has its own session, and so its own rate limit, slots and pauses.
"""

from .accounts import Accounts
from .rules import Rule, RuleSetting, Submission

__all__ = ["Accounts", "Rule", "RuleSetting", "Submission"]
