"""Reading the records of tasks: one attempt each, with a new API key if the present one is rejected.

A task is read on the route that created it. The route of an adopted task may not be known. Then both are asked,
which is free, and the one with the record is its route. An error that is not "no record" decides nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from veo_async._api import RecordPoller, VeoApi, poll_upgrade
from veo_async._base.kill_points import kill_point
from veo_async._rules.polling.budget import PollBudget
from veo_async._rules.task_route import route_of_record
from veo_async._runtime.clock import TIMER_SLACK_S, loop_time
from veo_async._runtime.job.live_job import LiveJob
from veo_async._runtime.sending.key_renewal import KeyRenewer
from veo_async._wire import JOBS, VEO, Record, RouteName, route_named, upgrade_from_name
from veo_async.errors import ClientClosed, RecordExpired, RecordNotFound, Unauthorized, VeoError


class RecordReader:
    """Reads records by task id and route.

    An upgrade on the ``veo`` route has no task id and no record: its endpoint returns the state instead.

    Args:
        default: the route that is asked first for a task whose route is not known.
    """

    def __init__(self, api: VeoApi, keys: KeyRenewer, budget: PollBudget, default: RouteName) -> None:
        self._api, self._keys, self._budget = api, keys, budget
        self._turn = asyncio.Lock()
        self._poller = RecordPoller(api)
        routes = sorted((VEO, JOBS), key=lambda route: route.name != default)
        #: The routes that the provider has.
        self._routes = [route for route in routes if route.record.name in api.dialect.endpoints]

    async def poll(self, job: LiveJob) -> Record:
        """Read the record of a watched job; the poller parses it only if it has changed."""
        kill_point("poll:before")
        assert job.task_id is not None  # noqa: S101  # only accepted jobs are watched
        if job.route is None:
            job.route, record = await self.find(job.task_id)
            return record
        if upgrade_from_name(job.task_id) is not None:
            return await self.read(job.task_id, job.route)
        return await self._retry_with_new_key(self._poller.poll, job.task_id, route_named(job.route))

    async def read(self, task_id: str, route: RouteName | None) -> Record:
        """Read the complete record of any task."""
        if (upgrade := upgrade_from_name(task_id)) is not None:
            return await self._retry_with_new_key(poll_upgrade, self._api, upgrade)
        if route is None:
            return (await self.find(task_id))[1]
        return await self._retry_with_new_key(partial(self._api.record_info, route=route), task_id)

    async def read_within_budget(self, task_id: str, route: RouteName | None) -> Record:
        """Do the same as `read` within the poll budget, so that hints cannot use up the polls of running tasks."""
        await self._wait_for_budget()
        return await self.read(task_id, route)

    async def find_within_budget(self, task_id: str) -> tuple[RouteName, Record]:
        """Do the same as `find` within the poll budget."""
        await self._wait_for_budget()
        return await self.find(task_id)

    async def find(self, task_id: str) -> tuple[RouteName, Record]:
        """Ask all routes for a task, and return its route and its record.

        Raises:
            RecordNotFound: no route has a record.
            VeoError: no route has a record, and one could not be asked.
        """
        if upgrade_from_name(task_id) is not None:
            return "veo", await self.read(task_id, "veo")
        found: dict[RouteName, Record] = {}
        missing: VeoError | None = None
        failed: VeoError | None = None
        for route in self._routes:
            try:
                found[route.name] = await self.read(task_id, route.name)
            except (RecordNotFound, RecordExpired) as error:
                missing = missing or error
            except ClientClosed:
                raise
            except VeoError as error:
                failed = error
        if found:
            name = route_of_record(found)
            return name, found[name]
        raise failed or missing or RecordNotFound("no route has a record of this task", task_id=task_id)

    async def _wait_for_budget(self) -> None:
        async with self._turn:  # one after the other
            self._budget.is_read_waiting = True
            try:
                while (delay_s := self._budget.read_ready_at(now := loop_time()) - now) > TIMER_SLACK_S:  # noqa: ASYNC110  # a poll may go first
                    await asyncio.sleep(delay_s)
                self._budget.begin_read(now)
            finally:
                self._budget.is_read_waiting = False

    async def _retry_with_new_key(self, read: Callable[..., Awaitable[Record]], *arguments: Any) -> Record:
        generation = self._keys.generation
        try:
            return await read(*arguments)
        except Unauthorized:
            if not await self._keys.renew(generation):
                raise
            return await read(*arguments)
