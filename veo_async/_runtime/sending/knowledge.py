"""What the gate learned about the account's limits, stored on the ledger for the next session."""

import asyncio
import json

from veo_async._ports import LedgerSession
from veo_async._rules.gate.gate import Gate
from veo_async._rules.gate.values import LearnedLimits
from veo_async._runtime.log import logger_for
from veo_async.errors import LedgerError

logger = logger_for(__name__)

#: Seconds between two saves: a killed process loses no more than this.
SAVE_EVERY_S = 60.0


class KnowledgeStore:
    """Loads and saves the knowledge of one gate."""

    def __init__(self, gate: Gate, ledger: LedgerSession) -> None:
        self._gate, self._ledger = gate, ledger
        self._saved: str | None = None

    async def load(self) -> None:
        """Let the gate begin with what the ledger contains; drop what cannot be read, and learn again."""
        self._saved = await self._ledger.knowledge()
        if self._saved is None:
            return
        try:
            knowledge = LearnedLimits.from_dict(json.loads(self._saved))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            message = "the learned rate limits on the ledger cannot be read and are dropped: %r"
            logger.warning(message, error, extra={"action": "knowledge-dropped"})
        else:
            self._gate.restore(knowledge)

    async def run(self) -> None:
        """Save every `SAVE_EVERY_S` until cancelled."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Save what the gate has learned, if that has changed."""
        knowledge = json.dumps(self._gate.knowledge().to_dict())
        if knowledge == self._saved:
            return
        try:
            await self._ledger.save_knowledge(knowledge)
            self._saved = knowledge
        except LedgerError as error:
            logger.warning("could not save the learned rate limits: %s", error, extra={"action": "save-knowledge"})
