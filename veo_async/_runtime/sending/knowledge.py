"""What was learned of the account, stored on the ledger for the next session: its limits, and how long tasks take."""

import asyncio
import json

from veo_async._ports import LedgerSession
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import LearnedLimits
from veo_async._rules.polling.poll_queue import PollQueue
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.log import logger_for
from veo_async.errors import LedgerError

logger = logger_for(__name__)

#: Seconds between two saves: a killed process loses no more than this.
SAVE_EVERY_S = 60.0


class KnowledgeStore:
    """Loads and saves the knowledge of one gate and one poll queue."""

    def __init__(self, gate: Gate, polls: PollQueue[LiveJob], ledger: LedgerSession) -> None:
        self._gate, self._polls, self._ledger = gate, polls, ledger
        self._saved: str | None = None

    async def load(self, *, with_limits: bool) -> None:
        """Let both begin with what the ledger contains; drop what cannot be read, and learn again.

        Args:
            with_limits: False keeps the limits that the user has set.
        """
        self._saved = await self._ledger.knowledge()
        if self._saved is None:
            return
        try:
            known = json.loads(self._saved)
            limits = LearnedLimits.from_dict(known)
            self._polls.from_state(known.get("durations", {}))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            message = "what was learned of the account cannot be read from the ledger and is dropped: %r"
            logger.warning(message, error, extra={"action": "knowledge-dropped"})
        else:
            if with_limits:
                self._gate.restore(limits)

    async def run(self) -> None:
        """Save every `SAVE_EVERY_S` until cancelled."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Save what was learned, if that has changed."""
        knowledge = json.dumps({**self._gate.knowledge().to_dict(), "durations": self._polls.to_state()})
        if knowledge == self._saved:
            return
        try:
            await self._ledger.save_knowledge(knowledge)
            self._saved = knowledge
        except LedgerError as error:
            logger.warning(
                "could not save what was learned of the account: %s", error, extra={"action": "save-knowledge"}
            )
