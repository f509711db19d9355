"""`RecordPoller`: one look after another at running tasks, each as cheap as it can be.

Nearly every look finds what the last one found, byte for byte: the record of a task that runs. To decipher it anew
would cost a tenth of the whole look and tell nothing. So for each running task the last answer's fingerprint is kept,
64 bits of it: the bytes themselves would weigh more than all else that is kept of a job. That two answers of one task
share a fingerprint and differ happens once in 10^19 looks.

Only an answer that was deciphered as *generating* is ever remembered. Whatever else comes, a success above all, is
read in full each time.
"""

from typing import Final

from veo_async._wire import Record, TaskState, decode_response, endpoints

from .client import VeoApi

#: What a look that found nothing new answers: of its task it says that it runs, and no more.
UNCHANGED: Final = Record(flag=0)
#: Tasks whose last answer is remembered; what nobody looks at any more must not pile up.
MAX_FINGERPRINTS: Final = 100_000


class RecordPoller:
    """Looks at tasks through *api*, one attempt each."""

    def __init__(self, api: VeoApi) -> None:
        self._api = api
        #: By task id; fingerprints of answers that told of a running task.
        self._fingerprints: dict[str, int] = {}

    async def poll(self, task_id: str) -> Record:
        """The record of *task_id*, or `UNCHANGED` where the answer is the one before; raises as `record_info` does."""
        answer = await self._api.record_response(task_id)
        fingerprint = hash((answer.status, answer.body))
        if self._fingerprints.get(task_id) == fingerprint:
            return UNCHANGED
        self._fingerprints.pop(task_id, None)
        record = decode_response(endpoints.RECORD_INFO, answer, task_id=task_id)
        if record.state is TaskState.GENERATING:
            self._remember(task_id, fingerprint)
        return record

    def _remember(self, task_id: str, fingerprint: int) -> None:
        if len(self._fingerprints) >= MAX_FINGERPRINTS:
            del self._fingerprints[next(iter(self._fingerprints))]
        self._fingerprints[task_id] = fingerprint
