"""Reading the records of tasks: one attempt each, with a new API key if the present one is rejected."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from veo_async._api import RecordPoller, VeoApi, poll_upgrade
from veo_async._base.kill_points import kill_point
from veo_async._rules.polling.budget import PollBudget
from veo_async._runtime.clock import loop_time
from veo_async._runtime.sending.key_renewal import KeyRenewer
from veo_async._wire import Record, UpgradeRequest, upgrade_from_name
from veo_async.errors import Unauthorized

T = TypeVar("T")


class RecordReader:
    """Reads records by task id. An upgrade has no task id and no record: its endpoint returns the state instead."""

    def __init__(self, api: VeoApi, keys: KeyRenewer, budget: PollBudget) -> None:
        self._api, self._keys, self._budget = api, keys, budget
        self._poller = RecordPoller(api)

    async def poll(self, task_id: str) -> Record:
        """Read the record of a watched task; the poller parses it only if it has changed."""
        kill_point("poll:before")
        if upgrade_from_name(task_id) is not None:
            return await self.read(task_id)
        return await self._retry_with_new_key(self._poller.poll, task_id)

    async def read(self, task_id: str) -> Record:
        """Read the complete record of any task."""
        if (upgrade := upgrade_from_name(task_id)) is not None:
            return await self._retry_with_new_key(self._poll_upgrade, upgrade)
        return await self._retry_with_new_key(self._api.record_info, task_id)

    async def read_within_budget(self, task_id: str) -> Record:
        """Do the same as `read` within the poll budget, so that hints cannot use up the polls of running tasks."""
        if delay_s := self._budget.reserve(loop_time()):
            await asyncio.sleep(delay_s)
        return await self.read(task_id)

    async def _poll_upgrade(self, upgrade: UpgradeRequest) -> Record:
        return await poll_upgrade(self._api, upgrade)

    async def _retry_with_new_key(self, read: Callable[[T], Awaitable[Record]], task: T) -> Record:
        generation = self._keys.generation
        try:
            return await read(task)
        except Unauthorized:
            if not await self._keys.renew(generation):
                raise
            return await read(task)
