"""`RecordPoller`: repeated polls of running tasks at low cost.

Nearly every poll of a running task gets the same bytes as the one before. Parsing them again would take a tenth of the
poll's CPU time and change nothing. So the poller keeps a 64-bit fingerprint of each task's last response; the bytes
themselves would need more memory than everything else about a job. Two different responses of one task share a
fingerprint once in 10^19 polls.

Only responses parsed as *generating* are remembered. All others, successes above all, are parsed every time.
"""

from typing import Final

from veo_async._wire import VEO, Record, Route, TaskState

from .client import VeoApi

#: The result of a poll that got the same response as the last: the task is still running.
UNCHANGED: Final = Record(flag=0)
#: How many tasks are remembered, so that those that are no longer polled do not accumulate.
MAX_FINGERPRINTS: Final = 100_000


class RecordPoller:
    """Polls tasks through *api*, one request per poll."""

    def __init__(self, api: VeoApi) -> None:
        self._api = api
        #: Fingerprints of the responses of running tasks, by task id.
        self._fingerprints: dict[str, int] = {}

    async def poll(self, task_id: str, route: Route = VEO) -> Record:
        """Return the record of *task_id*, or `UNCHANGED` if the response is the same; raises like `record_info`."""
        response = await self._api.record_response(task_id, route)
        fingerprint = hash((response.status, response.body))
        if self._fingerprints.get(task_id) == fingerprint:
            return UNCHANGED
        self._fingerprints.pop(task_id, None)
        record = self._api.decode_record(response, task_id, route)
        if record.state is TaskState.GENERATING:
            self._remember(task_id, fingerprint)
        return record

    def _remember(self, task_id: str, fingerprint: int) -> None:
        if len(self._fingerprints) >= MAX_FINGERPRINTS:
            del self._fingerprints[next(iter(self._fingerprints))]
        self._fingerprints[task_id] = fingerprint
